// RouteTable: from an Exchange to a handler's answer, in one place: token, role, body, worker thread, idempotency, errors.
#include "center/api_routes.h"

#include <charconv>

#include "center/auth.h"
#include "center/errors.h"
#include "center/idempotency_store.h"
#include "center/question_line.h"
#include "center/store.h"
#include "cloudtask/core/check.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/units.h"

namespace cloudtask::center {

namespace {

using http::Exchange;
using http::Response;

bool is_write(const std::string& method) { return method == "POST" || method == "PUT" || method == "DELETE"; }

// Who asks, held against what the route demands. Blocks on the database.
Result<Principal> admit(const Context& context, const http::Request& request, Access access) {
    if (access == Access::anonymous) return Principal{};
    const auto token = bearer_token(request.headers.get("Authorization"));
    if (token.empty())
        return fail(Errc::unauthenticated,
                    "this needs a token: send the header `Authorization: Bearer <token>` (POST /api/v1/login gives one)");
    if (access == Access::node) return context.auth.node(token);
    auto user = context.auth.user(token);
    if (user && access == Access::user_write && !user->is_admin()) {
        return fail(Errc::permission_denied, "{} has the role viewer, which may read but not change anything", user->name);
    }
    return user;
}

// The key of a write by a user; nothing if the request has none. Error: a key that is not one.
Result<std::optional<IdempotencyKey>> idempotency_key(const Call& call) {
    const http::Request& request = call.request;
    if (call.principal.kind != Principal::Kind::user || !request.headers.has("Idempotency-Key")) return std::optional<IdempotencyKey>{};
    const std::string_view key = request.headers.get("Idempotency-Key");
    if (key.empty() || key.size() > 128) return fail(Errc::invalid_argument, "an Idempotency-Key has 1 to 128 printable characters");
    for (const char c : key) {
        if (c < 0x20 || c > 0x7e) return fail(Errc::invalid_argument, "an Idempotency-Key has 1 to 128 printable characters");
    }
    // Lengths in front, so that no two requests give the same text.
    std::string request_text;
    const auto append = [&](std::string_view part) { request_text.append(std::to_string(part.size())).append(":").append(part); };
    append(request.method);
    append(request.path);
    for (const auto& [name, value] : request.query) {
        append(name);
        append(value);
    }
    append(request.headers.get("If-Match"));
    append(call.body_digest);
    // The hash of a body with a password would be a cheap way to guess it.
    if (!call.secret_body) append(request.body);
    return std::optional<IdempotencyKey>{IdempotencyKey{call.principal.subject(), std::string{key}, sha256_hex(request_text)}};
}

// Whether nothing is to be written. Error: the parameter is none, or the route cannot be tried.
Result<bool> reads_dry_run(const RouteTable::Route& route, const http::Request& request) {
    const auto given = request.query.find("dry_run");
    if (!is_write(route.method) || given == request.query.end()) return false;
    if (given->second != "true" && given->second != "false") return fail(Errc::invalid_argument, "dry_run is true or false");
    if (given->second == "true" && !route.options.dry_run) {
        return fail(Errc::invalid_argument, "{} {} cannot be tried without being done: it takes no dry_run", route.method, route.pattern);
    }
    return given->second == "true";
}

Response run_handler(const Context& context, const RouteTable::Route& route, const http::Request& request) {
    const auto principal = admit(context, request, route.access);
    if (!principal) return problem_for(principal.error());
    const auto dry_run = reads_dry_run(route, request);
    if (!dry_run) return problem_for(dry_run.error());
    Call call{context, request, *principal};
    call.secret_body = route.options.secret_body;
    call.dry_run = *dry_run;
    auto answer = route.handler(call);
    return answer ? std::move(*answer) : problem_for(answer.error());
}

Response come_again(std::string message) { return problem_for({make_error_code(Errc::unavailable), std::move(message)}); }

Response answer_question(Call& call, const RouteTable::Route& route, const QuestionLine::Turn& turn) {
    if (!turn.in_time) {
        return come_again(fmt::format("other questions of this kind take long, and this one has waited {} for its turn",
                                      format_duration(call.context.questions.limits().longest_wait)));
    }
    call.over = turn.over;
    auto answer = route.handler(call);
    if (answer) return std::move(*answer);
    if (!answer.error().is(Errc::timeout)) return problem_for(answer.error());
    return Response::problem(422,
                             fmt::format("this cannot be worked out within {}; ask for less: a shorter interval, one task, one group or "
                                         "one runtime",
                                         format_duration(call.context.questions.limits().longest_answer)));
}

// Who may not ask does not wait in line.
void serve_question(const Context& context, const std::shared_ptr<const RouteTable::Route>& route,
                    const std::shared_ptr<Exchange>& exchange) {
    context.worker.submit([&context, route, exchange] {
        guarded(exchange, [&] {
            auto principal = admit(context, exchange->request(), route->access);
            if (!principal) return exchange->reply(problem_for(principal.error()));
            const bool entered = context.questions.enter([&context, route, exchange, who = std::move(*principal)](const auto& turn) {
                guarded(exchange, [&] {
                    Call call{context, exchange->request(), who};
                    exchange->reply(answer_question(call, *route, turn));
                });
            });
            if (entered) return;
            exchange->reply(come_again(
                fmt::format("{} questions of this kind wait for their answers already", context.questions.limits().most_waiting)));
        });
    });
}

void serve(const Context& context, const std::shared_ptr<const RouteTable::Route>& route, const std::shared_ptr<Exchange>& exchange) {
    Worker& worker = route->options.slow ? context.slow_worker : context.worker;
    const auto run = [&context, route, &worker, exchange] {
        worker.submit([&context, route, exchange] {
            guarded(exchange, [&] { exchange->reply(run_handler(context, *route, exchange->request())); });
        });
    };
    if (is_write(route->method)) {
        exchange->read_body(route->options.max_body_bytes, run);
    } else {
        run();
    }
}

void serve_stream(const Context& context, const std::shared_ptr<const RouteTable::Route>& route,
                  const std::shared_ptr<Exchange>& exchange) {
    context.worker.submit([&context, route, exchange] {
        guarded(exchange, [&] {
            auto principal = admit(context, exchange->request(), route->access);
            if (!principal) return exchange->reply(problem_for(principal.error()));
            context.loop.post([route, exchange, who = std::move(*principal)] { route->stream_handler(exchange, who); });
        });
    });
}

}  // namespace

void guarded(const std::shared_ptr<http::Exchange>& exchange, const std::function<void()>& function) {
    try {
        function();
    } catch (const std::exception& e) {
        log::error("{} {}: {}", exchange->request().method, exchange->request().route, e.what());
        exchange->reply(Response::problem(500, "The server could not do this because of a fault of its own; its log says more."));
    }
}

const std::string& Call::param(const std::string& name) const {
    const auto found = request.params.find(name);
    CLOUDTASK_CHECK(found != request.params.end(), "a handler asked for a parameter that its pattern does not have");
    return found->second;
}

Result<json::Document> Call::json_body() const {
    if (request.body.empty()) return fail(Errc::invalid_argument, "the body is empty; a JSON object is expected");
    return json::parse(request.body);
}

Result<Response> Call::write(const std::function<Result<Response>(WriteScope&)>& body) const {
    const auto key = idempotency_key(*this);
    if (!key) return propagate(key);
    Response answer;
    bool rolled_back = false;
    std::vector<std::function<void()>> actions;
    std::map<std::string, std::int64_t> catalog_changes;
    const auto written = context.store.write([&](soci::session& sql) -> Result<> {
        const Instant now = context.clock.now();
        if (*key && !dry_run) {
            auto kept = find_answer(sql, **key, now);
            if (!kept) return propagate(kept);
            if (*kept) {
                answer = std::move(**kept);
                return {};
            }
        }
        WriteScope scope{sql, principal, request.remote_address, now, {}, {}, {}};
        auto outcome = body(scope);
        if (!outcome) return propagate(outcome);
        answer = std::move(*outcome);
        rolled_back = dry_run || answer.status >= 400;
        if (rolled_back) return fail(Errc::cancelled, "rolled back");  // the answer says why
        if (*key) keep_answer(sql, **key, answer, scope.remembered.value_or(answer.body), now);
        actions = std::move(scope.actions);
        catalog_changes = std::move(scope.catalog_changes);
        return {};
    });
    if (!written && !rolled_back) return propagate(written);
    for (const auto& [runtime, revision] : catalog_changes) context.hooks.fire_catalog_changed(runtime, revision);
    for (const auto& action : actions) action();
    return answer;
}

Result<std::int64_t> Call::if_match() const {
    std::string_view text = request.headers.get("If-Match");
    if (text.empty()) {
        return fail(CenterErrc::precondition_required,
                    "send If-Match with the ETag of the version that you saw (\"3\"), or * to change whatever is there");
    }
    if (text == "*") return 0;
    const auto bad = [&] {
        return fail(Errc::invalid_argument, "If-Match must be one version in quotation marks, as the ETag gives it, or *");
    };
    if (text.size() < 3 || text.front() != '"' || text.back() != '"') return bad();
    text = text.substr(1, text.size() - 2);
    std::int64_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc{} || end != text.data() + text.size() || version < 1) return bad();
    return version;
}

Result<std::int64_t> Call::if_match_or_any() const {
    if (!request.headers.has("If-Match")) return 0;
    return if_match();
}

Result<> check_version(std::int64_t expected, std::int64_t actual) {
    if (expected == 0 || expected == actual) return {};
    return fail(Errc::stale_version, "somebody else changed it: it is at version {} now, and you saw version {}; read it again", actual,
                expected);
}

Response problem_for(const Error& error) {
    if (error.code.category() == center_category()) return Response::problem(error.code.value(), error.message);
    if (error.is(Errc::io)) return Response::problem(507, error.message);
    Response response = Response::problem(error);
    if (response.status >= 500) log::error("answered {}: {}", response.status, error.message);
    if (response.status == 401) response.headers.set("WWW-Authenticate", "Bearer");
    if (response.status == 503) response.headers.set("Retry-After", "5");
    return response;
}

Response faulty(std::string_view what, const Faults& faults) {
    return Response::problem(422, fmt::format("the {} is not valid: {}", what, faults.summary()), faults);
}

Response faulty_query(const Faults& faults) {
    return Response::problem(400, fmt::format("the query is not valid: {}", faults.summary()), faults);
}

Response versioned_json(int status, std::string body, std::int64_t version) {
    Response response = Response::json(status, std::move(body));
    response.headers.set("ETag", "\"" + std::to_string(version) + "\"");
    return response;
}

void RouteTable::add(std::string method, std::string pattern, Access access, Handler handler, RouteOptions options) {
    routes_.push_back({std::move(method), std::move(pattern), access, std::move(handler), {}, options});
}

void RouteTable::add_stream(std::string method, std::string pattern, Access access, StreamHandler handler) {
    routes_.push_back({std::move(method), std::move(pattern), access, {}, std::move(handler), {}});
}

http::Router RouteTable::router(const Context& context) const {
    http::Router router;
    for (const auto& entry : routes_) {
        const auto route = std::make_shared<const Route>(entry);  // the router outlives the table
        router.add(route->method, route->pattern, [&context, route](std::shared_ptr<Exchange> exchange) {
            const bool anonymous = route->access == Access::anonymous;
            if (anonymous && route->stream_handler) return route->stream_handler(exchange, Principal{});
            // Without a token nothing is read and nobody is woken.
            if (!anonymous && bearer_token(exchange->request().headers.get("Authorization")).empty()) {
                exchange->reply(problem_for(admit(context, exchange->request(), route->access).error()));
            } else if (route->stream_handler) {
                serve_stream(context, route, exchange);
            } else if (route->options.question) {
                serve_question(context, route, exchange);
            } else {
                serve(context, route, exchange);
            }
        });
    }
    return router;
}

void add_all_routes(RouteTable& table, const Context& context) {
    add_login_routes(table, context);
    add_user_routes(table, context);
    add_runtime_routes(table, context);
    add_join_token_routes(table, context);
    add_node_list_routes(table, context);
    add_group_routes(table, context);
    add_calendar_routes(table, context);
    add_http_task_routes(table, context);
    add_secret_routes(table, context);
    add_task_routes(table, context);
    add_schedule_routes(table, context);
    add_bulk_routes(table, context);
    add_version_routes(table, context);
    add_guarantee_routes(table, context);
    add_package_routes(table, context);
    add_run_routes(table, context);
    add_ledger_routes(table, context);
    add_node_routes(table, context);
    add_system_routes(table, context);
    add_site_routes(table, context);
}

}  // namespace cloudtask::center
