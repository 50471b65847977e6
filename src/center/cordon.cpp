// Cordoning: see cordon.h.
#include "center/cordon.h"

#include "center/audit_store.h"
#include "center/commands_store.h"
#include "cloudtask/core/ids.h"

namespace cloudtask::center {

namespace {

constexpr const char* kCordon = "cordon";
constexpr const char* kUncordon = "uncordon";

// Does the node, which is there, want something else than is wished of it? So it is with a database that was restored from a backup, and
// for a moment with a node that has not heard yet.
bool disagrees(const Context& context, const NodeRow& node) {
    const auto view = context.cluster.get();
    const auto runtime = view->runtimes.find(node.runtime);
    if (runtime == view->runtimes.end()) return false;
    const auto live = runtime->second.nodes.find(node.id);
    return live != runtime->second.nodes.end() && live->second.leaving != node.cordoned.has_value();
}

std::string audit_text(const std::optional<CordonWish>& wish) {
    json::Writer out;
    return out.begin_object().member("cordoned", wish.has_value()).end_object().text();
}

void ask(const Context& context, WriteScope& scope, const std::string& node_id, bool cordoned) {
    ask_node_to_cordon(scope.sql, node_id, cordoned, make_uuid(scope.now, context.random), scope.now);
    scope.after_commit([&hooks = context.hooks, node_id] { hooks.fire_commands_waiting(node_id); });
}

}  // namespace

void forget_cordon(soci::session& sql, const std::string& node_id) {
    withdraw_node_commands(sql, node_id, kCordon);
    withdraw_node_commands(sql, node_id, kUncordon);
}

void ask_node_to_cordon(soci::session& sql, const std::string& node_id, bool cordoned, const std::string& command_id, Instant now) {
    forget_cordon(sql, node_id);
    Command command{.id = command_id,
                    .node_id = node_id,
                    .kind = cordoned ? kCordon : kUncordon,
                    .run_id = {},
                    .document = {},
                    .state = "open",
                    .delivered = std::nullopt};
    json::Writer out;
    command.document = out.begin_object().member("id", command.id).member("kind", command.kind).end_object().text();
    insert_command(sql, command, now);
}

bool cordon_is_done(soci::session& sql, const std::string& node_id) { return !has_open_command(sql, node_id, kCordon); }

Result<CordonChange> set_cordoned(const Context& context, WriteScope& scope, const std::string& node_id, bool cordoned) {
    auto node = find_node(scope.sql, node_id);
    if (!node) return fail(Errc::not_found, "there is no node {}", node_id);
    if (node->cordoned.has_value() == cordoned) {
        const bool asks = disagrees(context, *node) && !has_open_command(scope.sql, node_id, cordoned ? kCordon : kUncordon);
        if (asks) ask(context, scope, node_id, cordoned);
        return CordonChange{std::move(*node), asks};
    }
    const std::string before = audit_text(node->cordoned);
    node->cordoned = cordoned ? std::optional(CordonWish{scope.now, scope.principal.name}) : std::nullopt;
    set_cordon_wish(scope.sql, node_id, node->cordoned);
    ask(context, scope, node_id, cordoned);
    write_audit(scope, cordoned ? "node.cordon" : "node.uncordon", "node:" + node_id, before, audit_text(node->cordoned));
    return CordonChange{std::move(*node), true};
}

}  // namespace cloudtask::center
