// Routes of schedules before and beside their tasks: the preview of one, the load that those of a runtime make, and how to spread it. Thin:
// the rules are in schedule_load.h and spread.h. Worker threads; the forecast and the spread are questions.
#include "center/api_routes.h"
#include "center/runtime_store.h"
#include "center/schedule_load.h"
#include "center/schedule_preview.h"
#include "center/spread.h"
#include "center/store.h"
#include "center/task_store.h"
#include "center/tzdata_check.h"
#include "cloudtask/core/units.h"

#include <charconv>

namespace cloudtask::center {

namespace {

using http::Response;

constexpr int kDefinitionsPerPage = 1000;
constexpr std::int64_t kMostHours = 48, kUsualHours = 24, kMostTarget = 1'000'000;
constexpr std::size_t kMostProposals = 10'000;
constexpr Duration kMostJitter = std::chrono::hours{24};

struct LoadRequest {
    std::string runtime;
    Instant from{};
    std::int64_t hours = kUsualHours;
    SpreadLimits limits;
};

void read_whole_number(const std::string& name, const std::string& text, std::int64_t most, std::int64_t& out, Faults& faults) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{} && end == text.data() + text.size() && number >= 1 && number <= most) {
        out = number;
    } else {
        faults.add("/" + name, "is not in 1 to " + std::to_string(most), "a whole number");
    }
}

LoadRequest read_load_request(const Call& call, bool spread, Faults& faults) {
    LoadRequest request;
    request.runtime = call.param("name");
    request.from = std::chrono::floor<std::chrono::minutes>(call.context.clock.now());
    for (const auto& [name, value] : call.request.query) {
        if (name == "from") {
            const auto instant = parse_instant(value);
            if (instant) request.from = std::chrono::floor<std::chrono::minutes>(*instant);
            if (!instant) faults.add("/from", "is not an instant", "RFC 3339, such as 2026-11-21T02:42:11Z");
        } else if (name == "hours") {
            read_whole_number(name, value, kMostHours, request.hours, faults);
        } else if (spread && name == "target") {
            read_whole_number(name, value, kMostTarget, request.limits.target, faults);
        } else if (spread && name == "max_jitter") {
            const auto jitter = parse_duration(value);
            if (jitter && *jitter >= std::chrono::seconds{1} && *jitter <= kMostJitter) {
                request.limits.max_jitter = *jitter;
            } else {
                faults.add("/max_jitter", "is not a duration of 1s to 24h", "such as 5min");
            }
        } else {
            faults.add("/" + name, "is not a parameter of this question", spread ? "from, hours, max_jitter, target" : "from, hours");
        }
    }
    return request;
}

// What the enabled tasks of the runtime are due for. Errors: not_found, timeout.
Result<ScheduleLoad> load_of(const Call& call, const LoadRequest& request) {
    const auto cluster = call.context.cluster.get();
    const auto runtime = cluster->runtimes.find(request.runtime);
    std::vector<ring::Member> nodes;
    if (runtime != cluster->runtimes.end() && runtime->second.ring) nodes = runtime->second.ring->members();
    ScheduleLoad load(request.from, std::chrono::hours{request.hours}, call.over, std::move(nodes));
    std::string after;
    for (bool more = true; more;) {
        auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
            if (!runtime_exists(sql, request.runtime)) return fail(Errc::not_found, "there is no runtime {}", request.runtime);
            Result<> added;
            const int rows = visit_definitions(sql, request.runtime, after, kDefinitionsPerPage, [&](const DefinitionRow& row) {
                after = row.id;
                if (added) added = load.add({row.id, row.group, row.name, row.version}, row.document);
            });
            more = rows == kDefinitionsPerPage;
            return added;
        });
        if (!read) return propagate(read);
    }
    if (auto finished = load.finish(); !finished) return propagate(finished);
    return load;
}

void write_peak(json::Writer& out, std::string_view name, const FireCounts::Peak& peak) {
    out.key(name).begin_object().member("at", peak.at).member("fires", peak.fires).end_object();
}

void write_sums(json::Writer& out, const FireCounts& counts) {
    out.member("fires", counts.total());
    write_peak(out, "peak_second", counts.peak_second());
    write_peak(out, "peak_minute", counts.peak_minute());
}

void write_head(json::Writer& out, const LoadRequest& request, const ScheduleLoad& load) {
    out.member("runtime", request.runtime).member("from", load.counts().from()).member("to", load.counts().to());
    out.member("tasks", static_cast<std::int64_t>(load.tasks().size())).member("unreadable", load.unreadable());
}

Result<Response> get_forecast(Call& call) {
    Faults faults;
    const LoadRequest request = read_load_request(call, false, faults);
    if (!faults.empty()) return faulty_query(faults);
    const auto load = load_of(call, request);
    if (!load) return propagate(load);
    json::Writer out;
    out.begin_object();
    write_head(out, request, *load);
    write_sums(out, load->counts());
    out.key("minutes").begin_array();
    for (const std::int64_t fires : load->counts().by_minute()) out.value(fires);
    out.end_array().end_object();
    return Response::json(200, out.text());
}

Result<Response> get_spread(Call& call) {
    Faults faults;
    const LoadRequest request = read_load_request(call, true, faults);
    if (!faults.empty()) return faulty_query(faults);
    const auto load = load_of(call, request);
    if (!load) return propagate(load);
    const auto spread = propose_spread(*load, request.limits);
    if (!spread) return propagate(spread);
    json::Writer out;
    out.begin_object();
    write_head(out, request, *load);
    out.member("max_jitter", format_duration(request.limits.max_jitter)).member("target", request.limits.target);
    out.key("before").begin_object();
    write_sums(out, load->counts());
    out.end_object().key("after").begin_object();
    write_sums(out, spread->after);
    out.end_object().member("proposed", static_cast<std::int64_t>(spread->proposals.size()));
    out.key("proposals").begin_array();
    for (std::size_t i = 0; i < std::min(spread->proposals.size(), kMostProposals); ++i) {
        const SpreadProposal& proposal = spread->proposals[i];
        const ScheduleLoad::TaskRow& task = load->tasks()[proposal.entry->task];
        out.begin_object().member("task_id", task.id).member("group", task.group).member("name", task.name);
        out.member("version", task.version).member("schedule", static_cast<std::int64_t>(proposal.entry->schedule));
        out.member("jitter", format_duration(proposal.jitter)).end_object();
    }
    out.end_array().end_object();
    return Response::json(200, out.text());
}

Result<Response> get_tzdata(Call& call) {
    auto answer = tzdata_json(call.context.store);
    if (!answer) return propagate(answer);
    return Response::json(200, std::move(*answer));
}

}  // namespace

void add_schedule_routes(RouteTable& table, const Context&) {
    table.add("POST", "/api/v1/schedules/preview", Access::user_read, preview_schedules, {.max_body_bytes = 256 * 1024});
    table.add("GET", "/api/v1/runtimes/{name}/forecast", Access::user_read, get_forecast, {.question = true});
    table.add("GET", "/api/v1/runtimes/{name}/spread", Access::user_read, get_spread, {.question = true});
    table.add("GET", "/api/v1/tzdata", Access::user_read, get_tzdata);
}

}  // namespace cloudtask::center
