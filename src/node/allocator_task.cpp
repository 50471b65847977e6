// AllocatorTask: reads what the decision rests on, decides by ring::next_allocation, writes it in one fenced multi.
#include "node/allocator_task.h"

#include <algorithm>
#include <deque>

#include "cloudtask/core/log.h"

namespace cloudtask::node {

namespace {

// A horizon record that no live incarnation and no transition needs is erased once it is this old; younger ones may belong to a node that
// is about to register.
constexpr Duration kOrphanAge = std::chrono::minutes{5};
constexpr Duration kAllocatorRetry = std::chrono::milliseconds{200};
constexpr Duration kTimeToLearn =
    std::chrono::seconds{2};  // a node that hears the center has learnt a revision so long after it was published
constexpr Duration kHeldBack = std::chrono::seconds{5};  // for so long a newcomer is to know the very newest

// Does the live part of the ring hold the node of a dead incarnation again? Then it restarted, and waiting for other joins would only delay
// its tasks.
bool has_restarted(const ring::Allocation& current, const std::vector<std::string>& dead,
                   const std::map<std::string, ring::Registration>& present) {
    return std::any_of(current.nodes.begin(), current.nodes.end(), [&](const ring::Member& member) {
        return std::find(dead.begin(), dead.end(), member.incarnation) != dead.end() &&
               std::any_of(present.begin(), present.end(),
                           [&](const auto& entry) { return entry.second.member.id == member.id && !entry.second.leaving; });
    });
}

// What a newcomer has to know before it is let in. That is all that is published; while one change follows the other, nobody ever knows
// all, so that after a while what has been published for some time is enough.
class Required {
  public:
    void set_published(std::int64_t revision, SteadyInstant now) {
        if (changes_.empty() || changes_.back().revision != revision) changes_.push_back({now, revision});
        while (changes_.size() > 1 && changes_[1].at + kTimeToLearn <= now) changes_.pop_front();
    }
    std::int64_t published() const { return changes_.back().revision; }

    // `held_back`: somebody is, by published().
    std::int64_t decide(bool held_back, SteadyInstant now) {
        if (!held_back) held_back_since_.reset();
        if (held_back && !held_back_since_) held_back_since_ = now;
        return held_back && *held_back_since_ + kHeldBack <= now ? changes_.front().revision : published();
    }

  private:
    struct Change {
        SteadyInstant at;
        std::int64_t revision = 0;
    };
    std::deque<Change> changes_;  // oldest first; the first one has stood for kTimeToLearn, if there is one that has
    std::optional<SteadyInstant> held_back_since_;
};

}  // namespace

struct AllocatorTask::Impl : std::enable_shared_from_this<Impl> {
    Loop& loop;
    zk::Client& client;
    const zk::Election& election;
    zk::Mirror& allocation;
    const zk::Mirror& revision;
    AllocatorOptions options;
    std::unique_ptr<zk::FolderMirror> nodes;
    std::unique_ptr<zk::FolderMirror> horizons;  // while a transition is in progress

    bool busy = false;   // reading or writing
    bool again = false;  // something changed meanwhile
    std::optional<SteadyInstant> joins_since;
    Required required;
    std::optional<std::string> last_allocation;  // that stood in ZooKeeper in this session
    Timer timer;

    // The material of one decision.
    struct Decision {
        ring::ClusterState state;
        std::vector<std::string> dead;
        std::map<std::string, std::int32_t> versions;  // of the dead's horizon records
        std::optional<std::int32_t> allocation_version;
    };

    Impl(Loop& l, zk::Client& c, const zk::Election& e, zk::Mirror& a, const zk::Mirror& r, AllocatorOptions o)
        : loop(l), client(c), election(e), allocation(a), revision(r), options(std::move(o)) {}

    void watch_nodes() {
        nodes = std::make_unique<zk::FolderMirror>(loop, client, options.runtime_path + "/nodes", [this](const auto&) { consider(); });
    }

    // The present registrations by incarnation; nothing while they are not known for certain.
    std::optional<std::map<std::string, ring::Registration>> read_present() const {
        std::map<std::string, ring::Registration> present;
        for (const auto& [id, znode] : nodes->entries()) {
            auto registration = ring::read_registration(znode.data);
            if (!registration) {
                // Not taken for an absence: that would give away the tasks of a node that lives.
                log::error("the registration of node {} cannot be read, so the allocation is left as it is: {}", id,
                           registration.error().message);
                return std::nullopt;
            }
            present.emplace(registration->member.incarnation, std::move(*registration));
        }
        return present;
    }

    void consider() {
        if (busy) {
            again = true;
            return;
        }
        if (!election.leading() || !allocation.complete() || !revision.complete() || !nodes->complete() || client.keeper() == nullptr)
            return;
        Decision decision;
        if (!allocation.value() && last_allocation) return restore();
        if (const auto& znode = allocation.value()) {
            last_allocation = znode->data;
            auto current = ring::read_allocation(znode->data);
            if (!current) {
                log::error("{}", current.error().message);
                return;
            }
            decision.state.current = std::move(*current);
            decision.allocation_version = znode->stat.version;
        }
        auto present = read_present();
        if (!present) return;
        decision.state.present = std::move(*present);

        if (decision.state.current.previous.empty()) {
            horizons.reset();
        } else {
            if (!horizons) {
                horizons = std::make_unique<zk::FolderMirror>(loop, client, options.runtime_path + "/horizons",
                                                              [this](const auto&) { consider(); });
            }
            if (!horizons->complete()) return;
            for (const auto& [incarnation, znode] : horizons->entries()) {
                if (const auto record = ring::read_horizon(znode.data)) decision.state.horizons.emplace(incarnation, *record);
            }
        }
        const SteadyInstant now = loop.clock().steady_now();
        required.set_published(published_revision(revision.value()), now);
        decision.state.published = required.published();
        decision.state.published = required.decide(ring::holds_back(decision.state), now);
        decision.state.claims_end = loop.clock().now() + options.longest_claim;
        decision.dead = ring::newly_dead(decision.state.current, decision.state.present);
        busy = true;
        read_dead(std::move(decision), 0);
    }

    // The allocation was erased under a living ring. Its nodes still hold by it what they hold, so nothing but itself can take its place.
    void restore() {
        log::error("the allocation of {} was erased from ZooKeeper by somebody; it is put back", options.runtime_path);
        busy = true;
        client.keeper()->multi({election.fence(), zk::Op::create(options.runtime_path + "/allocation", *last_allocation)},
                               [weak = weak_from_this()](const Result<std::vector<zk::OpResult>>& written) {
                                   const auto self = weak.lock();
                                   if (!self) return;
                                   self->allocation.refresh();
                                   self->finish(!written);
                               });
    }

    // Reads the last record of each dead incarnation afresh: a mirror may lag behind its last write.
    void read_dead(Decision decision, std::size_t index) {
        if (index == decision.dead.size()) {
            decide(std::move(decision));
            return;
        }
        zk::Keeper* keeper = client.keeper();
        if (keeper == nullptr) return finish(false);
        const std::string path = horizon_path(decision.dead[index]);
        keeper->get(path, {}, [weak = weak_from_this(), decision = std::move(decision), index](Result<zk::Znode> read) mutable {
            const auto self = weak.lock();
            if (!self) return;
            const std::string& incarnation = decision.dead[index];
            if (!read && read.error().is(zk::Errc::no_node)) {
                log::error("the horizon of node incarnation {} was erased by somebody: its latest fires are taken for uncertain",
                           incarnation);
                const ring::ClusterState& state = decision.state;
                decision.state.horizons.insert_or_assign(incarnation,
                                                         ring::unknown_claims(state.current, self->loop.clock().now(), state.claims_end));
                return self->read_dead(std::move(decision), index + 1);
            }
            if (!read) {
                log::warn("the horizon of node incarnation {} cannot be read: {}", incarnation, read.error().message);
                return self->finish(true);
            }
            const auto record = ring::read_horizon(read->data);
            if (!record) {
                log::error("node incarnation {}: {}", incarnation, record.error().message);
                return self->finish(true);
            }
            decision.state.horizons.insert_or_assign(incarnation, *record);
            decision.versions.emplace(incarnation, read->stat.version);
            self->read_dead(std::move(decision), index + 1);
        });
    }

    std::string horizon_path(const std::string& incarnation) const { return options.runtime_path + "/horizons/" + incarnation; }

    void decide(Decision decision) {
        const auto& current = decision.state.current;
        const bool admit = joins_admitted(decision);
        const auto next = ring::next_allocation(decision.state, admit);
        if (!next) return finish(false);
        std::vector<zk::Op> ops{election.fence()};
        const std::string path = options.runtime_path + "/allocation";
        const std::string text = ring::write_allocation(*next);
        if (decision.allocation_version) {
            ops.push_back(zk::Op::set(path, text, *decision.allocation_version));
        } else {
            ops.push_back(zk::Op::create(path, text));
        }
        for (const auto& [incarnation, version] : decision.versions) ops.push_back(zk::Op::check(horizon_path(incarnation), version));

        zk::Keeper* keeper = client.keeper();
        if (keeper == nullptr) return finish(false);
        const bool settled = next->epoch == current.epoch;
        keeper->multi(
            std::move(ops), [weak = weak_from_this(), decision, next = *next, settled](Result<std::vector<zk::OpResult>> written) {
                const auto self = weak.lock();
                if (!self) return;
                if (!written) {
                    // Ambiguous or overtaken: the mirror tells what stands there now, and the decision is made anew.
                    log::info("allocation {} of {} was not written: {}", next.epoch, self->options.runtime_path, written.error().message);
                    self->allocation.refresh();
                    return self->finish(true);
                }
                self->last_allocation = ring::write_allocation(next);
                if (settled) {
                    log::info("allocation {} of {} is settled", next.epoch, self->options.runtime_path);
                    self->erase_orphans(decision, next);
                } else {
                    log::info("allocation {} of {}: {} nodes, {} newly gone", next.epoch, self->options.runtime_path, next.nodes.size(),
                              decision.dead.size());
                }
                self->joins_since.reset();
                self->allocation.refresh();
                self->finish(false);
            });
    }

    // Joins that are all that is to do wait until they have been gathered for the debounce; deaths and leaves never wait.
    bool joins_admitted(const Decision& decision) {
        if (has_restarted(decision.state.current, decision.dead, decision.state.present)) return true;
        const auto without = ring::next_allocation(decision.state, false);
        const auto with = ring::next_allocation(decision.state, true);
        if (!with || with == without) {
            joins_since.reset();  // who was waited for may have gone again; the next to come is waited for anew
            return true;
        }
        const SteadyInstant now = loop.clock().steady_now();
        if (!joins_since) joins_since = now;
        const Duration left = *joins_since + options.join_debounce - now;
        if (left <= Duration::zero()) return true;
        retry_after(left);
        return false;
    }

    // What nobody needs any more; best effort, each for itself.
    void erase_orphans(const Decision& decision, const ring::Allocation& settled) {
        zk::Keeper* keeper = client.keeper();
        if (keeper == nullptr || !horizons) return;
        for (const auto& [incarnation, znode] : horizons->entries()) {
            if (decision.state.present.contains(incarnation)) continue;
            if (std::any_of(settled.nodes.begin(), settled.nodes.end(),
                            [&name = incarnation](const auto& node) { return node.incarnation == name; }))
                continue;
            const bool departed = decision.state.current.find_departed(incarnation) != nullptr;
            if (!departed && loop.clock().now() - znode.stat.mtime < kOrphanAge) continue;
            keeper->erase(horizon_path(incarnation), znode.stat.version, [](const Result<>&) {});
        }
    }

    void finish(bool retry) {
        busy = false;
        if (retry) return retry_after(kAllocatorRetry);
        if (std::exchange(again, false)) consider();
    }

    void retry_after(Duration delay) {
        timer = loop.after(delay, [this] {
            again = false;
            consider();
        });
    }
};

std::int64_t published_revision(const std::optional<zk::Znode>& znode) {
    return znode ? ring::read_revision(znode->data).value_or(0) : 0;
}

AllocatorTask::AllocatorTask(Loop& loop, zk::Client& client, const zk::Election& election, zk::Mirror& allocation,
                             const zk::Mirror& revision, AllocatorOptions options)
    : impl_(std::make_shared<Impl>(loop, client, election, allocation, revision, std::move(options))) {
    impl_->watch_nodes();
}

AllocatorTask::~AllocatorTask() = default;

void AllocatorTask::consider() { impl_->consider(); }

}  // namespace cloudtask::node
