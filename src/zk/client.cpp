// The life of sessions, one after the other. Lives on the loop; knows no znode but those it is asked to discard.
#include "cloudtask/zk/client.h"

#include <algorithm>
#include <map>
#include <vector>

#include "cloudtask/core/log.h"
#include "cloudtask/core/units.h"
#include "zk/backoff.h"
#include "zk/checks.h"

namespace cloudtask::zk {

namespace {

constexpr Duration kFirstRetry = std::chrono::milliseconds{100};
constexpr Duration kLastRetry = std::chrono::seconds{10};
constexpr Duration kFirstNotice = std::chrono::seconds{1};
constexpr Duration kLastNotice = std::chrono::minutes{1};

}  // namespace

struct Client::Entry {
    Observer observer;
    bool alive = true;
    std::uint64_t told = 0;  // the generation whose on_session it was given
};

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
    Impl(Loop& a_loop, Random& a_random, Factory a_factory) : loop(a_loop), random(a_random), factory(std::move(a_factory)) {}

    Loop& loop;
    Random& random;
    Factory factory;
    std::vector<std::shared_ptr<Entry>> entries;

    std::unique_ptr<Keeper> keeper;
    std::uint64_t opening = 0;     // numbers keepers, so that a late word of an old one is told apart
    std::uint64_t generation = 0;  // numbers established sessions
    bool established = false;
    bool connected = false;
    bool started = false;
    bool stopped = false;

    std::map<std::uint64_t, std::unique_ptr<Keeper>> closing;  // by opening; until their close is done
    std::vector<std::function<void()>> stop_waiters;

    Backoff retry{kFirstRetry, kLastRetry};
    Timer retry_timer;
    bool first_try = true;

    SteadyInstant without_contact_since{};
    Duration notice_step{};
    Timer notice_timer;

    std::shared_ptr<Entry> add(Observer observer) {
        loop.assert_on_loop();
        auto entry = std::make_shared<Entry>();
        entry->observer = std::move(observer);
        entries.push_back(entry);
        if (established) {
            loop.post([weak = weak_from_this(), entry] {
                if (const auto self = weak.lock()) self->tell_session(*entry);
            });
        }
        return entry;
    }

    void remove(const std::shared_ptr<Entry>& entry) {
        entry->alive = false;
        entry->observer = {};
        std::erase(entries, entry);
    }

    void tell_session(Entry& entry) {
        if (!entry.alive || !established || entry.told == generation) return;
        entry.told = generation;
        const auto call = entry.observer.on_session;  // a copy: the observer may take itself away
        if (call) call(*keeper, generation);
    }

    void tell_connection(bool up) {
        for (const auto& entry : std::vector(entries)) {
            if (!entry->alive || entry->told != generation) continue;
            const auto call = entry->observer.on_connection;
            if (call) call(up);
        }
    }

    void open() {
        if (stopped) return;
        ++opening;
        keeper = factory();
        keeper->on_state([weak = weak_from_this(), mine = opening](SessionState state) {
            const auto self = weak.lock();
            if (self && self->keeper && self->opening == mine) self->on_state(state);
        });
        begin_notices();
    }

    void on_state(SessionState state) {
        switch (state) {
            case SessionState::connected:
                end_notices();
                connected = true;
                if (established) {
                    tell_connection(true);
                    work_off_discards();
                    return;
                }
                established = true;
                ++generation;
                first_try = true;
                retry.reset();
                log::info("ZooKeeper session {:#x} is established", static_cast<std::uint64_t>(keeper->session_id()));
                for (const auto& entry : std::vector(entries)) tell_session(*entry);
                return;
            case SessionState::connecting:
                if (!connected) return;
                connected = false;
                log::warn("contact with ZooKeeper is lost; trying to get it back");
                begin_notices();
                tell_connection(false);
                return;
            case SessionState::expired:
                log::warn("the ZooKeeper session has expired; a new one follows");
                break;
            case SessionState::auth_failed:
                log::error("ZooKeeper refused our authentication; is the cluster secret the same everywhere?");
                break;
            case SessionState::closed:
                break;
        }
        end_session();
    }

    // Lets go of the present keeper; the next one follows when it is closed.
    void end_session() {
        const bool was_established = established;
        established = false;
        connected = false;
        discards.clear();
        end_notices();
        const std::uint64_t mine = opening;
        Keeper& ending = *keeper;
        closing.emplace(mine, std::move(keeper));
        if (was_established) {
            for (const auto& entry : std::vector(entries)) {
                if (!entry->alive || entry->told != generation) continue;
                const auto call = entry->observer.on_session_end;
                if (call) call(generation);
            }
        }
        ending.close([weak = weak_from_this(), mine] {
            const auto self = weak.lock();
            if (!self) return;
            // Not from inside a call of the keeper itself.
            self->loop.post([weak, mine] {
                if (const auto again = weak.lock()) again->closed(mine);
            });
        });
    }

    void closed(std::uint64_t mine) {
        closing.erase(mine);
        if (stopped) {
            if (!closing.empty()) return;
            for (const auto& waiter : std::exchange(stop_waiters, {})) waiter();
            return;
        }
        const Duration delay = first_try ? Duration::zero() : retry.next(random);
        first_try = false;
        retry_timer = loop.after(delay, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->open();
        });
    }

    void renew() {
        loop.post([weak = weak_from_this()] {
            const auto self = weak.lock();
            if (self && self->keeper && !self->stopped) self->end_session();
        });
    }

    void stop(std::function<void()> done) {
        loop.post([self = shared_from_this(), done = std::move(done)]() mutable {
            self->stopped = true;
            self->retry_timer.cancel();
            self->stop_waiters.push_back(std::move(done));
            if (self->keeper) self->end_session();
            if (!self->closing.empty()) return;
            for (const auto& waiter : std::exchange(self->stop_waiters, {})) waiter();
        });
    }

    void begin_notices() {
        without_contact_since = loop.clock().steady_now();
        notice_step = kFirstNotice;
        schedule_notice();
    }

    void schedule_notice() {
        notice_timer = loop.after(notice_step, [weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            const auto waited =
                std::chrono::duration_cast<std::chrono::seconds>(self->loop.clock().steady_now() - self->without_contact_since);
            log::warn("ZooKeeper has not answered for {}; still trying", format_duration(waited));
            self->notice_step = std::min(kLastNotice, 2 * self->notice_step);
            self->schedule_notice();
        });
    }

    void end_notices() { notice_timer.cancel(); }

    // Znodes of this session that nobody wants any more.
    struct Discard {
        std::string folder, prefix;
        std::uint64_t generation;
    };
    std::map<std::uint64_t, Discard> discards;
    std::uint64_t next_discard = 0;
    Backoff discard_retry{kFirstRetry, kLastRetry};
    Timer discard_timer;

    void discard(std::string folder, std::string prefix) {
        if (!established) return;
        discards.emplace(next_discard, Discard{std::move(folder), std::move(prefix), generation});
        work_off(next_discard++);
    }

    void work_off_discards() {
        std::vector<std::uint64_t> numbers;
        for (const auto& [number, discard] : discards) numbers.push_back(number);
        for (const std::uint64_t number : numbers) work_off(number);
    }

    void work_off(std::uint64_t number) {
        const auto found = discards.find(number);
        if (found == discards.end() || !connected) return;
        keeper->children(found->second.folder, {}, [weak = weak_from_this(), number](Result<Children> children) {
            const auto self = weak.lock();
            if (!self) return;
            const auto waiting = self->discards.find(number);
            if (waiting == self->discards.end() || !self->established) return;
            if (!children && children.error().is(Errc::no_node)) children = Children{};
            if (!children) {
                self->discard_later();
                return;
            }
            const Discard& discard = waiting->second;
            bool left = false;
            for (const std::string& name : children->names) {
                if (!name.starts_with(discard.prefix)) continue;
                left = true;
                self->keeper->erase(join(discard.folder, name), kAnyVersion, [](const Result<>&) {});
            }
            // Listed once more after the erasures: what is not seen to be gone is not gone.
            if (left) {
                self->discard_later();
            } else {
                self->discards.erase(waiting);
                self->discard_retry.reset();
            }
        });
    }

    void discard_later() {
        discard_timer = loop.after(discard_retry.next(random), [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->work_off_discards();
        });
    }
};

Client::Client(Loop& loop, Random& random, Factory factory) : impl_(std::make_shared<Impl>(loop, random, std::move(factory))) {}

Client::~Client() {
    impl_->stopped = true;
    impl_->established = impl_->connected = false;
    for (const auto& entry : impl_->entries) entry->alive = false;
    impl_->entries.clear();
    impl_->discards.clear();
    impl_->retry_timer.cancel();
    impl_->notice_timer.cancel();
    impl_->discard_timer.cancel();
    impl_->keeper.reset();
    impl_->closing.clear();
}

void Client::observe(Observer observer) { impl_->add(std::move(observer)); }

Client::Subscription Client::subscribe(Observer observer) {
    Subscription subscription;
    subscription.client_ = impl_;
    subscription.entry_ = impl_->add(std::move(observer));
    return subscription;
}

void Client::start() {
    impl_->loop.assert_on_loop();
    CLOUDTASK_CHECK(!impl_->started, "a Client is started once");
    impl_->started = true;
    impl_->open();
}

void Client::renew() { impl_->renew(); }

void Client::stop(std::function<void()> done) { impl_->stop(std::move(done)); }

Keeper* Client::keeper() const { return impl_->established ? impl_->keeper.get() : nullptr; }

std::uint64_t Client::generation() const { return impl_->generation; }

bool Client::connected() const { return impl_->connected; }

Random& Client::random() const { return impl_->random; }

Client::Subscription& Client::Subscription::operator=(Subscription&& other) noexcept {
    std::swap(client_, other.client_);
    std::swap(entry_, other.entry_);
    return *this;
}

Client::Subscription::~Subscription() {
    if (!entry_) return;
    if (const auto client = client_.lock()) {
        client->remove(entry_);
    } else {
        entry_->alive = false;
    }
}

Keeper* Client::Subscription::keeper(std::uint64_t generation) const {
    const auto client = client_.lock();
    return client && client->established && client->generation == generation ? client->keeper.get() : nullptr;
}

void Client::Subscription::discard(std::string folder, std::string prefix) {
    if (const auto client = client_.lock()) client->discard(std::move(folder), std::move(prefix));
}

}  // namespace cloudtask::zk
