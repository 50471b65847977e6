// OutboxSender: a circle of five steps, one batch at a time: drop what is delivered and read what is next (disk), make the body (worker),
// send, judge, gather. Whatever fails waits and is done again; so a report leaves the outbox only when the center has it.
#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "cloudtask/core/log.h"
#include "node/backoff.h"
#include "node/center_answer.h"
#include "node/center_link.h"
#include "node/report_batch.h"

namespace cloudtask::node {

namespace {

// Batches follow each other no sooner than this, unless a whole one waits already: each is a transaction of the center, whatever it holds.
constexpr Duration kGather = std::chrono::milliseconds{100};

// The center read the batch and will never take it. Any other refusal (a proxy's 404, a lost token) says nothing of the reports.
bool blames_content(int status) { return status == 400 || status == 413 || status == 422; }

}  // namespace

struct OutboxSender::Impl : std::enable_shared_from_this<Impl> {
    using OutputFolder = std::function<std::string(const std::string&)>;
    using MaskOf = std::function<std::shared_ptr<const RunMask>(const std::string&)>;
    using Reports = std::vector<OutgoingReport>;
    struct Front {
        std::vector<Report> reports;
        std::int64_t depth = 0;  // of the outbox, with them
    };

    Impl(Loop& loop_in, Random& random_in, Worker& worker_in, http::Client& client_in, Disk& disk_in, OutputFolder output_folder_in,
         MaskOf mask_of_in)
        : loop(loop_in),
          worker(worker_in),
          client(client_in),
          disk(disk_in),
          output_folder(std::move(output_folder_in)),
          mask_of(std::move(mask_of_in)),
          retry(loop_in, random_in, "reports") {}

    Loop& loop;
    Worker& worker;
    http::Client& client;
    Disk& disk;
    const OutputFolder output_folder;
    const MaskOf mask_of;
    std::function<void()> on_delivered;
    Retry retry;
    SteadyInstant next_batch{};  // not before
    Timer gather;
    std::int64_t delivered = 0;
    std::optional<std::int64_t> pending;  // in the outbox when it was read last
    std::size_t alone = 0;                // so many reports are sent one by one, because the center refused them together
    bool started = false;
    bool busy = false;   // somewhere in the circle
    bool woken = false;  // since the outbox was read last
    bool closed = false;

    // Drops the reports up to `position` (the last `count` that the center took), then goes on with the next.
    void advance(std::int64_t position, std::size_t count) {
        busy = true;
        woken = false;
        const std::size_t next = alone > 0 ? 1 : kMaxBatchReports;
        disk.run<Front>(
            [position, next](NodeStore& store) -> Result<Front> {
                if (const auto dropped = store.delivered_until(position); !dropped) return propagate(dropped);
                auto reports = store.oldest_reports(next);
                if (!reports) return propagate(reports);
                const auto depth = store.outbox_depth();
                if (!depth) return propagate(depth);
                return Front{std::move(*reports), *depth};
            },
            [weak = weak_from_this(), position, count](Result<Front> front) {
                const auto self = weak.lock();
                if (self && !self->closed) self->advanced(position, count, std::move(front));
            });
    }

    void advanced(std::int64_t position, std::size_t count, Result<Front> front) {
        if (!front) return retry.failed(front.error(), [this, position, count] { advance(position, count); });
        pending = front->depth;
        if (!front->reports.empty()) {
            prepare(std::move(front->reports));
        } else if (woken) {
            advance(0, 0);
        } else {
            busy = false;
            alone = 0;
        }
        if (count == 0) return;
        delivered += static_cast<std::int64_t>(count);
        if (on_delivered) on_delivered();
    }

    void prepare(std::vector<Report> reports) {
        const auto outgoing = std::make_shared<Reports>();
        std::map<std::string, std::shared_ptr<const RunMask>> masks;  // by run: it may hold megabytes
        for (Report& report : reports) {
            OutgoingReport& next = outgoing->emplace_back();
            if (report.kind == Report::Kind::log) {
                next.output_path = output_path(output_folder(report.run_id), report.stream);
                const auto [mask, is_new] = masks.try_emplace(report.run_id);
                if (is_new && mask_of) mask->second = mask_of(report.run_id);
                next.mask = mask->second;
            }
            next.report = std::move(report);
        }
        worker.submit([&to = loop, weak = weak_from_this(), outgoing, depth = pending.value_or(0)] {
            const auto batch = std::make_shared<ReportBody>(make_report_body(*outgoing, depth));
            to.post([weak, outgoing, batch] {
                const auto self = weak.lock();
                if (!self || self->closed) return;
                outgoing->resize(batch->count);
                self->send(outgoing, std::make_shared<const std::string>(std::move(batch->body)));
            });
        });
    }

    // Goes on behind the `count` reports up to `position`, which the center took.
    void go_on(std::int64_t position, std::size_t count) {
        const SteadyInstant now = loop.clock().steady_now();
        const std::int64_t left = pending.value_or(0) - static_cast<std::int64_t>(count);
        const bool whole = alone > 0 || left >= static_cast<std::int64_t>(kMaxBatchReports);
        if (whole || now >= next_batch) return advance(position, count);
        gather = loop.after(next_batch - now, [this, position, count] { advance(position, count); });
    }

    void send(const std::shared_ptr<Reports>& reports, const std::shared_ptr<const std::string>& body) {
        http::ClientRequest request;
        request.method = "POST";
        request.target = "/api/v1/node/reports";
        request.body = *body;
        next_batch = loop.clock().steady_now() + kGather;
        client.send(std::move(request), [weak = weak_from_this(), reports, body](Result<http::Response> answer) {
            const auto self = weak.lock();
            if (self && !self->closed) self->answered(reports, body, std::move(answer));
        });
    }

    void answered(const std::shared_ptr<Reports>& reports, const std::shared_ptr<const std::string>& body, Result<http::Response> answer) {
        const int status = answer ? answer->status : 0;
        const auto good = judge_for_node(std::move(answer));
        const std::int64_t last = reports->back().report.position;
        if (good) {
            retry.succeeded();
            alone -= std::min(alone, reports->size());
            return go_on(last, reports->size());
        }
        if (!blames_content(status)) return retry.failed(good.error(), [this, reports, body] { send(reports, body); });
        retry.succeeded();
        if (reports->size() > 1) {
            log::error("reports: the center refused {} reports together, they are sent one by one: {}", reports->size(),
                       good.error().message);
            alone = reports->size();
            return advance(0, 0);
        }
        const Report& report = reports->front().report;
        log::error("reports: the center refused report {} of {} (run {}), it is dropped: {}", report.sequence, report.incarnation,
                   report.run_id.empty() ? "none" : report.run_id, good.error().message);
        alone -= std::min<std::size_t>(alone, 1);
        advance(last, 0);
    }
};

OutboxSender::OutboxSender(Loop& loop, Random& random, Worker& worker, http::Client& client, Disk& disk,
                           std::function<std::string(const std::string& run_id)> output_folder,
                           std::function<std::shared_ptr<const RunMask>(const std::string& run_id)> mask_of)
    : impl_(std::make_shared<Impl>(loop, random, worker, client, disk, std::move(output_folder), std::move(mask_of))) {}

OutboxSender::~OutboxSender() {
    impl_->closed = true;
    impl_->gather.cancel();
    impl_->retry.cancel();
}

void OutboxSender::start() {
    impl_->loop.assert_on_loop();
    if (std::exchange(impl_->started, true)) return;
    impl_->advance(0, 0);
}

void OutboxSender::wake() {
    impl_->loop.assert_on_loop();
    impl_->woken = true;
    if (impl_->started && !impl_->busy) impl_->advance(0, 0);
}

void OutboxSender::on_delivered(std::function<void()> handler) { impl_->on_delivered = std::move(handler); }

std::int64_t OutboxSender::delivered() const { return impl_->delivered; }

std::optional<std::int64_t> OutboxSender::pending() const { return impl_->pending; }

bool OutboxSender::idle() const { return !impl_->busy; }

}  // namespace cloudtask::node
