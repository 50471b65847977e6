// CallSupervisor: see call_supervisor.h. Lives on the loop.
#include "node/http/call_supervisor.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "cloudtask/core/log.h"
#include "node/http/run_headers.h"

namespace cloudtask::node {

namespace {

// As a rule the folder was made ahead of time. So little goes to the page cache at once.
Result<> write_output(const std::string& folder, std::string_view text) {
    const std::string path = output_path(folder, Stream::out);
    auto file = OutputFile::open(path, text.size());
    if (!file && ::mkdir(folder.c_str(), 0750) == 0) file = OutputFile::open(path, text.size());
    if (!file) return propagate(file);
    while (!text.empty()) {
        const ssize_t written = ::write(file->descriptor(), text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return tl::unexpected(system_error(errno, "cannot write " + path));
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    return {};
}

// What of the end of a call is to be kept for its run.
struct KeptOfCall {
    std::string folder;
    std::uint64_t output_limit = 0;
    task::HttpExpect expect;
};

Ended as_run_end(CallEnded call, const KeptOfCall& kept) {
    Ended end;
    end.run_id = call.run_id;
    end.http_status = call.status;
    end.call_fault = call.reason(kept.expect);
    end.timed_out = call.timed_out;
    end.stopped = call.stopped;
    end.ended_at = call.ended_at;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(call.body.size(), kept.output_limit));
    end.output_truncated = call.body_cut || size < call.body.size();
    if (size == 0) return end;
    if (const auto written = write_output(kept.folder, std::string_view{call.body}.substr(0, size)); written) {
        end.stdout_bytes = size;
    } else {
        log::error("the answer of run {} is not kept: {}", end.run_id, written.error().message);
        end.output_lost = true;
    }
    return end;
}

class CallSupervisor final : public Supervisor {
  public:
    CallSupervisor(Loop& loop, std::unique_ptr<Supervisor> programs, std::unique_ptr<HttpCalls> calls)
        : loop_(loop), programs_(std::move(programs)), calls_(std::move(calls)) {}

    void start(LaunchSpec spec, OnStarted on_started, OnEnd on_end) override {
        if (spec.http == nullptr) return programs_->start(std::move(spec), std::move(on_started), std::move(on_end));
        const std::string id = spec.run_id;
        const auto begun = calls_->start(CallSpec{id, *spec.http, std::move(spec.run_headers), std::move(spec.signing_key),
                                                  spec.private_body, std::move(spec.networks), spec.time_limit},
                                         [this, kept = KeptOfCall{std::move(spec.folder), spec.output_limit, spec.http->expect},
                                          on_end = std::move(on_end)](CallEnded end) {
                                             under_way_.erase(end.run_id);
                                             on_end(as_run_end(std::move(end), kept));
                                         });
        if (begun) under_way_.insert(id);
        // Before the call's end, which is posted as well, and later.
        loop_.post([begun, at = loop_.clock().now(), on_started = std::move(on_started)] {
            on_started(begun ? Result<Started>(Started{0, at, false}) : propagate(begun));
        });
    }

    std::optional<ProcessIdentity> identity(std::string_view run_id) override {
        if (under_way_.contains(run_id)) return ProcessIdentity{};
        return programs_->identity(run_id);
    }

    bool stop(std::string_view run_id) override { return calls_->stop(run_id) || programs_->stop(run_id); }

    Result<> adopt(RunningRecord record, OnEnd on_end) override { return programs_->adopt(std::move(record), std::move(on_end)); }
    std::map<std::string, ProcessIdentity> find(const std::set<std::string>& run_ids) override { return programs_->find(run_ids); }
    std::optional<LogProgress> progress(std::string_view run_id) override { return programs_->progress(run_id); }
    void on_output(OnOutput callback) override { programs_->on_output(std::move(callback)); }
    std::size_t running() const override { return under_way_.size() + programs_->running(); }

  private:
    Loop& loop_;
    std::set<std::string, std::less<>> under_way_;  // runs that are calls, until their end is told
    const std::unique_ptr<Supervisor> programs_;
    const std::unique_ptr<HttpCalls> calls_;
};

}  // namespace

std::unique_ptr<Supervisor> make_call_supervisor(Loop& loop, std::unique_ptr<Supervisor> programs, std::unique_ptr<HttpCalls> calls) {
    return std::make_unique<CallSupervisor>(loop, std::move(programs), std::move(calls));
}

}  // namespace cloudtask::node
