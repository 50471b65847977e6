// The center in ZooKeeper: see cluster_watch.h.
#include "center/cluster_watch.h"

#include <map>
#include <optional>

#include "center/runtime_watch.h"
#include "cloudtask/core/json.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/version.h"
#include "cloudtask/zk/recipes.h"

namespace cloudtask::center {

struct ClusterWatch::Impl : std::enable_shared_from_this<ClusterWatch::Impl> {
    Impl(Loop& the_loop, zk::Client& the_client, ClusterSnapshot& the_snapshot, ClusterWatchOptions the_options, Observer the_observer)
        : loop(the_loop), client(the_client), snapshot(the_snapshot), options(std::move(the_options)), observer(std::move(the_observer)) {}

    void begin() {
        zk::Client::Observer connection;
        connection.on_connection = [self = weak_from_this()](bool) { changed(self); };
        connection.on_session = [self = weak_from_this()](zk::Keeper&, std::uint64_t) { changed(self); };
        connection.on_session_end = [self = weak_from_this()](std::uint64_t) { changed(self); };
        subscription.emplace(client.subscribe(std::move(connection)));
        zk::Registration::Hooks hooks;
        hooks.data = [id = options.center_id, address = options.address] {
            json::Writer out;
            out.begin_object().member("id", id).member("address", address).member("version", kVersion).end_object();
            return out.text();
        };
        registration = std::make_unique<zk::Registration>(loop, client, "/centers", options.center_id, std::move(hooks));
        election =
            std::make_unique<zk::Election>(loop, client, "/centers-election", options.center_id, [self = weak_from_this()](bool leads) {
                const auto watch = self.lock();
                if (!watch) return;
                log::info(leads ? "this center leads" : "this center does not lead any more");
                if (watch->observer.on_leading) watch->observer.on_leading(leads);
            });
    }

    static void changed(const std::weak_ptr<Impl>& self) {
        if (const auto watch = self.lock()) watch->changed();
    }

    // Many changes in one turn of the loop make one snapshot.
    void changed() {
        if (posted) return;
        posted = true;
        loop.post([self = weak_from_this()] {
            const auto watch = self.lock();
            if (!watch) return;
            watch->posted = false;
            watch->publish();
        });
    }

    void publish() {
        auto view = std::make_shared<ClusterView>();
        view->connected = client.connected();
        for (const auto& [name, runtime] : runtimes) view->runtimes[name] = runtime->view();
        snapshot.set(view);
        if (observer.on_view) observer.on_view(*view);
    }

    RuntimeWatch& runtime(const std::string& name) {
        auto& watch = runtimes[name];
        if (!watch) {
            const auto ahead = [self = weak_from_this()](std::int64_t published) {
                const auto held = self.lock();
                if (held && held->observer.on_ahead) held->observer.on_ahead(published);
            };
            watch = std::make_unique<RuntimeWatch>(loop, client, name, [self = weak_from_this()] { changed(self); }, ahead);
        }
        return *watch;
    }

    Loop& loop;
    zk::Client& client;
    ClusterSnapshot& snapshot;
    const ClusterWatchOptions options;
    const Observer observer;
    std::optional<zk::Client::Subscription> subscription;
    std::unique_ptr<zk::Registration> registration;
    std::unique_ptr<zk::Election> election;
    std::map<std::string, std::unique_ptr<RuntimeWatch>> runtimes;
    bool posted = false;
};

ClusterWatch::ClusterWatch(Loop& loop, zk::Client& client, ClusterSnapshot& snapshot, ClusterWatchOptions options, Observer observer)
    : impl_(std::make_shared<Impl>(loop, client, snapshot, std::move(options), std::move(observer))) {
    impl_->begin();
}

ClusterWatch::~ClusterWatch() = default;

void ClusterWatch::set_runtimes(const std::vector<RuntimeRevision>& list) {
    impl_->loop.assert_on_loop();
    std::map<std::string, std::int64_t> wanted;
    for (const auto& each : list) wanted[each.runtime] = each.revision;
    std::erase_if(impl_->runtimes, [&](const auto& entry) { return !wanted.contains(entry.first); });
    for (const auto& [name, revision] : wanted) impl_->runtime(name).publish(revision);
    impl_->changed();
}

void ClusterWatch::publish_revision(const std::string& runtime, std::int64_t revision) {
    impl_->loop.assert_on_loop();
    // A runtime that is not watched yet comes with set_runtimes, and brings its revision.
    const auto found = impl_->runtimes.find(runtime);
    if (found != impl_->runtimes.end()) found->second->publish(revision);
}

bool ClusterWatch::leading() const { return impl_->election->leading(); }

}  // namespace cloudtask::center
