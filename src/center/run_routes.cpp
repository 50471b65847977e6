// Routes of runs: list, one, stop, log, and the start of a task by hand. Thin: rules are in runs.h, followers in log_hub.h.
#include <algorithm>
#include <charconv>

#include "center/api_routes.h"
#include "center/fires.h"
#include "center/listing.h"
#include "center/log_hub.h"
#include "center/runs.h"
#include "center/store.h"
#include "center/tasks.h"

namespace cloudtask::center {

namespace {

using http::Response;

const ListSpec kRunList{.id_column = "id",
                        .sort = {{"id", "id"}},
                        .default_sort = "-id",
                        .filters = {"runtime", "group", "task", "state", "node", "shard", "since", "until"}};

// An answer with a part of a log in memory; a client asks again from where it ends. From 0 on the file itself is sent.
constexpr std::size_t kMaxLogAnswer = 8 << 20;

std::optional<RunFilter> read_filter(const ListQuery& query, Faults& faults) {
    RunFilter filter;
    const auto text = [&](const char* name, std::string& out) {
        if (const auto* value = query.filter(name)) out = *value;
    };
    const auto instant = [&](const char* name, std::optional<Instant>& out) {
        const auto* value = query.filter(name);
        if (value == nullptr) return;
        const auto parsed = parse_instant(*value);
        if (parsed) {
            out = *parsed;
        } else {
            faults.add(std::string("/") + name, "is not an instant", "RFC 3339, such as 2026-11-21T02:42:11Z");
        }
    };
    text("runtime", filter.runtime);
    text("group", filter.group);
    text("task", filter.task_id);
    text("node", filter.node_id);
    if (const auto* value = query.filter("shard")) {
        filter.shard = read_shard(*value);
        if (!filter.shard) faults.add("/shard", "is not the number of a shard", fmt::format("0 to {}", task::kMostShards - 1));
    }
    instant("since", filter.since);
    instant("until", filter.until);
    if (const auto* value = query.filter("state")) {
        const auto state = task::parse_run_state(*value);
        if (state) {
            filter.state = *state;
        } else {
            faults.add("/state", "is not a state of a run", "PENDING, RUNNING, SUCCEEDED, FAILED, TIMED_OUT, STOPPED, LOST or SKIPPED");
        }
    }
    filter.oldest_first = !query.descending;
    if (query.after) filter.beyond = query.after->id;
    return faults.empty() ? std::optional<RunFilter>(std::move(filter)) : std::nullopt;
}

Result<Response> get_runs(Call& call) {
    Faults faults;
    const auto query = read_list_query(call.request.query, kRunList, faults);
    auto filter = query ? read_filter(*query, faults) : std::nullopt;
    if (!filter) return Response::problem(400, "The list cannot be made as asked for.", faults);
    const auto limit = static_cast<std::size_t>(query->limit);
    filter->limit = limit + 1;
    std::vector<StoredRun> runs;
    const auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        runs = list_runs(sql, *filter);
        return {};
    });
    if (!read) return propagate(read);
    std::string next;
    if (runs.size() > limit) {
        runs.resize(limit);
        next = make_cursor(*query, {"", runs.back().run.id});
    }
    std::vector<std::string> items;
    items.reserve(runs.size());
    for (const auto& each : runs) items.push_back(run_json(each));
    return Response::json(200, list_body(items, next));
}

Result<StoredRun> need_run(Store& store, const std::string& id) {
    std::optional<StoredRun> stored;
    const auto read = store.read([&](soci::session& sql) -> Result<> {
        stored = find_run(sql, id);
        return {};
    });
    if (!read) return propagate(read);
    if (!stored) return fail(Errc::not_found, "there is no run {}", id);
    return *stored;
}

Result<Response> get_run(Call& call) {
    const auto stored = need_run(call.context.store, call.param("id"));
    if (!stored) return propagate(stored);
    return Response::json(200, run_json(*stored));
}

// Which pieces are meant, by the query.
Result<> read_pieces(const Call& call, StartRequest& request) {
    for (const auto& [name, value] : call.request.query) {
        if (name == "shard") {
            request.shard = read_shard(value);
            if (!request.shard) return fail(Errc::invalid_argument, "shard is a number from 0 to {}", task::kMostShards - 1);
        } else if (name == "node") {
            request.node = value;
        } else {
            return fail(Errc::invalid_argument, "{} is not asked for here: shard, node", name);
        }
    }
    return {};
}

Result<Response> post_start(Call& call) {
    Faults faults;
    StartRequest request;
    if (!call.request.body.empty()) {
        const auto document = call.json_body();
        if (!document) return propagate(document);
        request = read_start_request(*document, faults);
        if (!faults.empty()) return faulty("start", faults);
    }
    if (const auto which = read_pieces(call, request); !which) return propagate(which);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto stored = need_task(scope.sql, call.param("id"));
        if (!stored) return propagate(stored);
        Faults refused;
        const auto runs = start_task(call.context, scope, *stored, request, refused);
        if (!refused.empty()) return faulty("start", refused);
        if (!runs) return propagate(runs);
        if (stored->task.mode == task::Mode::single) return Response::json(202, run_json({runs->front(), {}, {}}));
        std::vector<std::string> items;
        for (const auto& run : *runs) items.push_back(run_json({run, {}, {}}));
        return Response::json(202, list_body(items, {}));
    });
}

Result<Response> post_stop(Call& call) {
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto stored = stop_run(call.context, scope, call.param("id"));
        if (!stored) return propagate(stored);
        return Response::json(202, run_json(*stored));
    });
}

struct LogQuery {
    LogStream stream = LogStream::standard_output;
    std::uint64_t from = 0;
    bool follow = false;
};

std::optional<LogQuery> read_log_query(const http::Request& request, Faults& faults) {
    LogQuery query;
    std::string from;
    for (const auto& [name, value] : request.query) {
        if (name == "stream") {
            const auto stream = parse_log_stream(value);
            if (stream) query.stream = *stream;
            if (!stream) faults.add("/stream", "is not a stream of a run", "stdout or stderr");
        } else if (name == "from") {
            from = value;
        } else if (name == "follow") {
            if (value != "true" && value != "false") faults.add("/follow", "is neither true nor false", "true or false");
            query.follow = value == "true";
        } else {
            faults.add("/" + name, "is not a parameter of a log", "stream, from, follow");
        }
    }
    // An event stream that broke off goes on where it was.
    const std::string last_id(request.headers.get("Last-Event-ID"));
    if (query.follow && !last_id.empty()) from = last_id;
    if (!from.empty()) {
        const auto [end, code] = std::from_chars(from.data(), from.data() + from.size(), query.from);
        if (code != std::errc{} || end != from.data() + from.size()) faults.add("/from", "is not an offset in bytes", "0 or more");
    }
    return faults.empty() ? std::optional<LogQuery>(query) : std::nullopt;
}

Result<Response> log_answer(const LogFiles& files, const StoredRun& stored, const LogQuery& query) {
    const std::string& id = stored.run.id;
    const auto size = files.size(id, query.stream);
    if (!size) return propagate(size);
    Response response = Response::text(200, {});
    std::uint64_t end = query.from;
    if (query.from == 0 && *size > kMaxLogAnswer) {
        response.file = files.path(id, query.stream).string();
        end = *size;
    } else {
        auto bytes = files.read(id, query.stream, query.from, kMaxLogAnswer);
        if (!bytes) return propagate(bytes);
        response.body = std::move(*bytes);
        end += response.body.size();
    }
    // It may have grown since it was measured.
    response.headers.set("X-Log-Size", std::to_string(response.body.empty() ? *size : std::max(*size, end)));
    response.headers.set("X-Log-Next", std::to_string(end));
    response.headers.set("X-Log-Complete", task::is_terminal(stored.run.state) ? "true" : "false");
    // It is a program's output: nobody is to take it for a page.
    response.headers.set("X-Content-Type-Options", "nosniff");
    if (!stored.log_note.empty()) response.headers.set("X-Log-Note", "incomplete");
    return response;
}

void get_log(const Context& context, const std::shared_ptr<http::Exchange>& exchange) {
    Faults faults;
    const auto query = read_log_query(exchange->request(), faults);
    if (!query) return exchange->reply(Response::problem(400, "The log cannot be shown as asked for.", faults));
    const std::string id = exchange->request().params.at("id");
    const auto answer_log = [&context, exchange, id, query = *query] {
        const auto stored = need_run(context.store, id);
        if (!stored) return exchange->reply(problem_for(stored.error()));
        if (!query.follow) {
            auto answer = log_answer(*context.log_files, *stored, query);
            return exchange->reply(answer ? std::move(*answer) : problem_for(answer.error()));
        }
        context.loop.post(
            [&context, exchange, id, query] { context.log_hub->follow(exchange->reply_events(), id, query.stream, query.from); });
    };
    context.worker.submit([exchange, answer_log] { guarded(exchange, answer_log); });
}

}  // namespace

void add_run_routes(RouteTable& table, const Context& context) {
    table.add("GET", "/api/v1/runs", Access::user_read, get_runs);
    table.add("GET", "/api/v1/runs/{id}", Access::user_read, get_run);
    table.add("POST", "/api/v1/runs/{id}/stop", Access::user_write, post_stop);
    table.add("POST", "/api/v1/tasks/{id}/start", Access::user_write, post_start);
    table.add("GET", "/api/v1/tasks/{id}/fires", Access::user_read, get_fires);
    table.add_stream("GET", "/api/v1/runs/{id}/log", Access::user_read,
                     [&context](const std::shared_ptr<http::Exchange>& exchange, const Principal&) { get_log(context, exchange); });
}

}  // namespace cloudtask::center
