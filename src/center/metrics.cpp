// Metrics over prometheus-cpp.
#include "center/metrics.h"

#include <mutex>
#include <vector>

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace cloudtask::center {

namespace {

// Seconds; most answers take less than 5 ms, a login a tenth of a second, an upload minutes.
const prometheus::Histogram::BucketBoundaries kSeconds{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};

}  // namespace

struct Metrics::Impl {
    struct ReadGauge {
        prometheus::Gauge* gauge;
        std::function<double()> read;
    };

    prometheus::Registry registry;
    prometheus::Family<prometheus::Counter>& requests = prometheus::BuildCounter()
                                                            .Name("cloudtask_http_requests_total")
                                                            .Help("Answered requests, by method, route and status.")
                                                            .Register(registry);
    prometheus::Family<prometheus::Histogram>& durations = prometheus::BuildHistogram()
                                                               .Name("cloudtask_http_request_seconds")
                                                               .Help("From the first byte of a request to the end of its answer, by route.")
                                                               .Register(registry);
    std::mutex mutex;
    std::vector<ReadGauge> gauges;  // guarded by mutex
};

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

prometheus::Registry& Metrics::registry() { return impl_->registry; }

void Metrics::observe_request(const std::string& method, const std::string& route, int status, double seconds) {
    // Methods and paths that no route has come from outside and are without bound.
    const std::string known_route = route.empty() ? "other" : route;
    const std::string known_method = route.empty() ? "other" : method;
    impl_->requests.Add({{"method", known_method}, {"route", known_route}, {"status", std::to_string(status)}}).Increment();
    impl_->durations.Add({{"route", known_route}}, kSeconds).Observe(seconds);
}

void Metrics::add_gauge(const std::string& name, const std::string& help, std::function<double()> read) {
    auto& gauge = prometheus::BuildGauge().Name(name).Help(help).Register(impl_->registry).Add({});
    std::lock_guard lock(impl_->mutex);
    impl_->gauges.push_back({&gauge, std::move(read)});
}

std::string Metrics::text() {
    {
        std::lock_guard lock(impl_->mutex);
        for (const auto& [gauge, read] : impl_->gauges) gauge->Set(read());
    }
    return prometheus::TextSerializer().Serialize(impl_->registry.Collect());
}

}  // namespace cloudtask::center
