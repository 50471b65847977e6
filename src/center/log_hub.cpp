// Followers of logs: see log_hub.h.
#include "center/log_hub.h"

#include <map>
#include <utility>
#include <vector>

#include "center/runs_store.h"
#include "center/utf8_stream.h"
#include "cloudtask/core/json.h"
#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

struct Follower {
    std::shared_ptr<http::EventStream> events;
    std::string run_id;
    LogStream stream = LogStream::standard_output;
    std::uint64_t offset = 0;  // of the next byte to read
    Utf8Stream text;
    Timer timer;
    bool reading = false;
    bool notified = false;  // while reading
    bool paced = false;     // the next piece is there, and comes after a pause
};

struct Piece {
    std::string bytes;
    bool last = false;  // the run is over and nothing is behind these bytes
    std::string state;
};

Result<Piece> read_piece(Store& store, const LogFiles& files, const Follower& follower, std::size_t max) {
    // The state before the bytes: a run that is over has all its bytes in the file.
    std::optional<StoredRun> stored;
    const auto read = store.read([&](soci::session& sql) -> Result<> {
        stored = find_run(sql, follower.run_id);
        return {};
    });
    if (!read) return propagate(read);
    auto bytes = files.read(follower.run_id, follower.stream, follower.offset, max);
    if (!bytes) return propagate(bytes);
    Piece piece;
    const bool over = !stored || task::is_terminal(stored->run.state);
    piece.last = over && bytes->size() < max;
    if (stored) piece.state = task::to_string(stored->run.state);
    piece.bytes = std::move(*bytes);
    return piece;
}

}  // namespace

struct LogHub::Impl : std::enable_shared_from_this<LogHub::Impl> {
    Impl(Loop& the_loop, Worker& the_worker, Store& the_store, const LogFiles& the_files, LogHubOptions the_options)
        : loop(the_loop), worker(the_worker), store(the_store), files(the_files), options(the_options) {}

    void read(const std::shared_ptr<Follower>& follower) {
        if (closed) return;
        if (!follower->events->open()) return drop(follower);
        follower->reading = true;
        follower->notified = false;
        follower->paced = false;
        follower->timer.cancel();
        worker.submit([self = shared_from_this(), follower] {
            auto piece = std::make_shared<Result<Piece>>(read_piece(self->store, self->files, *follower, self->options.piece));
            self->loop.post([self, follower, piece] { self->send(follower, *piece); });
        });
    }

    void send(const std::shared_ptr<Follower>& follower, const Result<Piece>& piece) {
        follower->reading = false;
        if (closed) return;
        if (!piece) {
            log::warn("log of run {} for a follower: {}", follower->run_id, piece.error().message);
            return wait(follower, options.look_again);
        }
        const std::uint64_t begin = follower->offset - follower->text.held();
        std::string text = follower->text.take(piece->bytes);
        follower->offset += piece->bytes.size();
        if (piece->last) text += follower->text.finish();
        if (!text.empty() && !send_text(*follower, begin, text)) return drop(follower);
        if (piece->last) {
            json::Writer out;
            out.begin_object().member("state", piece->state).end_object();
            follower->events->send("end", out.text(), std::to_string(follower->offset));
            follower->events->close();
            return drop(follower);
        }
        follower->paced = piece->bytes.size() == options.piece;
        if (follower->paced) return wait(follower, options.pause);
        if (follower->notified) return read(follower);
        wait(follower, options.look_again);
    }

    static bool send_text(Follower& follower, std::uint64_t begin, const std::string& text) {
        json::Writer out;
        out.begin_object().member("offset", begin).member("text", text).end_object();
        return follower.events->send("log", out.text(), std::to_string(follower.offset - follower.text.held()));
    }

    void wait(const std::shared_ptr<Follower>& follower, Duration delay) {
        follower->timer = loop.after(delay, [self = weak_from_this(), weak = std::weak_ptr(follower)] {
            const auto hub = self.lock();
            const auto waiting = weak.lock();
            if (hub && waiting && !waiting->reading) hub->read(waiting);
        });
    }

    void drop(const std::shared_ptr<Follower>& follower) {
        follower->timer.cancel();
        const auto [begin, end] = followers.equal_range(follower->run_id);
        for (auto each = begin; each != end; ++each) {
            if (each->second == follower) {
                followers.erase(each);
                return;
            }
        }
    }

    Loop& loop;
    Worker& worker;
    Store& store;
    const LogFiles& files;
    const LogHubOptions options;
    std::multimap<std::string, std::shared_ptr<Follower>> followers;  // by run
    bool closed = false;
};

LogHub::LogHub(Loop& loop, Worker& worker, Store& store, const LogFiles& files, LogHubOptions options)
    : impl_(std::make_shared<Impl>(loop, worker, store, files, options)) {}

LogHub::~LogHub() { close(); }

void LogHub::follow(std::shared_ptr<http::EventStream> events, std::string run_id, LogStream stream, std::uint64_t from) {
    impl_->loop.assert_on_loop();
    if (impl_->closed) return events->close();
    auto follower = std::make_shared<Follower>();
    follower->events = std::move(events);
    follower->run_id = std::move(run_id);
    follower->stream = stream;
    follower->offset = from;
    impl_->followers.emplace(follower->run_id, follower);
    impl_->read(follower);
}

void LogHub::notify(const std::set<std::string>& run_ids) {
    impl_->loop.post([self = std::weak_ptr(impl_), run_ids] {
        const auto hub = self.lock();
        if (!hub || hub->followers.empty()) return;
        std::vector<std::shared_ptr<Follower>> told;
        for (const auto& run_id : run_ids) {
            const auto [begin, end] = hub->followers.equal_range(run_id);
            for (auto each = begin; each != end; ++each) told.push_back(each->second);
        }
        for (const auto& follower : told) {
            follower->notified = true;
            if (!follower->reading && !follower->paced) hub->read(follower);
        }
    });
}

void LogHub::close() {
    impl_->closed = true;
    for (const auto& [run_id, follower] : std::exchange(impl_->followers, {})) {
        follower->timer.cancel();
        follower->events->close();
    }
}

std::size_t LogHub::followers() const { return impl_->followers.size(); }

}  // namespace cloudtask::center
