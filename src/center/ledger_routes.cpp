// Routes of the ledger: its sums, and one fire explained. Thin: the rules are in ledger_report.h and why.h.
#include "center/api_routes.h"
#include "center/ledger_report.h"
#include "center/store.h"
#include "center/surroundings.h"
#include "center/task_placement.h"
#include "center/why.h"
#include "cloudtask/core/units.h"

namespace cloudtask::center {

namespace {

using http::Response;

constexpr const char* kInstantAllowed = "RFC 3339, such as 2026-11-21T02:42:11Z";

void read_instant(const std::string& name, const std::string& text, Instant& out, Faults& faults) {
    const auto parsed = parse_instant(text);
    if (parsed) {
        out = *parsed;
    } else {
        faults.add("/" + name, "is not an instant", kInstantAllowed);
    }
}

std::optional<LedgerRequest> read_request(const Call& call, Faults& faults) {
    LedgerRequest request;
    request.over = call.over;
    request.rules = ledger_rules(call.context.options);
    for (const auto& [name, value] : call.request.query) {
        if (name == "from") {
            read_instant(name, value, request.from, faults);
        } else if (name == "to") {
            read_instant(name, value, request.to, faults);
        } else if (name == "task") {
            request.scope.task_id = value;
        } else if (name == "group") {
            request.scope.group = value;
        } else if (name == "runtime") {
            request.scope.runtime = value;
        } else if (name == "late") {
            const auto late = parse_duration(value);
            if (late) request.rules.late = *late;
            if (!late) faults.add("/late", "is not a duration", "such as 1s or 250ms");
        } else {
            faults.add("/" + name, "is not a parameter of the ledger", "from, to, task, group, runtime, late");
        }
    }
    for (const char* name : {"from", "to"}) {
        if (!call.request.query.contains(name)) faults.add(std::string("/") + name, "is missing", kInstantAllowed);
    }
    if (faults.empty() && request.to <= request.from) faults.add("/to", "is not after `from`");
    if (faults.empty() && request.to - request.from > LedgerRequest::kMaxInterval) {
        faults.add("/to", "is too long after `from`", format_duration(LedgerRequest::kMaxInterval) + " at most");
    }
    return faults.empty() ? std::optional<LedgerRequest>(std::move(request)) : std::nullopt;
}

Result<Response> get_ledger(Call& call) {
    Faults faults;
    const auto request = read_request(call, faults);
    if (!request) return faulty_query(faults);
    const Instant now = call.context.clock.now();
    const auto sum = make_ledger(call.context.store, call.context.cluster.get(), now, *request);
    if (!sum && sum.error().is(Errc::too_large)) return Response::problem(422, sum.error().message);
    if (!sum) return propagate(sum);
    return Response::json(200, ledger_json(*request, *sum, now));
}

Result<Response> get_why(Call& call) {
    Faults faults;
    Instant at{};
    WhyWhich which;
    for (const auto& [name, value] : call.request.query) {
        if (name == "at") {
            read_instant(name, value, at, faults);
        } else if (name == "node") {
            which.node = value;
        } else if (name == "shard") {
            which.shard = read_shard(value);
            if (!which.shard) faults.add("/shard", "is not the number of a shard", fmt::format("0 to {}", task::kMostShards - 1));
        } else {
            faults.add("/" + name, "is not a parameter of this question", "at, shard, node");
        }
    }
    if (!call.request.query.contains("at")) faults.add("/at", "is missing", kInstantAllowed);
    if (!faults.empty()) return faulty_query(faults);
    const auto why = explain_fire(call.context.store, *call.context.cluster.get(), ledger_rules(call.context.options),
                                  call.context.clock.now(), call.param("id"), at, which, call.over);
    if (!why) return propagate(why);
    return Response::json(200, why_json(*why));
}

}  // namespace

void add_ledger_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/ledger", Access::user_read, get_ledger, {.question = true});
    table.add("GET", "/api/v1/tasks/{id}/why", Access::user_read, get_why, {.question = true});
}

}  // namespace cloudtask::center
