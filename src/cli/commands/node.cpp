// node: cordon, drain and uncordon; and plan-failover, what would move if nodes went away. One thread.
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/resources.h"
#include "cloudtask/core/units.h"

namespace cloudtask::cli {

namespace {

constexpr Duration kDefaultTimeout = std::chrono::minutes{10};
constexpr const char* kMovesPerPage = "10000";

bool flag(const json::Value& object, const char* name) {
    const auto found = object.FindMember(name);
    return found != object.MemberEnd() && found->value.IsTrue();
}

// What the center keeps as the wish; null: there is none.
const json::Value* wish_of(const json::Value& node) {
    const auto found = node.FindMember("cordoned");
    return found != node.MemberEnd() && found->value.IsObject() ? &found->value : nullptr;
}

Result<json::Document> named_node(Invocation& invocation, const std::string& reference) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto node = resolve(**center, *find_resource("node"), reference);
    if (node && !node->IsObject()) return fail(Exit::failed, "node {}: the center's answer is not a node", reference);
    return node;
}

std::string node_name(const json::Value& node) { return find_resource("node")->name(node); }

Result<json::Document> ask(Invocation& invocation, const std::string& action) {
    auto node = named_node(invocation, invocation.arguments().text("NODE"));
    if (!node) return propagate(node);
    auto answer = (*invocation.center())
                      ->write({.method = "POST",
                               .path = path_of(*find_resource("node"), *node) + "/" + action,
                               .body = "",
                               .doing = fmt::format("{} node {}", action, node_name(*node))});
    if (answer && !answer->IsObject()) return fail(Exit::failed, "{} node: the center's answer is not a node", action);
    return answer;
}

void print_node(Invocation& invocation, const json::Value& node, const std::string& sentence) {
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(node);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(node);
    } else if (invocation.quiet()) {
        invocation.out() << node_name(node) << '\n';
    } else {
        invocation.out() << sentence << '\n';
    }
}

Result<> cordon(Invocation& invocation) {
    auto node = ask(invocation, "cordon");
    if (!node) return propagate(node);
    print_node(invocation, *node, fmt::format("node {} cordoned: its tasks move to other nodes, its runs go on", node_name(*node)));
    return {};
}

Result<> uncordon(Invocation& invocation) {
    auto node = ask(invocation, "uncordon");
    if (!node) return propagate(node);
    print_node(invocation, *node, fmt::format("node {} uncordoned: it takes its place in the ring again", node_name(*node)));
    return {};
}

// What is still to wait for; empty when the node is drained. What an offline node has not been told it does not need to carry out.
std::string left_to_do(const json::Value& node) {
    const json::Value* wish = wish_of(node);
    const std::int64_t tasks = integer_member(node, "owned_tasks");
    const std::int64_t runs = integer_member(node, "running_runs");
    if (flag(node, "in_ring")) return fmt::format("in the ring yet (tasks: {}, runs: {})", tasks, runs);
    const bool done = wish != nullptr && flag(*wish, "done");
    if (flag(node, "online") && !done) return fmt::format("out of the ring, begins its last fires (runs: {})", runs);
    if (!flag(node, "ring_settled")) return fmt::format("its tasks are being taken over (runs: {})", runs);
    return runs == 0 ? std::string{} : fmt::format("its tasks have moved, its last runs go on (runs: {})", runs);
}

// Follows the node until it is drained. The center may be away for a while in between.
Result<json::Document> follow(Invocation& invocation, const json::Value& asked, Duration timeout) {
    Center& center = **invocation.center();
    const std::string name = node_name(asked);
    const std::string path = path_of(*find_resource("node"), asked);
    const SteadyInstant deadline = invocation.context().clock.steady_now() + timeout;
    std::string said;
    int unanswered = 0;
    for (;;) {
        auto node = center.get(path, "node " + name);
        if (node) {
            unanswered = 0;
            if (wish_of(*node) == nullptr) return fail(Exit::failed, "node {} is no longer cordoned: somebody has uncordoned it", name);
            const std::string left = left_to_do(*node);
            if (left.empty()) return node;
            if (left != said) invocation.remark(fmt::format("node {}: {}", name, left));
            said = left;
        } else if (exit_for(node.error()) != Exit::unreachable || ++unanswered >= kTriesUnanswered) {
            return node;
        }
        if (invocation.context().clock.steady_now() >= deadline) {
            return fail(Exit::failed, "node {} is not drained after {}: {}; it stays cordoned", name, format_duration(timeout),
                        said.empty() ? "the center does not answer" : said);
        }
        center.api().wait(kAskAgain);
    }
}

Result<> drain(Invocation& invocation) {
    Duration timeout = kDefaultTimeout;
    if (invocation.arguments().has("timeout")) {
        const auto given = parse_duration(invocation.arguments().text("timeout"));
        if (!given) return fail(Exit::usage, "--timeout: {}", given.error().message);
        timeout = *given;
    }
    if (invocation.arguments().has("no-wait")) return cordon(invocation);
    auto asked = ask(invocation, "cordon");
    if (!asked) return propagate(asked);
    auto drained = follow(invocation, *asked, timeout);
    if (!drained) return propagate(drained);
    print_node(invocation, *drained, fmt::format("node {} drained: it owns no task and runs nothing", node_name(*drained)));
    return {};
}

// --- plan-failover

// All pages of the plan as one answer.
Result<json::Document> whole_plan(Center& center, const std::string& runtime, const std::string& down) {
    const std::string path = "/runtimes/" + http::encode_component(runtime) + "/failover-plan";
    json::Document plan;
    std::string cursor;
    do {
        const Query query{{"down", down}, {"limit", kMovesPerPage}, {"cursor", cursor}};
        auto page = center.get(path, "failover plan of runtime " + runtime, query);
        if (!page) return page;
        const auto moves = page->IsObject() ? page->FindMember("moves") : page->MemberEnd();
        if (!page->IsObject() || moves == page->MemberEnd() || !moves->value.IsArray()) {
            return fail(Exit::failed, "plan-failover: the center's answer is not a plan");
        }
        cursor = text_member(*page, "next");
        if (plan.IsNull()) {
            plan = std::move(*page);
            plan.RemoveMember("next");
            continue;
        }
        if (integer_member(*page, "epoch") != integer_member(plan, "epoch")) {
            return fail(Exit::conflict, "the allocation has changed meanwhile; ask again");
        }
        for (const auto& move : moves->value.GetArray())
            plan["moves"].PushBack(json::Value(move, plan.GetAllocator()), plan.GetAllocator());
    } while (!cursor.empty());
    return plan;
}

void print_plan(Invocation& invocation, const json::Value& plan, const std::string& runtime) {
    std::ostream& out = invocation.out();
    Table moves({"TASK", "FROM", "TO"});
    for (const auto& move : plan["moves"].GetArray()) {
        const std::string to = text_member(move, "to");
        const std::string task = fmt::format("{}/{}/{}", runtime, text_member(move, "group"), text_member(move, "name"));
        if (invocation.quiet()) {
            out << task << '\n';
        } else {
            moves.add({task, text_member(move, "from"), to.empty() ? "no node can take it" : to});
        }
    }
    if (invocation.quiet()) return;
    if (!plan["moves"].Empty()) {
        moves.print(out, false);
        out << '\n';
    }
    Table load({"NODE", "TASKS", "AFTER"});
    for (const auto& node : plan["nodes"].GetArray()) {
        load.add({text_member(node, "name"), std::to_string(integer_member(node, "tasks")),
                  flag(node, "stays") ? std::to_string(integer_member(node, "tasks_after")) : "down"});
    }
    load.print(out, false);
    invocation.remark(fmt::format("tasks that would move: {}, left without a node: {}; the others' fires go on within {}",
                                  integer_member(plan, "moved"), integer_member(plan, "without_node"),
                                  text_member(plan, "resumes_within")));
    if (!flag(plan, "settled")) invocation.remark("the ring is changing at this moment: ask again when it has settled");
}

Result<> plan_failover(Invocation& invocation) {
    const auto& names = invocation.arguments().list("down");
    if (names.empty()) return fail(Exit::usage, "--down is missing: which node is to go away?\n  see: cloudtask plan-failover --help");
    std::string runtime;
    std::string down;  // ids
    for (const std::string& name : names) {
        auto node = named_node(invocation, name);
        if (!node) return propagate(node);
        const std::string of = text_member(*node, "runtime");
        if (!runtime.empty() && of != runtime) return fail(Exit::usage, "the nodes are of several runtimes: {} and {}", runtime, of);
        runtime = of;
        down += (down.empty() ? "" : ",") + text_member(*node, "id");
    }
    auto plan = whole_plan(**invocation.center(), runtime, down);
    if (!plan) return propagate(plan);
    if (!plan->HasMember("nodes") || !(*plan)["nodes"].IsArray())
        return fail(Exit::failed, "plan-failover: the center's answer is not a plan");
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(*plan);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(*plan);
    } else {
        print_plan(invocation, *plan, runtime);
    }
    return {};
}

}  // namespace

std::vector<Command> node_commands() {
    const Positional node{"NODE", "RUNTIME/NAME or an id"};
    return {
        {.name = "node cordon",
         .summary = "Keep a node out of the ring",
         .details = "Its tasks move to other nodes at once, with no fire lost or doubled; its runs go on to their end. It stays "
                    "registered, and stays "
                    "cordoned over restarts. A wish for a node that is offline holds when it comes back.",
         .positionals = {node},
         .options = {},
         .examples = {{"cloudtask node cordon demo/node-2", "no more fires there"}},
         .run = cordon},
        {.name = "node drain",
         .summary = "Cordon a node and wait until it has nothing to do",
         .details = "Exits with 0 when the node owns nothing, the ring has settled without it, and none of its runs is going on; with 1 "
                    "when that is "
                    "not reached in time. The node stays cordoned either way.",
         .positionals = {node},
         .options = {{"timeout", 0, "DURATION", "how long to wait (default 10m)"}, {"no-wait", 0, "", "only cordon it"}},
         .examples = {{"cloudtask node drain demo/node-2", "before its machine is switched off"},
                      {"cloudtask node drain demo/node-2 --timeout 2h", "it has long runs"}},
         .run = drain},
        {.name = "node uncordon",
         .summary = "Let a node back into the ring",
         .details = "The tasks that it had before come back to it.",
         .positionals = {node},
         .options = {},
         .examples = {{"cloudtask node uncordon demo/node-2", "it takes part again"}},
         .run = uncordon},
        {.name = "plan-failover",
         .summary = "Show which tasks would move, and where, if nodes went away",
         .details = "Computed by the ring that the nodes use, from the allocation in force: it is what happens. Changes nothing. With -q, "
                    "the tasks "
                    "that move.",
         .positionals = {},
         .options = {{.name = "down",
                      .letter = 0,
                      .value = "NODE",
                      .meaning = "a node that goes away: RUNTIME/NAME or an id",
                      .repeatable = true}},
         .examples = {{"cloudtask plan-failover --down demo/node-2", "what if it dies?"},
                      {"cloudtask plan-failover --down demo/node-2 --down demo/node-3 -o json", "two of them, for scripts"}},
         .run = plan_failover},
    };
}

}  // namespace cloudtask::cli
