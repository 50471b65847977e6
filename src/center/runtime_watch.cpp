// One runtime in ZooKeeper: see runtime_watch.h.
#include "center/runtime_watch.h"

#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include "cloudtask/core/log.h"
#include "cloudtask/ring/allocation.h"
#include "cloudtask/zk/recipes.h"

namespace cloudtask::center {

namespace {

// Revisions that come within this time are published as one.
constexpr Duration kCoalesce = std::chrono::milliseconds{20};
constexpr Duration kFirstRetry = std::chrono::milliseconds{250};
constexpr Duration kLongestRetry = std::chrono::seconds{15};

}  // namespace

struct RuntimeWatch::Impl : std::enable_shared_from_this<RuntimeWatch::Impl> {
    Impl(Loop& the_loop, zk::Client& the_client, std::string runtime, std::function<void()> change, std::function<void(std::int64_t)> ahead)
        : loop(the_loop),
          client(the_client),
          name(std::move(runtime)),
          root("/runtimes/" + name),
          on_change(std::move(change)),
          on_ahead(std::move(ahead)) {}

    void begin() {
        zk::Client::Observer observer;
        observer.on_session = [self = weak_from_this()](zk::Keeper&, std::uint64_t generation) {
            if (const auto watch = self.lock()) watch->session(generation);
        };
        observer.on_connection = [self = weak_from_this()](bool connected) {
            const auto watch = self.lock();
            if (!watch) return;
            watch->on_change();
            if (connected) watch->contact_is_back();
        };
        observer.on_session_end = [self = weak_from_this()](std::uint64_t) {
            const auto watch = self.lock();
            if (!watch) return;
            watch->laid_out = false;
            watch->published.reset();
            watch->busy = false;
            watch->give_up_retry();
            watch->on_change();
        };
        subscription.emplace(client.subscribe(std::move(observer)));
        nodes =
            std::make_unique<zk::FolderMirror>(loop, client, root + "/nodes", [self = weak_from_this()](const zk::FolderMirror::Entries&) {
                if (const auto watch = self.lock()) watch->on_change();
            });
        allocation = std::make_unique<zk::Mirror>(loop, client, root + "/allocation", [self = weak_from_this()](const auto& znode) {
            if (const auto watch = self.lock()) watch->read_allocation(znode);
        });
    }

    // A new session: lay out the tree, then publish. Callbacks of older sessions are ignored by their generation.
    void session(std::uint64_t generation) {
        current = generation;
        laid_out = false;
        published.reset();
        busy = false;
        give_up_retry();
        lay_out(generation, 0);
    }

    void lay_out(std::uint64_t generation, std::size_t at) {
        static constexpr std::string_view kFolders[] = {"/nodes", "/election", "/horizons"};
        zk::Keeper* keeper = generation == current ? subscription->keeper(generation) : nullptr;
        if (keeper == nullptr) return;
        if (at == std::size(kFolders)) {
            laid_out = true;
            return write();
        }
        zk::make_path(loop, *keeper, root + std::string(kFolders[at]), [self = weak_from_this(), generation, at](const Result<>& made) {
            const auto watch = self.lock();
            if (!watch || generation != watch->current) return;
            if (made) return watch->lay_out(generation, at + 1);
            watch->failed("lay out", made.error(), [generation](Impl& again) { again.lay_out(generation, 0); });
        });
    }

    void publish(std::int64_t revision) {
        wanted = std::max(wanted, revision);
        if (timer_armed) return;
        timer_armed = true;
        coalesce = loop.after(kCoalesce, [self = weak_from_this()] {
            const auto watch = self.lock();
            if (!watch) return;
            watch->timer_armed = false;
            watch->write();
        });
    }

    // Reads what stands there, and writes only what differs, so that a start with no change writes nothing.
    void write() {
        zk::Keeper* keeper = subscription->keeper(current);
        if (keeper == nullptr || !laid_out || busy || published == wanted) return;
        busy = true;
        keeper->get(root + "/revision", {}, [self = weak_from_this(), generation = current](const Result<zk::Znode>& found) {
            const auto watch = self.lock();
            if (watch && generation == watch->current) watch->compare(generation, found);
        });
    }

    void compare(std::uint64_t generation, const Result<zk::Znode>& found) {
        zk::Keeper* keeper = subscription->keeper(generation);
        if (keeper == nullptr) return;
        const std::int64_t revision = wanted;
        const std::string text = std::to_string(revision);
        const auto done = [self = weak_from_this(), generation, revision](const Result<>& written) {
            const auto watch = self.lock();
            if (watch && generation == watch->current) watch->written(revision, written);
        };
        const std::string path = root + "/revision";
        if (!found && !found.error().is(zk::Errc::no_node)) return done(propagate(found));
        if (found && found->data == text) return done({});
        if (const auto stands = found ? ring::read_revision(found->data) : std::nullopt; stands && *stands > revision) {
            busy = false;
            return on_ahead(*stands);  // which publishes one that is beyond it
        }
        if (found) {
            keeper->set(path, text, found->stat.version,
                        [done](const Result<zk::Stat>& set) { done(set ? Result<>{} : Result<>{propagate(set)}); });
        } else {
            keeper->create(path, text, zk::CreateMode::persistent,
                           [done](const Result<zk::Created>& created) { done(created ? Result<>{} : Result<>{propagate(created)}); });
        }
    }

    void written(std::int64_t revision, const Result<>& outcome) {
        busy = false;
        if (!outcome) return failed("publish the revision of", outcome.error(), [](Impl& again) { again.write(); });
        retry_delay = kFirstRetry;
        published = revision;
        write();  // what came meanwhile
    }

    void failed(std::string_view what, const Error& error, std::function<void(Impl&)> again) {
        log::warn("cannot {} runtime {} in ZooKeeper: {}; again in {} ms", what, name, error.message,
                  std::chrono::duration_cast<std::chrono::milliseconds>(retry_delay).count());
        to_retry = std::move(again);
        retry = loop.after(retry_delay, [self = weak_from_this()] {
            if (const auto watch = self.lock()) watch->try_again();
        });
        retry_delay = std::min(retry_delay * 2, kLongestRetry);
    }

    void try_again() {
        if (const auto again = std::exchange(to_retry, nullptr)) again(*this);
    }

    // What failed for want of contact is done now: nodes are to learn of a change at once, not when the wait that has grown is over.
    void contact_is_back() {
        retry.cancel();
        retry_delay = kFirstRetry;
        try_again();
    }

    void give_up_retry() {
        retry.cancel();
        retry_delay = kFirstRetry;
        to_retry = nullptr;
    }

    void read_allocation(const std::optional<zk::Znode>& znode) {
        epoch = 0;
        settled = false;
        record.clear();
        ring.reset();
        if (znode) {
            const auto read = ring::read_allocation(znode->data);
            if (read) {
                epoch = read->epoch;
                // Without a node there is nobody who could take over, and nothing to wait for.
                settled = read->previous.empty() || read->nodes.empty();
                record = znode->data;
                ring = std::make_shared<const ring::Ring>(read->nodes);
            } else {
                log::error("the allocation of runtime {} cannot be read: {}", name, read.error().message);
            }
        }
        on_change();
    }

    RuntimeView view() const {
        RuntimeView view;
        for (const auto& [id, znode] : nodes->entries()) {
            const auto read = ring::read_registration(znode.data);
            if (!read) {
                // Somebody is there, whoever it is: its runs are not to be given up.
                log::error("the registration of node {} in runtime {} cannot be read: {}", id, name, read.error().message);
                view.nodes[id].member.id = id;
                continue;
            }
            view.nodes[id] = NodeView{read->member, read->version, read->address, read->leaving};
        }
        view.complete = nodes->complete() && allocation->complete();
        view.epoch = epoch;
        view.allocation = record;
        view.settled = settled;
        view.ring = ring;
        return view;
    }

    Loop& loop;
    zk::Client& client;
    const std::string name, root;
    const std::function<void()> on_change;
    const std::function<void(std::int64_t)> on_ahead;
    std::optional<zk::Client::Subscription> subscription;
    std::unique_ptr<zk::FolderMirror> nodes;
    std::unique_ptr<zk::Mirror> allocation;

    std::uint64_t current = 0;  // generation of the session
    bool laid_out = false, busy = false, timer_armed = false;
    std::int64_t wanted = 0;
    std::optional<std::int64_t> published;
    Timer coalesce, retry;
    std::function<void(Impl&)> to_retry;  // what failed
    Duration retry_delay = kFirstRetry;

    std::int64_t epoch = 0;
    bool settled = false;
    std::string record;
    std::shared_ptr<const ring::Ring> ring;
};

RuntimeWatch::RuntimeWatch(Loop& loop, zk::Client& client, std::string runtime, std::function<void()> on_change,
                           std::function<void(std::int64_t published)> on_ahead)
    : impl_(std::make_shared<Impl>(loop, client, std::move(runtime), std::move(on_change), std::move(on_ahead))) {
    impl_->begin();
}

RuntimeWatch::~RuntimeWatch() = default;

RuntimeView RuntimeWatch::view() const { return impl_->view(); }

void RuntimeWatch::publish(std::int64_t revision) { impl_->publish(revision); }

}  // namespace cloudtask::center
