// Health, status and metrics of a node.
#include "node/status.h"

#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include "cloudtask/core/json.h"
#include "cloudtask/core/version.h"
#include "cloudtask/http/server.h"

namespace cloudtask::node {

namespace {

struct Figure {
    const char* name;
    const char* help;
    double value;
};

std::vector<Figure> figures(const StatusSource& source) {
    const RunCounters& counters = source.runner->counters();
    const auto number = [](auto value) { return static_cast<double>(value); };
    const auto seconds = [](Duration duration) { return std::chrono::duration<double>(duration).count(); };
    return {
        {"cloudtask_node_registered", "1 while the node takes part in its runtime", source.coordinator->registered() ? 1.0 : 0.0},
        {"cloudtask_node_cordoned", "1 while the node is kept out of the ring", source.coordinator->cordoned() ? 1.0 : 0.0},
        {"cloudtask_node_leading", "1 while the node is its runtime's allocator", source.coordinator->leading() ? 1.0 : 0.0},
        {"cloudtask_node_epoch", "epoch of the allocation in force", number(source.coordinator->epoch())},
        {"cloudtask_node_owned_tasks", "tasks that the node owns", number(source.coordinator->owned_count())},
        {"cloudtask_node_catalog_revision", "revision of the catalog replica", number(source.catalog_revision())},
        {"cloudtask_node_runs_running", "runs in progress", number(source.runner->running())},
        {"cloudtask_node_runs_prepared", "runs whose intent is written and that are not started", number(source.runner->prepared())},
        {"cloudtask_node_runs_started_total", "runs started since the process began", number(counters.started)},
        {"cloudtask_node_runs_succeeded_total", "runs that succeeded", number(counters.succeeded)},
        {"cloudtask_node_runs_failed_total", "runs that failed", number(counters.failed)},
        {"cloudtask_node_runs_timed_out_total", "runs that passed their time limit", number(counters.timed_out)},
        {"cloudtask_node_runs_stopped_total", "runs that were stopped", number(counters.stopped)},
        {"cloudtask_node_runs_skipped_total", "fires that were not started, by policy", number(counters.skipped)},
        {"cloudtask_node_runs_lost_total", "runs of which nobody knows the end", number(counters.lost)},
        {"cloudtask_node_runs_not_started_total", "runs that could not be started", number(counters.failed_to_start)},
        {"cloudtask_node_lateness_last_seconds", "lateness of the last start of a fire", seconds(counters.last_lateness)},
        {"cloudtask_node_lateness_max_seconds", "greatest lateness since the process began", seconds(counters.max_lateness)},
        {"cloudtask_node_reports_delivered", "position of the last report that the center has accepted",
         number(source.delivered_reports())},
    };
}

}  // namespace

struct StatusServer::Impl {
    StatusSource source;
    std::unique_ptr<http::Server> server;

    http::Response status() const {
        json::Writer out;
        out.begin_object()
            .member("node_id", source.node_id)
            .member("name", source.name)
            .member("runtime", source.runtime)
            .member("version", kVersion)
            .member("incarnation", source.coordinator->incarnation());
        for (const auto& figure : figures(source)) out.member(figure.name, figure.value);
        return http::Response::json(200, out.end_object().text());
    }

    http::Response metrics() const {
        prometheus::Registry registry;
        for (const auto& figure : figures(source)) {
            prometheus::BuildGauge().Name(figure.name).Help(figure.help).Register(registry).Add({{"node", source.name}}).Set(figure.value);
        }
        return http::Response::text(200, prometheus::TextSerializer().Serialize(registry.Collect()),
                                    "text/plain; version=0.0.4; charset=utf-8");
    }

    http::Response ready() const {
        if (source.coordinator->registered()) return http::Response::text(200, "ready\n");
        return http::Response::problem(503, "the node is not registered in its runtime: ZooKeeper or the catalog is not there yet");
    }
};

StatusServer::StatusServer(AsioLoop& loop, std::uint16_t port, StatusSource source) : impl_(std::make_unique<Impl>()) {
    impl_->source = std::move(source);
    http::Router router;
    const auto add = [&router](const char* path, std::function<http::Response()> answer) {
        router.add("GET", path,
                   [answer = std::move(answer)](const std::shared_ptr<http::Exchange>& exchange) { exchange->reply(answer()); });
    };
    add("/healthz", [] { return http::Response::text(200, "ok\n"); });
    add("/readyz", [impl = impl_.get()] { return impl->ready(); });
    add("/status", [impl = impl_.get()] { return impl->status(); });
    add("/metrics", [impl = impl_.get()] { return impl->metrics(); });
    http::ServerOptions options;
    options.port = port;
    options.max_connections = 32;
    impl_->server = std::make_unique<http::Server>(loop, options, std::move(router));
}

StatusServer::~StatusServer() = default;

Result<std::uint16_t> StatusServer::start() { return impl_->server->start(); }

void StatusServer::stop(std::function<void()> done) { impl_->server->stop(std::chrono::seconds{1}, std::move(done)); }

}  // namespace cloudtask::node
