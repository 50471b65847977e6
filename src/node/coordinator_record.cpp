// Coordinator: the horizon record of a session, how it is made, written and found out about; and whether this machine's clock agrees with
// ZooKeeper's, by whose answers it is judged.
#include <algorithm>

#include "cloudtask/core/log.h"
#include "node/coordinator_impl.h"
#include "node/run_keys.h"

namespace cloudtask::node {

namespace {

constexpr Duration kPulse = std::chrono::seconds{1};  // how often the record is looked at when nothing else calls for it
constexpr Duration kSkewRetry = std::chrono::seconds{10};

}  // namespace

void Coordinator::Impl::make_record() {
    zk::Keeper* keeper = client.keeper();
    if (keeper == nullptr) return;
    if (!record_asked) record_asked = present();
    NamedKeys named;
    for (const auto& [key, since] : running) named.add(key);  // it owns nothing yet, so all of them count
    ring::HorizonRecord first;
    first.running = named.take();
    keeper->create(record_path(), ring::write_horizon(first), zk::CreateMode::persistent,
                   [weak = weak_from_this(), now = generation](Result<zk::Created> created) {
                       const auto self = weak.lock();
                       if (!self || self->generation != now || !self->duties) return;
                       // Its name is random: if it exists, an earlier try of ours made it.
                       if (!created && !created.error().is(zk::Errc::node_exists)) {
                           return self->later(kRetry, [self = self.get()] { self->try_register(); });
                       }
                       self->read_record();
                   });
}

void Coordinator::Impl::read_record() {
    zk::Keeper* keeper = client.keeper();
    if (keeper == nullptr) return;
    keeper->get(record_path(), {}, [weak = weak_from_this(), now = generation](Result<zk::Znode> read) {
        const auto self = weak.lock();
        if (!self || self->generation != now || !self->duties || self->record_made) return;
        if (!read || !self->record_asked) return self->later(kRetry, [self = self.get()] { self->try_register(); });
        if (!self->clock_agrees(*self->record_asked, read->stat.mtime)) return self->ask_again_later();
        self->record_version = read->stat.version;
        self->record_made = true;
        self->allocation_changed();
        self->try_register();
    });
}

void Coordinator::Impl::ask_again_later() {
    record_asked.reset();
    if (zk::Keeper* keeper = client.keeper()) keeper->erase(record_path(), zk::kAnyVersion, [](const Result<>&) {});
    later(kSkewRetry, [this] { try_register(); });
}

bool Coordinator::Impl::clock_agrees(const Moment& asked, Instant server_time) {
    const Instant answered = asked.wall + (loop.clock().steady_now() - asked.steady);
    const Duration skew = server_time < asked.wall ? asked.wall - server_time
                          : server_time > answered ? server_time - answered
                                                   : Duration::zero();
    if (skew <= options.max_clock_skew) {
        agreement = asked;
        return true;
    }
    log::error(
        "the clock of this machine differs from ZooKeeper's by {} ms, more than the {} ms allowed: this node takes no part until it "
        "agrees",
        skew.count() / 1000, options.max_clock_skew.count() / 1000);
    return false;
}

bool Coordinator::Impl::clock_has_stepped() const {
    const Duration wall = loop.clock().now() - agreement.wall;
    const Duration steady = loop.clock().steady_now() - agreement.steady;
    return (wall > steady ? wall - steady : steady - wall) > options.max_clock_skew;
}

void Coordinator::Impl::distrust_clock() {
    log::error("the clock of this machine was set to another time: this node claims nothing more before it has compared it anew");
    client.renew();
}

void Coordinator::Impl::pump() {
    if (!duties || !registered) return;
    zk::Keeper* keeper = client.keeper();
    if (keeper == nullptr) return;
    const Instant now = loop.clock().now();
    if (clock_has_stepped()) return distrust_clock();
    if (auto record = duties->next_write(now, hooks.earliest_unstarted())) {
        write(*keeper, ring::write_horizon(*record));
    }
    arm_pulse(now);
}

void Coordinator::Impl::arm_pulse(Instant now) {
    Duration delay = kPulse;
    if (const auto due = duties->next_due()) {
        // While fires are near, often enough that the horizon is raised well before it is reached.
        const Instant raise_at = *due - options.duties.lead();
        delay = std::min(delay, raise_at > now ? raise_at - now : options.duties.horizon / 8);
    }
    if (const auto naming = duties->naming_due()) delay = std::min(delay, *naming - now);
    pulse = loop.after(std::max(delay, Duration{std::chrono::milliseconds{1}}), [this] { pump(); });
}

void Coordinator::Impl::write(zk::Keeper& keeper, std::string text) {
    keeper.set(record_path(), text, record_version,
               [weak = weak_from_this(), now = generation, text, asked = present()](Result<zk::Stat> stat) {
                   const auto self = weak.lock();
                   if (!self || self->generation != now || !self->duties) return;
                   if (stat) return self->record_written(stat->version, asked, stat->mtime);
                   if (stat.error().is(zk::Errc::session_expired) || stat.error().is(zk::Errc::closing)) return;  // end_session follows
                   self->find_out(text, asked);
               });
}

void Coordinator::Impl::record_written(std::int32_t version, const Moment& asked, Instant server_time) {
    // A horizon that a wrong clock has raised stands in ZooKeeper now, for others to beware of; this node starts nothing by it.
    if (!clock_agrees(asked, server_time)) return client.renew();
    record_version = version;
    duties->written();
    remember();
    watch_neighbours();
    changed();
}

void Coordinator::Impl::find_out(const std::string& text, const Moment& asked) {
    zk::Keeper* keeper = client.keeper();
    if (keeper == nullptr) return;
    keeper->get(record_path(), {}, [weak = weak_from_this(), now = generation, text, asked](Result<zk::Znode> read) {
        const auto self = weak.lock();
        if (!self || self->generation != now || !self->duties) return;
        if (read && read->data == text && read->stat.version == self->record_version + 1) {
            return self->record_written(read->stat.version, asked, read->stat.mtime);
        }
        if (read && read->stat.version == self->record_version) {
            self->duties->not_written();
            return self->later(kRetry, [self = self.get()] { self->pump(); });
        }
        if (read || read.error().is(zk::Errc::no_node)) {
            log::error("somebody else has written the horizon record of incarnation {}: it goes no further", self->incarnation);
            return self->client.renew();
        }
        self->later(kRetry, [self = self.get(), text, asked] { self->find_out(text, asked); });
    });
}

}  // namespace cloudtask::node
