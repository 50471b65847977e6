// The ledger's gauges: see ledger_watch.h.
#include "center/ledger_watch.h"

#include <atomic>
#include <limits>

#include "center/ledger_report.h"
#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

// What the page shows; it may be read while the watch is gone.
struct Figures {
    std::atomic<double> unexplained{std::numeric_limits<double>::quiet_NaN()};
    std::atomic<double> unreadable{std::numeric_limits<double>::quiet_NaN()};
    std::atomic<double> awaited{std::numeric_limits<double>::quiet_NaN()};
};

}  // namespace

struct LedgerWatch::Impl : std::enable_shared_from_this<LedgerWatch::Impl> {
    Impl(Loop& the_loop, Worker& the_worker, LedgerWatchParts the_parts) : loop(the_loop), worker(the_worker), parts(the_parts) {}

    void arm(Duration delay) {
        timer = loop.after(delay, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->step();
        });
    }

    void begin() {
        const Instant now = loop.clock().now();
        LedgerRequest request;
        request.to = now - parts.rules.grace;
        request.from = request.to - parts.window;
        request.rules = parts.rules;
        request.back_by_tolerance = true;
        request.max_fires = std::numeric_limits<std::uint64_t>::max();
        account = std::make_shared<LedgerAccount>(std::move(request), parts.cluster.get(), now);
    }

    void step() {
        if (!account) begin();
        worker.submit([self = shared_from_this(), current = account] {
            const auto more = current->next_page(self->parts.store, self->parts.step_tasks);
            if (!more) log::warn("the ledger cannot be worked out: {}", more.error().message);
            self->loop.post([self, done = !more || !*more, good = more.has_value()] { self->stepped(done, good); });
        });
    }

    void stepped(bool done, bool good) {
        if (closed) return;
        if (!done) return arm(parts.step_every);
        if (good) {
            tell(account->sum());
        } else {
            forget();
        }
        account.reset();
        arm(parts.pause);
    }

    // What cannot be worked out is not known: an old figure would say that all is well.
    void forget() {
        figures->unexplained = std::numeric_limits<double>::quiet_NaN();
        figures->unreadable = std::numeric_limits<double>::quiet_NaN();
        figures->awaited = std::numeric_limits<double>::quiet_NaN();
    }

    void tell(const LedgerSum& sum) {
        const auto unexplained = static_cast<double>(sum.counts.of(FireVerdict::unexplained));
        if (!sum.unreadable.empty() && figures->unreadable.load() != static_cast<double>(sum.unreadable.size())) {
            const auto& first = sum.unreadable.front();
            log::error("{} versions of definitions cannot be read; the first is {} of {}/{}/{}: {}", sum.unreadable.size(), first.version,
                       first.runtime, first.group, first.name, first.problem);
        }
        figures->unreadable = static_cast<double>(sum.unreadable.size());
        if (unexplained > 0 && unexplained != figures->unexplained.load()) {
            const auto& first = sum.unexplained.front();
            log::error("{} fires of the last hour are not accounted for; the first is {} of {}/{}/{}", unexplained,
                       format_instant(first.time), first.runtime, first.group, first.name);
        }
        figures->unexplained = unexplained;
        figures->awaited = static_cast<double>(sum.counts.of(FireVerdict::awaited));
    }

    Loop& loop;
    Worker& worker;
    const LedgerWatchParts parts;
    std::shared_ptr<LedgerAccount> account;  // of the pass that is under way
    std::shared_ptr<Figures> figures = std::make_shared<Figures>();
    bool closed = false;
    Timer timer;
};

LedgerWatch::LedgerWatch(Loop& loop, Worker& worker, Metrics& metrics, LedgerWatchParts parts)
    : impl_(std::make_shared<Impl>(loop, worker, parts)) {
    metrics.add_gauge("cloudtask_fires_unexplained",
                      "Fires that became overdue (misfire tolerance and ledger.grace) in the last hour and of which nothing is known; see "
                      "cloudtask verify. "
                      "NaN before the first pass.",
                      [figures = impl_->figures] { return figures->unexplained.load(); });
    metrics.add_gauge(
        "cloudtask_fires_awaited",
        "Fires that became overdue in the last hour of which a node that is offline, or sends what has gathered, may still have to tell.",
        [figures = impl_->figures] { return figures->awaited.load(); });
    metrics.add_gauge("cloudtask_definitions_unreadable",
                      "Versions of definitions, in force within that time, that cannot be read: what was due by them is not known.",
                      [figures = impl_->figures] { return figures->unreadable.load(); });
}

LedgerWatch::~LedgerWatch() {
    impl_->closed = true;
    impl_->timer.cancel();
}

void LedgerWatch::start() {
    impl_->loop.assert_on_loop();
    impl_->arm(impl_->parts.pause);
}

}  // namespace cloudtask::center
