// RouteTable: the center's routes, each with who may call it, so that no route can forget its check; and Call, what a handler gets.
//
// Threads: built before the server listens. A Handler runs on a worker thread, synchronously, and returns the answer; a StreamHandler
// runs on the loop, after authentication, and replies through the Exchange (streamed bodies, long polls, server-sent events).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "center/context.h"
#include "center/listing.h"
#include "center/principal.h"
#include "cloudtask/core/json.h"
#include "cloudtask/http/server.h"

namespace soci {
class session;
}

namespace cloudtask::center {

enum class Access {
    anonymous,   // no token needed
    user_read,   // any user
    user_write,  // a user who may change things (role admin)
    node,        // a node's own token
};

// One write transaction of a request.
struct WriteScope {
    soci::session& sql;
    const Principal& principal;
    const std::string& remote_address;
    Instant now;

    // Runs after the commit (not when it was rolled back, or the answer was a repeated one), on this thread: hooks.
    void after_commit(std::function<void()> action) { actions.push_back(std::move(action)); }

    // The newest revision of a runtime's tasks: its nodes are told after the commit.
    void catalog_changed(const std::string& runtime, std::int64_t revision) { catalog_changes[runtime] = revision; }

    // What the idempotency key remembers instead of the answer's body; for answers that show a secret once.
    void remember_body(std::string body) { remembered = std::move(body); }

    std::vector<std::function<void()>> actions;
    std::map<std::string, std::int64_t> catalog_changes;  // revisions by runtime
    std::optional<std::string> remembered;
};

struct Call {
    const Context& context;
    const http::Request& request;
    const Principal& principal;

    // A parameter of the pattern; must be in it.
    const std::string& param(const std::string& name) const;

    // The body as a JSON document. Errors: invalid_argument (the sentence names the byte).
    Result<json::Document> json_body() const;

    // Runs `body` in one write transaction and keeps its answer under the request's Idempotency-Key, if there is one, in the same
    // transaction: a repeated request gets that answer and changes nothing. Only answers below 300 are kept; an error rolls back, and so
    // does a dry run, whose answer is what would have been answered.
    Result<http::Response> write(const std::function<Result<http::Response>(WriteScope&)>& body) const;

    // The query as a list's. A faulty one is answered by faulty_query().
    std::optional<ListQuery> list_query(const ListSpec& spec, Faults& faults) const { return read_list_query(request.query, spec, faults); }

    // The version that If-Match asks for. 0: "*". Errors: CenterErrc::precondition_required when none is given; not a quoted number.
    Result<std::int64_t> if_match() const;
    // The same for DELETE and actions, which take it but do not need it: "*" if none is given.
    Result<std::int64_t> if_match_or_any() const;

    bool secret_body = false;         // see RouteOptions
    bool dry_run = false;             // write() rolls back
    std::function<bool()> over = {};  // of a question: its time is up, and the answer is to be an Error with Errc::timeout
    std::string body_digest = {};     // SHA-256 of a body that was streamed, and is not in request.body
};

using Handler = std::function<Result<http::Response>(Call&)>;
using StreamHandler = std::function<void(std::shared_ptr<http::Exchange>, Principal)>;

struct RouteOptions {
    std::uint64_t max_body_bytes = 64 * 1024;
    bool question = false;     // may take seconds: waits for its turn on Context::questions. GET only
    bool slow = false;         // hashes passwords: runs on Context::slow_worker
    bool secret_body = false;  // the body holds a password: it is not made part of the idempotency fingerprint
    bool dry_run = false;      // takes ?dry_run=true; a write that does not is refused with it, rather than carried out
};

class RouteTable {
  public:
    void add(std::string method, std::string pattern, Access access, Handler handler, RouteOptions options = {});
    void add_stream(std::string method, std::string pattern, Access access, StreamHandler handler);

    struct Route {
        std::string method, pattern;
        Access access;
        Handler handler;  // one of the two
        StreamHandler stream_handler;
        RouteOptions options;
    };
    const std::vector<Route>& routes() const { return routes_; }

    // The router of all routes; `context` must outlive it.
    http::Router router(const Context& context) const;

  private:
    std::vector<Route> routes_;
};

// The answer for an Error: as http::Response::problem, with the statuses of CenterErrc, and 507 for a full disk.
http::Response problem_for(const Error& error);

// Runs `function`, which answers the exchange, on a worker. One request must not end the center: what is thrown (memory, most likely) is
// answered 500. For handlers of streams; others are run so anyway.
void guarded(const std::shared_ptr<http::Exchange>& exchange, const std::function<void()>& function);

// 422 for a definition with faults; `what` is "task". 400 for a query string with faults.
http::Response faulty(std::string_view what, const Faults& faults);
http::Response faulty_query(const Faults& faults);

// 200 or 201 with a document and its version as the ETag.
http::Response versioned_json(int status, std::string body, std::int64_t version);

// A resource that is asked to change from the version that the caller saw. `expected` as if_match() gives it. Error: stale_version.
Result<> check_version(std::int64_t expected, std::int64_t actual);

// One per resource.
void add_login_routes(RouteTable& table, const Context& context);
void add_user_routes(RouteTable& table, const Context& context);
void add_runtime_routes(RouteTable& table, const Context& context);
void add_join_token_routes(RouteTable& table, const Context& context);
void add_node_list_routes(RouteTable& table, const Context& context);
void add_group_routes(RouteTable& table, const Context& context);
void add_calendar_routes(RouteTable& table, const Context& context);
void add_secret_routes(RouteTable& table, const Context& context);
void add_task_routes(RouteTable& table, const Context& context);
void add_http_task_routes(RouteTable& table, const Context& context);
void add_schedule_routes(RouteTable& table, const Context& context);
void add_bulk_routes(RouteTable& table, const Context& context);
void add_guarantee_routes(RouteTable& table, const Context& context);
void add_version_routes(RouteTable& table, const Context& context);
void add_package_routes(RouteTable& table, const Context& context);
void add_system_routes(RouteTable& table, const Context& context);  // health, metrics, openapi.json
void add_site_routes(RouteTable& table, const Context& context);
// The node protocol, and runs.
void add_node_routes(RouteTable& table, const Context& context);
void add_run_routes(RouteTable& table, const Context& context);
void add_ledger_routes(RouteTable& table, const Context& context);
// All of them.
void add_all_routes(RouteTable& table, const Context& context);

}  // namespace cloudtask::center
