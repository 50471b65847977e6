// Recipe: what all recipes share: a place among the Client's observers, the present generation, callbacks that vanish with the recipe or
// the session, and a retry timer. Lives on the loop. It decides nothing about znodes.
//
// A recipe's Impl derives from it, is owned by one shared_ptr, and is never kept alive by its own callbacks: they hold weak pointers.
#pragma once

#include <memory>
#include <utility>

#include "cloudtask/core/log.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/zk/client.h"
#include "zk/backoff.h"

namespace cloudtask::zk {

// Watches are hints: everything is read again this often.
inline constexpr Duration kRereadInterval = std::chrono::minutes{3};

template <class Derived>
class Recipe : public std::enable_shared_from_this<Derived> {
  public:
    Recipe(Loop& loop, Client& client) : loop_(loop), random_(client.random()) {}

    // Calls Derived::begin() at each session and Derived::end() when it is over; after construction, since it needs the shared_ptr.
    void attach(Client& client) {
        Client::Observer observer;
        observer.on_session = [weak = this->weak_from_this()](Keeper&, std::uint64_t generation) {
            const auto self = weak.lock();
            if (!self) return;
            self->generation_ = generation;
            self->backoff_.reset();
            self->reread_later();
            self->begin();
        };
        observer.on_connection = [weak = this->weak_from_this()](bool up) {
            const auto self = weak.lock();
            if (self && up) self->retry_now();
        };
        observer.on_session_end = [weak = this->weak_from_this()](std::uint64_t) {
            const auto self = weak.lock();
            if (!self) return;
            self->generation_ = 0;
            self->retry_ = nullptr;
            self->retry_timer_.cancel();
            self->reread_timer_.cancel();
            self->end();
        };
        subscription_ = client.subscribe(std::move(observer));
    }

  protected:
    Keeper* keeper() const { return generation_ == 0 ? nullptr : subscription_.keeper(generation_); }

    // `function(self, arguments...)`, called only while the recipe lives and its session is the one of now.
    template <class Function>
    auto guarded(Function function) {
        return [weak = this->weak_from_this(), generation = generation_, function = std::move(function)](auto&&... arguments) {
            const auto self = weak.lock();
            if (self && self->generation_ == generation && self->keeper()) {
                function(*self, std::forward<decltype(arguments)>(arguments)...);
            }
        };
    }

    // Calls `again` after the next backoff step, or when contact is back. One retry is pending at a time: a later call replaces it.
    void retry_later(void (Derived::*again)()) {
        retry_ = again;
        retry_timer_ = loop_.after(backoff_.next(random_), guarded([](Derived& self) { self.retry_now(); }));
    }

    Loop& loop_;
    Random& random_;
    Client::Subscription subscription_;
    std::uint64_t generation_ = 0;  // 0: no session
    Backoff backoff_{std::chrono::milliseconds{50}, std::chrono::seconds{5}};

  private:
    void retry_now() {
        retry_timer_.cancel();
        if (const auto again = std::exchange(retry_, nullptr); again && keeper()) (static_cast<Derived&>(*this).*again)();
    }

    void reread_later() {
        const auto spread = static_cast<Duration::rep>(random_.below(static_cast<std::uint64_t>(kRereadInterval.count() / 4)));
        reread_timer_ = loop_.after(kRereadInterval - Duration{spread}, guarded([](Derived& self) {
                                        self.reread_later();
                                        self.reread();
                                    }));
    }

    void (Derived::*retry_)() = nullptr;
    Timer retry_timer_, reread_timer_;
};

}  // namespace cloudtask::zk
