// The rules of a ZooKeeper tree, as the server's PrepRequestProcessor and DataTree apply them. Pure.
#include "zk/tree.h"

#include "zk/checks.h"

namespace cloudtask::zk {

Tree::Tree() { nodes_.emplace("/", Node{}); }

Stat Tree::stat_of(const Node& node) {
    Stat stat;
    stat.czxid = node.czxid;
    stat.mzxid = node.mzxid;
    stat.ctime = node.ctime;
    stat.mtime = node.mtime;
    stat.version = node.version;
    const auto count = static_cast<std::int32_t>(node.children.size());
    stat.cversion = 2 * node.creates - count;  // creations and erasures of children, as DataNode.copyStat counts them
    stat.ephemeral_owner = node.owner;
    stat.data_length = static_cast<std::int32_t>(node.data.size());
    stat.num_children = count;
    return stat;
}

void Tree::remember(const std::string& path, Undo& undo) const {
    if (undo.contains(path)) return;
    const auto found = nodes_.find(path);
    undo.emplace(path, found == nodes_.end() ? std::nullopt : std::optional<Node>{found->second});
}

Result<std::vector<OpResult>> Tree::apply(const std::vector<Op>& ops, std::int64_t session, Instant now, std::vector<WatchEvent>& events) {
    const Instant time = std::chrono::floor<std::chrono::milliseconds>(now);
    std::vector<OpResult> results;
    std::vector<WatchEvent> caused;
    Undo undo;
    ++zxid_;
    for (std::size_t i = 0; i < ops.size(); ++i) {
        auto result = apply_one(ops[i], session, time, undo, caused);
        if (!result) {
            for (auto& [path, node] : undo) {
                if (node) {
                    nodes_[path] = std::move(*node);
                } else {
                    nodes_.erase(path);
                }
            }
            if (ops.size() == 1) return propagate(result);
            return fail(result.error().code, "operation {} of {} ({}): {}", i + 1, ops.size(), describe(ops[i]), result.error().message);
        }
        results.push_back(std::move(*result));
    }
    events.insert(events.end(), caused.begin(), caused.end());
    return results;
}

Result<OpResult> Tree::apply_one(const Op& op, std::int64_t session, Instant now, Undo& undo, std::vector<WatchEvent>& events) {
    if (op.kind == Op::Kind::create) return create(op, session, now, undo, events);
    const auto found = nodes_.find(op.path);
    if (found == nodes_.end()) return fail(Errc::no_node, "there is no znode {}", op.path);
    if (op.version != kAnyVersion && op.version != found->second.version) {
        return fail(Errc::bad_version, "{} has version {}, not {}", op.path, found->second.version, op.version);
    }
    switch (op.kind) {
        case Op::Kind::set: {
            remember(op.path, undo);
            Node& node = found->second;
            node.data = op.data;
            node.mzxid = zxid_;
            node.mtime = now;
            ++node.version;
            events.push_back({WatchEvent::Kind::changed, op.path});
            return OpResult{op.path, stat_of(node)};
        }
        case Op::Kind::erase:
            return erase(op, undo, events);
        default:
            return OpResult{op.path, {}};
    }
}

Result<OpResult> Tree::create(const Op& op, std::int64_t session, Instant now, Undo& undo, std::vector<WatchEvent>& events) {
    const std::string folder = parent_of(op.path);
    const auto parent = nodes_.find(folder);
    if (parent == nodes_.end()) return fail(Errc::no_node, "there is no znode {} to create {} in", folder, op.path);
    if (parent->second.owner != 0) return fail(Errc::no_children_for_ephemerals, "{} is ephemeral", folder);
    std::string path = op.path;
    if (op.mode == CreateMode::persistent_sequential || op.mode == CreateMode::ephemeral_sequential) {
        path += fmt::format("{:010}", parent->second.creates);
    }
    if (nodes_.contains(path)) return fail(Errc::node_exists, "{} exists already", path);
    remember(folder, undo);
    remember(path, undo);
    Node node;
    node.data = op.data;
    node.czxid = node.mzxid = zxid_;
    node.ctime = node.mtime = now;
    if (op.mode == CreateMode::ephemeral || op.mode == CreateMode::ephemeral_sequential) node.owner = session;
    parent->second.children.emplace(name_of(path));
    ++parent->second.creates;
    const Stat stat = stat_of(node);
    nodes_.emplace(path, std::move(node));
    events.push_back({WatchEvent::Kind::created, path});
    events.push_back({WatchEvent::Kind::children_changed, folder});
    return OpResult{std::move(path), stat};
}

Result<OpResult> Tree::erase(const Op& op, Undo& undo, std::vector<WatchEvent>& events) {
    const auto found = nodes_.find(op.path);
    if (!found->second.children.empty()) return fail(Errc::not_empty, "{} has children", op.path);
    const std::string folder = parent_of(op.path);
    remember(folder, undo);
    remember(op.path, undo);
    nodes_.erase(found);
    nodes_.at(folder).children.erase(std::string{name_of(op.path)});
    events.push_back({WatchEvent::Kind::deleted, op.path});
    events.push_back({WatchEvent::Kind::children_changed, folder});
    return OpResult{op.path, {}};
}

void Tree::end_session(std::int64_t session, std::vector<WatchEvent>& events) {
    std::vector<Op> ops;
    for (const auto& [path, node] : nodes_) {
        if (node.owner == session) ops.push_back(Op::erase(path));
    }
    if (!ops.empty()) static_cast<void>(apply(ops, session, Instant{}, events));
}

Result<Stat> Tree::stat(const std::string& path) const {
    const auto found = nodes_.find(path);
    if (found == nodes_.end()) return fail(Errc::no_node, "there is no znode {}", path);
    return stat_of(found->second);
}

Result<Znode> Tree::get(const std::string& path) const {
    const auto found = nodes_.find(path);
    if (found == nodes_.end()) return fail(Errc::no_node, "there is no znode {}", path);
    return Znode{found->second.data, stat_of(found->second)};
}

Result<Children> Tree::children(const std::string& path) const {
    const auto found = nodes_.find(path);
    if (found == nodes_.end()) return fail(Errc::no_node, "there is no znode {}", path);
    const Node& node = found->second;
    return Children{{node.children.begin(), node.children.end()}, stat_of(node)};
}

}  // namespace cloudtask::zk
