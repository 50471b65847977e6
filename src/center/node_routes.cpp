// Routes of the node protocol (docs/wire.md, "Between node and center"). Thin: rules are in join.h, ingest.h, catalog_store.h and
// command_hub.h.
#include <algorithm>
#include <charconv>
#include <optional>

#include "center/api_routes.h"
#include "center/catalog_store.h"
#include "center/cluster_secret_store.h"
#include "center/command_hub.h"
#include "center/ingest.h"
#include "center/join.h"
#include "center/ledger_store.h"
#include "center/log_hub.h"
#include "center/metrics.h"
#include "center/node_store.h"
#include "center/package_files.h"
#include "center/package_store.h"
#include "center/run_metrics.h"
#include "center/runs.h"
#include "center/runtime_store.h"
#include "center/secret_store.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/units.h"
#include "cloudtask/http/client.h"
#include "cloudtask/task/networks.h"

namespace cloudtask::center {

namespace {

using http::Response;

constexpr Duration kLongestWait = std::chrono::seconds{55};
constexpr Duration kUsualWait = std::chrono::seconds{25};
constexpr Duration kNotePeriod = std::chrono::minutes{1};  // how exactly it is noted when an epoch was last seen in force

Result<Response> post_join(Call& call) {
    const auto body = call.json_body();
    if (!body) return propagate(body);
    Faults faults;
    const auto request = read_join_request(*body, faults);
    if (!request) return Response::problem(400, "The node cannot join like this.", faults);
    const auto joined = join_node(call.context, *request);
    if (!joined) return propagate(joined);
    const auto secret = cluster_secret(call.context.store, call.context.random);
    if (!secret) return propagate(secret);
    const Options& options = call.context.options;
    json::Writer out;
    out.begin_object();
    out.member("node_id", joined->node_id).member("node_token", joined->node_token).member("runtime", request->runtime);
    out.key("zookeeper").begin_object();
    out.member("servers", options.zookeeper_servers).member("chroot", options.zookeeper_chroot);
    out.member("session_timeout", format_duration(options.zookeeper_session_timeout)).member("secret", *secret);
    out.end_object().end_object();
    auto response = Response::json(200, out.text());
    response.headers.set("Cache-Control", "no-store");
    return response;
}

// What the runtime's nodes have to know should ZooKeeper lose its data. It is noted before a node hears of it, so that it outlives this
// center.
Result<ring::Memory> past_of(Call& call) {
    const std::string& runtime = call.principal.runtime;
    ring::Memory past;
    const auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        past = read_past(sql, runtime);
        return {};
    });
    if (!read) return propagate(read);
    const auto view = call.context.cluster.get();
    const auto found = view->runtimes.find(runtime);
    if (!view->connected || found == view->runtimes.end() || found->second.epoch < past.epoch) return past;
    const ring::Memory seen{found->second.epoch, call.context.clock.now()};
    if (seen.epoch == past.epoch && seen.at - past.at < kNotePeriod) return past;
    const auto noted = call.context.store.write([&](soci::session& sql) -> Result<> {
        note_epoch(sql, runtime, seen);
        return {};
    });
    if (!noted) return propagate(noted);
    return seen;
}

Result<Response> get_catalog(Call& call) {
    std::int64_t since = 0;
    for (const auto& [name, value] : call.request.query) {
        const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), since);
        if (name != "since" || code != std::errc{} || end != value.data() + value.size() || since < 0) {
            return fail(Errc::invalid_argument,
                        "`since` is the catalog revision of the last answer, 0 at first; nothing else is asked for");
        }
    }
    CatalogPage page;
    std::int64_t secrets = 0;
    std::shared_ptr<const task::NetworkRules> networks;
    const auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        page = read_catalog(sql, call.principal.runtime, since, call.context.clock.now());
        const auto runtime = find_runtime(sql, call.principal.runtime);
        if (!runtime) return propagate(runtime);
        if (*runtime) networks = (*runtime)->http;
        secrets = secrets_revision(sql, call.principal.runtime);
        return {};
    });
    if (!read) return propagate(read);
    const auto past = past_of(call);
    if (!past) return propagate(past);
    json::Writer out;
    out.begin_object().member("revision", page.revision).member("full", page.full);
    if (past->epoch > 0) out.key("past").begin_object().member("epoch", past->epoch).member("at", past->at).end_object();
    if (networks) {
        out.key("http");
        task::write_network_rules(out, *networks);
    }
    if (secrets > 0) out.member("secrets", secrets);
    out.key("tasks").begin_array();
    for (const auto& document : page.tasks) out.raw(document);
    out.end_array().key("deleted").begin_array();
    for (const auto& deleted : page.deleted) out.begin_object().member("id", deleted.id).member("at", deleted.at).end_object();
    out.end_array().member("more", page.more).end_object();
    return Response::json(200, out.text());
}

Result<Response> get_package(Call& call) {
    const std::string& sha256 = call.param("sha256");
    std::optional<task::Package> package;
    const auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        package = find_package(sql, sha256);
        if (package && !may_fetch_package(sql, sha256, call.principal.runtime, call.principal.id)) package.reset();
        return {};
    });
    if (!read) return propagate(read);
    if (!package) return fail(Errc::not_found, "there is no package {} in use in the runtime {}", sha256, call.principal.runtime);
    Response response;
    response.headers.set("Content-Type", "application/octet-stream");
    response.headers.set("X-Package-Filename", http::encode_component(package->filename));
    response.file = call.context.packages.path_of(package->sha256);
    return response;
}

std::optional<std::int64_t> read_count(std::string_view text) {
    std::int64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    return error == std::errc{} && end == text.data() + text.size() && count >= 0 ? std::optional(count) : std::nullopt;
}

void get_commands(const Context& context, const std::shared_ptr<http::Exchange>& exchange, const Principal& node) {
    Duration wait = kUsualWait;
    std::optional<std::int64_t> pending;
    for (const auto& [name, value] : exchange->request().query) {
        if (name == "pending") {
            pending = read_count(value);
            if (pending) continue;
        } else if (name == "wait") {
            const auto parsed = parse_duration(value);
            wait = std::min(parsed.value_or(kLongestWait), kLongestWait);
            if (parsed) continue;
        }
        return exchange->reply(Response::problem(
            400,
            "`wait` is how long to hold the request, such as 25s, `pending` how many reports wait at the node; nothing else is asked for"));
    }
    // The poll is a node's sign of life for people: written once per poll, whether or not it succeeds.
    context.worker.submit([&context, id = node.id, pending] {
        const auto touched = context.store.write([&](soci::session& sql) -> Result<> {
            touch_node(sql, id, context.clock.now());
            if (pending) note_pending(sql, id, *pending);
            return {};
        });
        if (!touched) log::warn("node {}: that it was seen cannot be written: {}", id, touched.error().message);
    });
    context.command_hub->poll(exchange, node.id, wait);
}

std::shared_ptr<Ingest> make_ingest(const Context& context, RunMetrics& metrics) {
    return std::make_shared<Ingest>(
        IngestParts{.store = context.store,
                    .logs = *context.log_files,
                    .cluster = context.cluster,
                    .clock = context.clock,
                    .metrics = metrics,
                    .mail = mail_settings(context.options),
                    .max_log_bytes = std::min<std::uint64_t>(context.options.logs_max_size, kMaxLogBytes),
                    .runs_changed = [hub = context.log_hub](const std::set<std::string>& ids) { hub->notify(ids); },
                    .mail_waiting = [&hooks = context.hooks] { hooks.fire_mail_waiting(); },
                    .catalog_changed = [&hooks = context.hooks](const std::string& runtime,
                                                                std::int64_t revision) { hooks.fire_catalog_changed(runtime, revision); },
                    .commands_waiting = [&hooks = context.hooks](const std::string& id) { hooks.fire_commands_waiting(id); }});
}

}  // namespace

void add_node_routes(RouteTable& table, const Context& context) {
    table.add("POST", "/api/v1/node/join", Access::anonymous, post_join);
    table.add("GET", "/api/v1/node/catalog", Access::node, get_catalog);
    table.add("GET", "/api/v1/node/packages/{sha256}", Access::node, get_package);
    table.add_stream(
        "GET", "/api/v1/node/commands", Access::node,
        [&context](const std::shared_ptr<http::Exchange>& exchange, const Principal& node) { get_commands(context, exchange, node); });
    const std::shared_ptr<Ingest> ingest = context.log_files == nullptr ? nullptr : make_ingest(context, *context.run_metrics);
    table.add("POST", "/api/v1/node/reports", Access::node,
              [ingest](Call& call) -> Result<Response> {
                  const auto accepted = ingest->apply(call.principal.id, call.principal.runtime, call.request.body);
                  if (!accepted) return propagate(accepted);
                  json::Writer out;
                  out.begin_object().member("accepted", static_cast<std::uint64_t>(*accepted)).end_object();
                  return Response::json(200, out.text());
              },
              {.max_body_bytes = kMaxReportsBytes});
}

}  // namespace cloudtask::center
