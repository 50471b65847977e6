// Routes about the center itself: is it alive, is it ready, its figures, and the description of the API.
#include <mutex>

#include "center/metrics.h"
#include "center/openapi.h"
#include "center/store.h"

#include "center/api_routes.h"
#include "center/auth.h"

namespace cloudtask::center {

namespace {

using http::Response;

// Answered on the loop: it says that the loop turns, and nothing of what the center depends on.
void healthz(const std::shared_ptr<http::Exchange>& exchange, const Principal&) {
    exchange->reply(Response::json(200, R"({"status":"ok"})"));
}

// Tries the store, which writes to the disk, once a second at the most while it works: anybody may ask, as often as they like.
class StoreProbe {
  public:
    Result<> operator()(const Context& context) {
        const SteadyInstant now = context.clock.steady_now();
        std::lock_guard lock(mutex_);
        if (good_until_ && now < *good_until_) return {};
        good_until_.reset();
        auto checked = context.store.check();
        if (checked) good_until_ = now + kProbeEvery;
        return checked;
    }

  private:
    static constexpr Duration kProbeEvery = std::chrono::seconds{1};
    std::mutex mutex_;
    std::optional<SteadyInstant> good_until_;
};

// Can it do its work? The store is read and written; ZooKeeper is in contact. 503 and which of them is missing if not.
Result<Response> readyz(Call& call, StoreProbe& probe) {
    const auto store = probe(call.context);
    const bool connected = call.context.cluster.get()->connected;
    json::Writer out;
    out.begin_object().member("status", store && connected ? "ready" : "not ready").key("checks").begin_object();
    out.member("store", store ? "ok" : store.error().message);
    out.member("zookeeper", connected ? "ok" : "not connected; trying again");
    out.end_object().end_object();
    return Response::json(store && connected ? 200 : 503, out.text());
}

// For people with a token, and for a scraper that has the configured one.
Result<Response> metrics(Call& call) {
    const auto token = bearer_token(call.request.headers.get("Authorization"));
    const std::string& configured = call.context.options.metrics_token;
    // Hashes are compared, so that the time says nothing of the token.
    if (configured.empty() || hash_token(token) != hash_token(configured)) {
        if (auto user = call.context.auth.user(token); !user) return propagate(user);
    }
    return Response::text(200, call.context.metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
}

Result<Response> openapi(Call&) { return Response::json(200, std::string{openapi_json()}); }

}  // namespace

void add_system_routes(RouteTable& table, const Context&) {
    table.add_stream("GET", "/healthz", Access::anonymous, healthz);
    table.add("GET", "/readyz", Access::anonymous, [probe = std::make_shared<StoreProbe>()](Call& call) { return readyz(call, *probe); });
    table.add("GET", "/metrics", Access::anonymous, metrics);
    table.add("GET", "/api/v1/openapi.json", Access::user_read, openapi);
}

}  // namespace cloudtask::center
