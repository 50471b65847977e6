// verify and why: is every fire accounted for, and what happened to one of them. One thread.
#include <algorithm>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/resources.h"
#include "cli/task_call.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/core/units.h"

namespace cloudtask::cli {

namespace {

constexpr Duration kLedgerTakes = std::chrono::minutes{10};  // at the most: a million fires

// RFC 3339, "now", or how long ago: "-1h".
Result<std::string> read_time(const std::string& name, const std::string& text, Instant now) {
    if (text == "now") return format_instant(now);
    if (text.starts_with('-')) {
        const auto ago = parse_duration(text.substr(1));
        if (ago) return format_instant(now - *ago);
    } else if (const auto instant = parse_instant(text)) {
        return format_instant(*instant);
    }
    return fail(Exit::usage, "{} cannot be \"{}\"; it is a time such as 2026-11-21T02:42:11Z, or -1h, or now", name, text);
}

// An id also of a task that is gone.
Result<std::string> task_id(Center& center, const std::string& reference) {
    if (is_uuid(reference)) return reference;
    auto task = resolve(center, *find_resource("task"), reference);
    if (!task) return propagate(task);
    return text_member(*task, "id");
}

std::string task_of(const json::Value& fire) {
    const std::string piece = text_member(fire, "piece");
    return text_member(fire, "runtime") + "/" + text_member(fire, "group") + "/" + text_member(fire, "task_name") +
           (piece.empty() ? "" : ", " + piece);
}

const json::Value& list_of(const json::Value& ledger, const char* name) {
    static const json::Value kNone(rapidjson::kArrayType);
    return ledger.HasMember(name) && ledger[name].IsArray() ? ledger[name] : kNone;
}

std::string reasons_of(const json::Value& ledger, const std::string& verdict) {
    std::string text;
    for (const auto& reason : list_of(ledger, "reasons").GetArray()) {
        if (text_member(reason, "verdict") != verdict) continue;
        text += fmt::format("{}{} {}", text.empty() ? "" : ", ", text_member(reason, "reason"), integer_member(reason, "count"));
    }
    return text;
}

void print_fires(std::ostream& out, const json::Value& ledger, const char* name, std::string_view title) {
    const json::Value& fires = list_of(ledger, name);
    if (fires.Empty()) return;
    out << '\n' << title << '\n';
    Table table({"FIRE TIME", "TASK", "REASON"});
    for (const auto& fire : fires.GetArray()) table.add({text_member(fire, "fire_time"), task_of(fire), text_member(fire, "reason")});
    table.print(out, false);
}

void print_unreadable(std::ostream& out, const json::Value& ledger) {
    const json::Value& versions = list_of(ledger, "unreadable");
    if (versions.Empty()) return;
    out << "\nunreadable: versions of definitions, of which nobody knows what was due\n";
    Table table({"TASK", "VERSION", "FROM", "TO", "PROBLEM"});
    for (const auto& each : versions.GetArray()) {
        table.add({task_of(each), std::to_string(integer_member(each, "version")), text_member(each, "from"), text_member(each, "to"),
                   text_member(each, "problem")});
    }
    table.print(out, false);
}

void print_ledger(std::ostream& out, const json::Value& ledger) {
    out << fmt::format("{} fires were due from {} to {}, of {} tasks\n\n", integer_member(ledger, "due"), text_member(ledger, "from"),
                       text_member(ledger, "to"), integer_member(ledger, "task_count"));
    Table table({"VERDICT", "FIRES", "REASONS"});
    const json::Value& counts = ledger.HasMember("counts") && ledger["counts"].IsObject() ? ledger["counts"] : ledger;
    for (const auto& count : counts.GetObject()) {
        const std::string verdict(count.name.GetString(), count.name.GetStringLength());
        if (!count.value.IsUint64() || (count.value.GetUint64() == 0 && verdict != "unexplained")) continue;
        table.add({verdict, std::to_string(count.value.GetUint64()), reasons_of(ledger, verdict)});
    }
    table.print(out, false);
    print_fires(out, ledger, "unexplained_fires", "unexplained: due, and nothing is known of them");
    print_fires(out, ledger, "unexpected_fires", "unexpected: they ran, and no definition says that they were due");
    print_fires(out, ledger, "awaited_fires", "awaited: a report may still come");
    print_unreadable(out, ledger);
}

Result<> verify(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    const Instant now = invocation.context().clock.now();
    Query query;
    for (const char* name : {"from", "to"}) {
        const std::string otherwise = std::string_view(name) == "from" ? "-1h" : "now";
        auto time = read_time(std::string("--") + name, arguments.has(name) ? arguments.text(name) : otherwise, now);
        if (!time) return propagate(time);
        query.emplace_back(name, *time);
    }
    auto center = invocation.center();
    if (!center) return propagate(center);
    if (arguments.has("task")) {
        auto id = task_id(**center, arguments.text("task"));
        if (!id) return propagate(id);
        query.emplace_back("task", *id);
    }
    for (const char* name : {"group", "runtime", "late"}) query.emplace_back(name, arguments.text(name));

    auto ledger = (*center)->get("/ledger", "ledger", query, kLedgerTakes);
    if (!ledger) return propagate(ledger);
    if (!ledger->IsObject() || !ledger->HasMember("counts") || !(*ledger)["counts"].IsObject()) {
        return fail(Exit::failed, "verify: the center's answer is not a ledger");
    }
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(*ledger);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(*ledger);
    } else if (invocation.quiet()) {
        for (const auto& fire : list_of(*ledger, "unexplained_fires").GetArray()) {
            invocation.out() << task_of(fire) << ' ' << text_member(fire, "fire_time") << '\n';
        }
    } else {
        print_ledger(invocation.out(), *ledger);
    }
    const std::int64_t unexplained = integer_member((*ledger)["counts"], "unexplained");
    if (unexplained > 0) return fail(Exit::failed, "{} of {} fires are unexplained", unexplained, integer_member(*ledger, "due"));
    const auto unreadable = list_of(*ledger, "unreadable").Size();
    if (unreadable > 0)
        return fail(Exit::failed, "{} versions of definitions cannot be read: what was due by them is not known", unreadable);
    return {};
}

// What the answer knows, one line each.
void print_why(std::ostream& out, const json::Value& why) {
    out << text_member(why, "sentence") << '\n';
    if (const json::Value& pieces = list_of(why, "pieces"); !pieces.Empty()) {
        out << '\n';
        Table table({"PIECE", "VERDICT", "SENTENCE"});
        for (const auto& piece : pieces.GetArray()) {
            const std::string name =
                piece.HasMember("shard") ? fmt::format("shard {}", integer_member(piece, "shard")) : text_member(piece, "node");
            table.add({name, text_member(piece, "verdict"), text_member(piece, "sentence")});
        }
        table.print(out, false);
    }
    const json::Value& runs = list_of(why, "runs");
    if (runs.Empty()) return;
    out << '\n';
    Table table({"RUN", "ATTEMPT", "STATE", "NODE", "EPOCH", "STARTED", "LATE BY", "REPORTED LATE", "REASON"});
    for (const auto& run : runs.GetArray()) {
        const bool started = !text_member(run, "started_at").empty();
        const std::string late = run.HasMember("late_report") ? text_member(run["late_report"], "state") : "";
        table.add({text_member(run, "id"), std::to_string(integer_member(run, "attempt")), text_member(run, "state"),
                   text_member(run, "node_name"), std::to_string(integer_member(run, "epoch")), text_member(run, "started_at"),
                   started ? format_duration(std::chrono::round<std::chrono::milliseconds>(
                                 Duration{std::max<std::int64_t>(0, integer_member(run, "lateness_us"))}))
                           : "",
                   late, text_member(run, "reason")});
    }
    table.print(out, false);
}

Result<> why(Invocation& invocation) {
    auto at = read_time("TIME", invocation.arguments().text("TIME"), invocation.context().clock.now());
    if (!at) return propagate(at);
    auto center = invocation.center();
    if (!center) return propagate(center);
    const std::string reference = invocation.arguments().text("TASK");
    auto id = task_id(**center, reference);
    if (!id) return propagate(id);
    Query query = piece_query(invocation.arguments());
    query.emplace_back("at", *at);
    auto answer = (*center)->get("/tasks/" + http::encode_component(*id) + "/why", "task " + reference, query);
    if (!answer) return propagate(answer);
    if (!answer->IsObject()) return fail(Exit::failed, "why: the center's answer is not an explanation");
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(*answer);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(*answer);
    } else if (invocation.quiet()) {
        invocation.out() << text_member(*answer, "cause") << '\n';
    } else {
        print_why(invocation.out(), *answer);
    }
    return {};
}

}  // namespace

std::vector<Command> ledger_commands() {
    return {
        {.name = "verify",
         .summary = "Prove that every fire is accounted for",
         .details =
             "Works out from the versions of the definitions which fires were due, and holds them against the history: each of them ran, "
             "was skipped or missed for a reason, is LOST, or is awaited from a node that is offline. What is none of these is "
             "unexplained: "
             "it is listed, and the command exits with 1.\n\n"
             "A time is RFC 3339 (2026-11-21T02:42:11Z), or how long ago (-1h), or now.",
         .positionals = {},
         .options = {{"from", 0, "TIME", "begin here (default -1h)"},
                     {"to", 0, "TIME", "end before this (default now)"},
                     {"runtime", 'r', "NAME", "only of this runtime"},
                     {"group", 'g', "NAME", "only of this group"},
                     {"task", 't', "TASK", "only of this task: RUNTIME/GROUP/NAME or an id"},
                     {"late", 0, "DURATION", "what started later than this ran late (default 1s)"}},
         .examples = {{"cloudtask verify", "the last hour"},
                      {"cloudtask verify --from 2026-11-20T00:00:00Z --to 2026-11-21T00:00:00Z --runtime demo", "a day"},
                      {"cloudtask verify --from -1d -o json | jq .counts", "for scripts"}},
         .run = verify},
        {.name = "why",
         .summary = "Tell what happened to one fire of a task",
         .details = "Says which run it was, on which node and how late; or why there was none: it was not due, the task was disabled and "
                    "by whom, a "
                    "run before it was still going, it came too late, its node was lost. Of a task with pieces (shards, broadcast) it says "
                    "that of each. With -q only the cause, as one word.",
         .positionals = {{"TASK", "RUNTIME/GROUP/NAME or an id, also of a task that was deleted"},
                         {"TIME", "the fire time, such as 2026-11-21T09:00:00Z"}},
         .options = piece_options(),
         .examples = {{"cloudtask why demo/reports/package-report 2026-11-21T09:00:00Z", "did it run at nine?"},
                      {"cloudtask why demo/reports/package-report 2026-11-21T10:00:00+01:00 -o json",
                       "the same, in local time, for scripts"}},
         .run = why},
    };
}

}  // namespace cloudtask::cli
