// Neighbours: mirrors of the runtime's horizons and, while runs elsewhere matter, of its registrations.
#include "node/neighbours.h"

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "cloudtask/zk/recipes.h"
#include "node/run_keys.h"

namespace cloudtask::node {

namespace {

constexpr Duration kTidy = std::chrono::seconds{2};
// A node that is stopped and started again leaves its runs going on, and is another incarnation, which names them, that much later at the
// most. Up to then they count as going on.
constexpr Duration kRestart = std::chrono::seconds{2};

struct Node {
    std::string name;
    std::optional<SteadyInstant> gone_since;  // its registration
};

}  // namespace

struct Neighbours::Impl : std::enable_shared_from_this<Impl> {
    Loop& loop;
    zk::Client& client;
    const std::string runtime_path, incarnation;
    OnRecords on_records;

    bool bounds_matter = false;
    std::unique_ptr<zk::FolderMirror> horizons;
    std::unordered_map<std::string, std::vector<std::string>> running;  // incarnations by task id, and by mutex
    // A record outlives the node that wrote it: whether its runs go on, the registrations tell.
    std::unique_ptr<zk::FolderMirror> registrations;
    std::unordered_map<std::string, Node> nodes;  // by incarnation: registered now, or while this was watched
    bool tidying = false;
    Timer tidy_timer;

    Impl(Loop& l, zk::Client& c, std::string path, std::string own, OnRecords handler)
        : loop(l), client(c), runtime_path(std::move(path)), incarnation(std::move(own)), on_records(std::move(handler)) {}

    void watch(bool matter) {
        bounds_matter = matter;
        if (matter && !horizons) {
            horizons = std::make_unique<zk::FolderMirror>(loop, client, runtime_path + "/horizons",
                                                          [this](const zk::FolderMirror::Entries& entries) { seen(entries); });
        }
        if (!matter && horizons) tidy_later();
    }

    void seen(const zk::FolderMirror::Entries& entries) {
        Claims::Horizons records;
        running.clear();
        for (const auto& [name, znode] : entries) {
            auto record = ring::read_horizon(znode.data);
            if (!record) continue;
            if (name != incarnation) {
                for (const auto& key : record->running) {
                    const auto [task_id, mutex] = take_apart(key);
                    running[mutex.empty() ? task_id : mutex].push_back(name);
                }
            }
            records.emplace(name, std::move(*record));
        }
        if (!running.empty() && !registrations) {
            registrations = std::make_unique<zk::FolderMirror>(loop, client, runtime_path + "/nodes",
                                                               [this](const auto& registered) { look_at_registrations(registered); });
        }
        on_records(std::move(records));
        tidy_later();
    }

    void look_at_registrations(const zk::FolderMirror::Entries& entries) {
        const SteadyInstant now = loop.clock().steady_now();
        for (auto& [one, node] : nodes) {
            if (!node.gone_since) node.gone_since = now;
        }
        for (const auto& [id, znode] : entries) {
            auto registration = ring::read_registration(znode.data);
            if (registration) nodes.insert_or_assign(registration->member.incarnation, Node{registration->member.name, std::nullopt});
        }
        tidy_later();
    }

    bool any_running() const {
        if (running.empty()) return false;
        if (!registrations || !registrations->complete()) return true;
        return std::any_of(running.begin(), running.end(), [this](const auto& entry) { return !living_one(entry.second).empty(); });
    }

    std::string running_on(const std::string& name) const {
        const auto found = running.find(name);
        if (found == running.end()) return {};
        if (!registrations || !registrations->complete()) return "another node";
        return living_one(found->second);
    }

    // The name of a node that is one of these incarnations now, or was a moment ago.
    std::string living_one(const std::vector<std::string>& incarnations) const {
        const SteadyInstant now = loop.clock().steady_now();
        for (const auto& one : incarnations) {
            const auto found = nodes.find(one);
            if (found != nodes.end() && (!found->second.gone_since || now - *found->second.gone_since < kRestart))
                return found->second.name;
        }
        return {};
    }

    // Not at once: what one node hands to the next in this runtime comes in several writes, which are seen in any order.
    void tidy_later() {
        if (bounds_matter || std::exchange(tidying, true)) return;  // not put off anew: it is asked for once a second
        tidy_timer = loop.after(kTidy, [this] {
            tidying = false;
            if (!bounds_matter && !any_running()) forget();
        });
    }

    void forget() {
        horizons.reset();
        registrations.reset();
        running.clear();
        nodes.clear();
    }
};

Neighbours::Neighbours(Loop& loop, zk::Client& client, std::string runtime_path, std::string incarnation, OnRecords on_records)
    : impl_(std::make_shared<Impl>(loop, client, std::move(runtime_path), std::move(incarnation), std::move(on_records))) {}

Neighbours::~Neighbours() = default;

void Neighbours::watch(bool bounds_matter) { impl_->watch(bounds_matter); }
std::string Neighbours::running(const std::string& name) const { return impl_->running_on(name); }

}  // namespace cloudtask::node
