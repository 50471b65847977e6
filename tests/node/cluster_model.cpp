// The model of a runtime for tests of the coordinator.
#include "tests/node/cluster_model.h"

#include <spdlog/spdlog.h>

#include "cloudtask/ring/placement.h"

namespace cloudtask::node {

using namespace std::chrono_literals;

namespace {

CoordinatorOptions options_of(const std::string& id, OnZookeeperLoss on_loss) {
    CoordinatorOptions options;
    options.on_loss = on_loss;
    options.runtime = "demo";
    options.node_id = id;
    options.name = "node-" + id;
    options.labels = {{"id", id}, {"half", id < "c" ? "first" : "second"}};
    options.address = "localhost";
    return options;
}

}  // namespace

ClusterModel::Node::Node(ClusterModel& cluster, std::string id, Duration skew)
    : cluster_(cluster),
      id_(std::move(id)),
      loop_(cluster.loop),
      client_(loop_, cluster.random,
              [this] { return zk::make_faulty_keeper(cluster_.loop, cluster_.tree.connect(), cluster_.random, cluster_.rates); }),
      journal_(cluster.journals[id_]) {
    loop_.set_skew(skew);
    coordinator_ = std::make_unique<Coordinator>(loop_, cluster_.random, client_, options_of(id_, cluster_.on_loss),
                                                 Coordinator::Hooks{
                                                     [this] { run_timer_ = loop_.after(0s, [this] { run_due(); }); },
                                                     [this](std::int64_t) { pull_timer_ = loop_.after(50ms, [this] { pull(); }); },
                                                     [] { return std::optional<Instant>{}; },
                                                     [this](const ring::Memory& memory) { cluster_.memories[id_] = memory; },
                                                 });
    coordinator_->recall(cluster_.memories[id_]);
    client_.start();
}

ClusterModel::Node::~Node() = default;

void ClusterModel::Node::set_pulling(bool pulling) {
    pulling_ = pulling;
    if (pulling) pull();
}

void ClusterModel::Node::pull() {
    if (!pulling_) return;
    for (const auto& task : cluster_.catalog) coordinator_->put_task(task);
    coordinator_->set_catalog_revision(cluster_.revision);
}

void ClusterModel::Node::run_due() {
    const Instant now = loop_.clock().now();
    while (const auto fire = coordinator_->take(now)) {
        const FireKey key{fire->task->id, fire->time};
        if (!journal_.insert(key).second) continue;  // an earlier incarnation of this node has started it
        cluster_.started[key].push_back(id_);
        worst_lateness_ = std::max(worst_lateness_, now - fire->time);
        last_started_ = std::max(last_started_.value_or(fire->time), fire->time);
    }
    for (const auto& report : coordinator_->take_uncertain()) {
        for (auto fire = next_fire(report.task, report.fires.after); fire && fire->time <= report.fires.until;
             fire = next_fire(report.task, fire->time)) {
            cluster_.uncertain.emplace(report.task->id, fire->time);
        }
    }
    coordinator_->started();
    const auto due = coordinator_->next_due();
    if (due && *due > now) run_timer_ = loop_.after(*due - now, [this] { run_due(); });
}

void ClusterModel::Node::leave() {
    coordinator_->leave([this] { left_ = true; });
}

ClusterModel::ClusterModel(std::uint64_t seed, zk::FaultRates faults) : random(seed), rates(faults), admin(tree.connect()) {
    spdlog::set_level(spdlog::level::off);
    loop.settle();
    zk::make_path(loop, *admin, std::string{kRuntime} + "/revision", [](const Result<>&) {});
    loop.settle();
}

ClusterModel::~ClusterModel() {
    nodes.clear();
    admin.reset();
    loop.settle();
}

ClusterModel::Node& ClusterModel::start(const std::string& id, Duration skew) {
    return *(nodes[id] = std::make_unique<Node>(*this, id, skew));
}

void ClusterModel::kill(const std::string& id) {
    const std::int64_t session = node(id).session();
    nodes.erase(id);
    tree.expire(session);
}

void ClusterModel::leave(const std::string& id) {
    node(id).leave();
    REQUIRE(until([&] { return node(id).left(); }));
    kill(id);
}

std::string ClusterModel::add_task(Duration interval, Duration offset, std::map<std::string, std::string> labels) {
    auto made = std::make_shared<task::Task>();
    made->id = fmt::format("018f3c2e-0000-7000-8000-{:012x}", catalog.size() * 7919);
    made->name = fmt::format("task-{}", catalog.size());
    made->schedules.push_back(*task::Schedule::every(interval, Instant{offset}));
    made->labels = std::move(labels);
    made->revision = made->created_revision = made->effective_revision = revision + 1;
    made->effective_from = loop.clock().now();
    catalog.push_back(made);
    return made->id;
}

void ClusterModel::publish() {
    ++revision;
    bool ok = false;
    admin->set(std::string{kRuntime} + "/revision", std::to_string(revision), zk::kAnyVersion,
               [&](const Result<zk::Stat>& set) { ok = set.has_value(); });
    loop.settle();
    REQUIRE(ok);
}

std::string ClusterModel::read(const std::string& path) {
    std::string data;
    admin->get(path, {}, [&](const Result<zk::Znode>& znode) {
        if (znode) data = znode->data;
    });
    loop.settle();
    return data;
}

std::vector<std::string> ClusterModel::list(const std::string& path) {
    std::vector<std::string> names;
    admin->children(path, {}, [&](const Result<zk::Children>& children) {
        if (children) names = children->names;
    });
    loop.settle();
    return names;
}

void ClusterModel::erase(const std::string& path) {
    for (const auto& name : list(path)) erase(path + "/" + name);
    admin->erase(path, zk::kAnyVersion, [](const Result<>&) {});
    loop.settle();
}

void ClusterModel::wipe() {
    for (const auto& [id, one] : nodes) tree.expire(one->session());
    erase(kRuntime);
    zk::make_path(loop, *admin, std::string{kRuntime} + "/revision", [](const Result<>&) {});
    loop.settle();
}

ring::Allocation ClusterModel::allocation() {
    const std::string text = read(std::string{kRuntime} + "/allocation");
    if (text.empty()) return {};
    const auto parsed = ring::read_allocation(text);
    REQUIRE(parsed.has_value());
    return *parsed;
}

std::set<std::string> ClusterModel::member_ids() {
    std::set<std::string> ids;
    for (const auto& member : allocation().nodes) ids.insert(member.id);
    return ids;
}

bool ClusterModel::settled_with(const std::set<std::string>& ids) { return member_ids() == ids && allocation().previous.empty(); }

std::map<std::string, std::string> ClusterModel::versions() {
    std::map<std::string, std::string> found;
    std::vector<std::string> open{kRuntime};
    while (!open.empty()) {
        const std::string path = open.back();
        open.pop_back();
        admin->get(path, {}, [&](const Result<zk::Znode>& znode) {
            if (znode) found[path] = fmt::format("{} {} {}", znode->stat.mzxid, znode->stat.version, znode->stat.cversion);
        });
        loop.settle();
        for (const auto& name : list(path)) open.push_back(path + "/" + name);
    }
    return found;
}

std::size_t ClusterModel::owners(const std::string& task_id) {
    std::size_t count = 0;
    const ring::Allocation current = allocation();
    const ring::Ring ring(current.nodes);
    const auto task = std::find_if(catalog.begin(), catalog.end(), [&](const TaskPointer& one) { return one->id == task_id; });
    REQUIRE(task != catalog.end());
    const ring::Member* owner = ring.owner(task_id, ring::placement_of(**task));
    for (const auto& [id, one] : nodes) count += owner != nullptr && owner->incarnation == one->coordinator().incarnation() ? 1 : 0;
    return count;
}

std::string ClusterModel::check_fires(Instant end, bool lossy) const {
    for (const auto& [key, by] : started) {
        if (by.size() > 1)
            return fmt::format("{} at {} was started by {}", key.first, format_instant(key.second), fmt::join(by, " and by "));
    }
    for (const auto& task : catalog) {
        for (auto fire = next_fire(task, task->effective_from); fire && fire->time <= end; fire = next_fire(task, fire->time)) {
            const FireKey key{task->id, fire->time};
            if (started.contains(key) || (lossy && uncertain.contains(key))) continue;
            return fmt::format("{} at {} was not started", key.first, format_instant(key.second));
        }
    }
    return {};
}

}  // namespace cloudtask::node
