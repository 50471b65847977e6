// FailoverPlan and its route: see failover_plan.h.
#include "center/failover_plan.h"

#include <algorithm>
#include <charconv>

#include "center/node_store.h"
#include "center/runtime_store.h"
#include "center/store.h"
#include "cloudtask/core/units.h"
#include "cloudtask/ring/timing.h"

namespace cloudtask::center {

namespace {

constexpr std::size_t kUsualMoves = 1'000;
constexpr std::size_t kMostMoves = 10'000;
constexpr std::size_t kMostDown = 100;

std::vector<ring::Member> remaining(const ring::Ring& ring, const std::set<std::string>& down) {
    std::vector<ring::Member> members = ring.members();
    std::erase_if(members, [&down](const ring::Member& member) { return down.contains(member.id); });
    return members;
}

struct Question {
    std::vector<std::string> down;  // ids or names
    std::string cursor;
    std::size_t limit = kUsualMoves;
};

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    for (std::size_t comma = 0; comma != std::string::npos; begin = comma + 1) {
        comma = text.find(',', begin);
        parts.push_back(text.substr(begin, comma - begin));
    }
    std::erase(parts, "");
    return parts;
}

bool read_limit(const std::string& text, std::size_t& limit) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
    return error == std::errc{} && end == text.data() + text.size() && limit >= 1 && limit <= kMostMoves;
}

std::optional<Question> read_question(const http::Request& request, Faults& faults) {
    Question question;
    for (const auto& [name, value] : request.query) {
        if (name == "down") {
            question.down = split(value);
        } else if (name == "cursor") {
            question.cursor = value;
        } else if (name != "limit") {
            faults.add("/" + name, "is not asked for here", "down, limit, cursor");
        } else if (!read_limit(value, question.limit)) {
            faults.add("/limit", "is out of range", fmt::format("1 to {}", kMostMoves));
        }
    }
    if (question.down.empty() || question.down.size() > kMostDown) {
        faults.add("/down", "names the nodes that go away, by id or name", fmt::format("1 to {} of them, separated by commas", kMostDown));
    }
    return faults.empty() ? std::optional(std::move(question)) : std::nullopt;
}

Result<std::vector<NodeRow>> find_nodes(soci::session& sql, const std::string& runtime, const std::vector<std::string>& wanted) {
    std::vector<NodeRow> nodes;
    for (const auto& each : wanted) {
        auto node = find_node_by_name(sql, runtime, each);
        if (!node) node = find_node(sql, each);
        if (!node || node->runtime != runtime) return fail(Errc::not_found, "there is no node {} in the runtime {}", each, runtime);
        nodes.push_back(std::move(*node));
    }
    return nodes;
}

std::string plan_json(const Context& context, std::int64_t epoch, bool settled, const std::vector<NodeRow>& down, const ring::Ring& ring,
                      const FailoverPlan& plan) {
    json::Writer out;
    out.begin_object().member("epoch", epoch).member("settled", settled);
    out.key("down").begin_array();
    for (const auto& node : down) out.begin_object().member("id", node.id).member("name", node.name).end_object();
    out.end_array().key("nodes").begin_array();
    for (const auto& member : ring.members()) {
        const auto& load = plan.loads().at(member.id);
        const bool stays = std::none_of(down.begin(), down.end(), [&member](const NodeRow& node) { return node.id == member.id; });
        out.begin_object().member("id", member.id).member("name", member.name).member("stays", stays);
        out.member("tasks", load.now).member("tasks_after", load.then).end_object();
    }
    out.end_array().member("moved", plan.moved()).member("without_node", plan.without_node());
    out.member("resumes_within", format_duration(context.options.zookeeper_session_timeout + ring::kTakeOver));
    out.key("moves").begin_array();
    for (const auto& move : plan.moves()) {
        out.begin_object().member("task_id", move.task_id).member("group", move.group).member("name", move.name).member("from", move.from);
        if (move.shard) out.member("shard", *move.shard);
        out.key("to");
        move.to.empty() ? out.null() : out.value(move.to);
        out.end_object();
    }
    out.end_array();
    if (plan.more()) out.member("next", plan.moves().back().task_id);
    return out.end_object().text();
}

}  // namespace

FailoverPlan::FailoverPlan(const ring::Ring& now, std::set<std::string> down, std::string beyond, std::size_t limit)
    : now_(now), down_(std::move(down)), beyond_(std::move(beyond)), limit_(limit), then_(remaining(now, down_)) {
    for (const auto& member : now.members()) loads_[member.id];
}

void FailoverPlan::add(const PlacedTask& task) {
    const bool broadcast = task.placement.mode == task::Mode::broadcast;
    const bool full = moves_.size() >= limit_;  // a task's shards stand on one page
    visit_owners(now_, task.id, task.placement, [&](const PlacedPiece& piece) {
        const ring::Member* from = piece.owner;
        const bool moves = from != nullptr && down_.contains(from->id);
        if (from != nullptr) ++loads_[from->id].now;
        if (broadcast) {  // it is nowhere else
            if (!moves) ++loads_[from->id].then;
            return;
        }
        const ring::Member* to = then_.owner(piece.id, task.placement.nodes);
        if (to != nullptr) {
            ++loads_[to->id].then;
        } else {
            ++without_node_;
        }
        if (!moves) return;
        ++moved_;
        if (task.id <= beyond_) return;
        if (full) {
            more_ = true;
            return;
        }
        moves_.push_back({task.id, task.group, task.name, from->name, to == nullptr ? std::string{} : to->name, piece.shard});
    });
}

Result<http::Response> get_failover_plan(Call& call) {
    const std::string& name = call.param("name");
    Faults faults;
    const auto question = read_question(call.request, faults);
    if (!question) return faulty_query(faults);
    const auto view = call.context.cluster.get();
    const auto found = view->runtimes.find(name);
    const RuntimeView runtime = found == view->runtimes.end() ? RuntimeView{} : found->second;
    const ring::Ring nobody;
    const ring::Ring& ring = runtime.ring ? *runtime.ring : nobody;
    std::string body;
    const auto work_out = [&](soci::session& sql) -> Result<> {
        if (!runtime_exists(sql, name)) return fail(Errc::not_found, "there is no runtime {}", name);
        const auto down = find_nodes(sql, name, question->down);
        if (!down) return propagate(down);
        std::set<std::string> ids;
        for (const auto& node : *down) ids.insert(node.id);
        FailoverPlan plan(ring, std::move(ids), question->cursor, question->limit);
        visit_placed_tasks(sql, name, [&plan](const PlacedTask& task) { plan.add(task); });
        body = plan_json(call.context, runtime.epoch, view->settled(name), *down, ring, plan);
        return {};
    };
    const auto read = call.context.store.read(work_out, call.over);
    if (!read) return propagate(read);
    return http::Response::json(200, std::move(body));
}

}  // namespace cloudtask::center
