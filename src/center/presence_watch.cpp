// Who is away, written down: see presence_watch.h.
#include "center/presence_watch.h"

#include <map>
#include <set>
#include <string>

#include "center/ledger_store.h"
#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

constexpr Duration kCompareEvery = std::chrono::seconds{30};
constexpr Duration kForgetAfter = std::chrono::hours{24 * 400};

// What is to be written: who is there, by runtime, of runtimes of which all is known.
struct Presence {
    bool connected = false;
    std::map<std::string, std::set<std::string>> present;
    friend bool operator==(const Presence&, const Presence&) = default;
};

Presence presence_of(const ClusterView& view) {
    Presence presence;
    presence.connected = view.connected;
    if (!view.connected) return presence;
    for (const auto& [name, runtime] : view.runtimes) {
        if (!runtime.complete) continue;
        auto& nodes = presence.present[name];
        // One that is cordoned, or stops, starts nothing: for the fires that came due it is as if it were away.
        for (const auto& [id, node] : runtime.nodes) {
            if (!node.leaving) nodes.insert(id);
        }
    }
    return presence;
}

}  // namespace

struct PresenceWatch::Impl : std::enable_shared_from_this<PresenceWatch::Impl> {
    Impl(Loop& the_loop, Worker& the_worker, Store& the_store) : loop(the_loop), worker(the_worker), store(the_store) {}

    void arm() {
        timer = loop.after(kCompareEvery, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->write();
        });
    }

    // One job at a time, so that an older view is not written after a newer one.
    void write() {
        if (writing) {
            again = true;
            return;
        }
        writing = true;
        again = false;
        worker.submit([self = shared_from_this(), what = latest, now = loop.clock().now()] {
            const auto written = self->store.write([&](soci::session& sql) -> Result<> {
                note_zookeeper(sql, what.connected, now);
                for (const auto& [runtime, present] : what.present) note_presence(sql, runtime, present, now);
                forget_absences(sql, now - kForgetAfter);
                return {};
            });
            if (!written) log::warn("who is away cannot be written down: {}", written.error().message);
            self->loop.post([self] {
                self->writing = false;
                if (self->closed) return;
                if (self->again) self->write();
                self->arm();
            });
        });
    }

    Loop& loop;
    Worker& worker;
    Store& store;
    Presence latest;
    bool known = false, writing = false, again = false, closed = false;
    Timer timer;
};

PresenceWatch::PresenceWatch(Loop& loop, Worker& worker, Store& store) : impl_(std::make_shared<Impl>(loop, worker, store)) {}

PresenceWatch::~PresenceWatch() {
    impl_->closed = true;
    impl_->timer.cancel();
}

void PresenceWatch::on_view(const ClusterView& view) {
    impl_->loop.assert_on_loop();
    Presence now = presence_of(view);
    if (impl_->known && now == impl_->latest) return;
    impl_->known = true;
    impl_->latest = std::move(now);
    impl_->write();
}

}  // namespace cloudtask::center
