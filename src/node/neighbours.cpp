// Neighbours: mirrors of the runtime's horizons and, while runs elsewhere matter, of its registrations.
#include "node/neighbours.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "cloudtask/zk/recipes.h"
#include "node/run_keys.h"

namespace cloudtask::node {

namespace {

constexpr Duration kTidy = std::chrono::seconds{2};

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
            registrations =
                std::make_unique<zk::FolderMirror>(loop, client, runtime_path + "/nodes", [this](const auto&) { tidy_later(); });
        }
        on_records(std::move(records));
        tidy_later();
    }

    std::optional<ring::Member> member_of(const std::string& name) const {
        for (const auto& [id, znode] : registrations->entries()) {
            auto registration = ring::read_registration(znode.data);
            if (registration && registration->member.incarnation == name) return std::move(registration->member);
        }
        return std::nullopt;
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

    // The name of a node that is one of these incarnations now.
    std::string living_one(const std::vector<std::string>& incarnations) const {
        for (const auto& one : incarnations) {
            if (const auto member = member_of(one)) return member->name;
        }
        return {};
    }

    // Not at once: a node that restarts changes its registration and its record one after the other, and they are seen in any order.
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
    }
};

Neighbours::Neighbours(Loop& loop, zk::Client& client, std::string runtime_path, std::string incarnation, OnRecords on_records)
    : impl_(std::make_shared<Impl>(loop, client, std::move(runtime_path), std::move(incarnation), std::move(on_records))) {}

Neighbours::~Neighbours() = default;

void Neighbours::watch(bool bounds_matter) { impl_->watch(bounds_matter); }
std::string Neighbours::running(const std::string& name) const { return impl_->running_on(name); }

}  // namespace cloudtask::node
