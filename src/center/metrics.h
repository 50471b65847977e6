// Metrics: what /metrics shows, over prometheus-cpp's registry. The parts register their own families in registry(). Any thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

namespace prometheus {
class Registry;
}

namespace cloudtask::center {

class Metrics {
  public:
    Metrics();
    ~Metrics();

    prometheus::Registry& registry();

    // One answered request. `route` is the pattern ("" for unknown paths), so that the number of series is bounded.
    void observe_request(const std::string& method, const std::string& route, int status, double seconds);

    // Adds a gauge that is read when the page is asked for; `read` may be called from any worker thread.
    void add_gauge(const std::string& name, const std::string& help, std::function<double()> read);

    // The page in Prometheus' text format.
    std::string text();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
