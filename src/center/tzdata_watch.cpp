// When the system's tzdata is looked at: see tzdata_watch.h.
#include "center/tzdata_watch.h"

#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

constexpr Duration kFirstLook = std::chrono::seconds{5};
constexpr Duration kLookEvery = std::chrono::hours{1};

}  // namespace

struct TzdataWatch::Impl : std::enable_shared_from_this<TzdataWatch::Impl> {
    Impl(Loop& the_loop, Worker& the_worker, TzdataParts parts, std::function<void()> the_mail_waiting)
        : loop(the_loop), worker(the_worker), check(std::move(parts)), mail_waiting(std::move(the_mail_waiting)) {}

    void arm(Duration delay) {
        timer = loop.after(delay, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->look();
        });
    }

    void look() {
        worker.submit([self = shared_from_this(), now = loop.clock().now()] {
            const auto outcome = self->check.look(now);
            if (!outcome) log::warn("tzdata cannot be looked at: {}", outcome.error().message);
            if (outcome && outcome->mails > 0) self->mail_waiting();
            self->loop.post([self] {
                if (!self->closed) self->arm(kLookEvery);
            });
        });
    }

    Loop& loop;
    Worker& worker;
    TzdataCheck check;
    const std::function<void()> mail_waiting;
    bool closed = false;
    Timer timer;
};

TzdataWatch::TzdataWatch(Loop& loop, Worker& worker, TzdataParts parts, std::function<void()> mail_waiting)
    : impl_(std::make_shared<Impl>(loop, worker, std::move(parts), std::move(mail_waiting))) {}

TzdataWatch::~TzdataWatch() {
    impl_->closed = true;
    impl_->timer.cancel();
}

void TzdataWatch::start() {
    impl_->loop.assert_on_loop();
    impl_->arm(kFirstLook);
}

}  // namespace cloudtask::center
