// The Api over http::Client: each call runs the loop until its answer is there. One thread.
#include <optional>

#include "cli/api.h"
#include "cloudtask/core/asio_loop.h"

namespace cloudtask::cli {

namespace {

class HttpApi final : public Api {
  public:
    explicit HttpApi(const Endpoint& endpoint) : client_(loop_, {.base_url = endpoint.server, .bearer_token = endpoint.token}) {}

    Result<http::Response> call(http::ClientRequest request) override {
        auto answer = std::make_shared<Answer>();
        client_.send(std::move(request), [this, answer](Result<http::Response> response) { finish(*answer, std::move(response)); });
        return run_until(*answer);
    }

    Result<http::Response> follow(http::ClientRequest request, OnEvent on_event) override {
        // Shared with the callbacks: those of a stream that was ended here may still come while a later call pumps the loop.
        auto answer = std::make_shared<Answer>();
        auto handle = [this, answer, take = std::move(on_event)](const std::string& event, const std::string& data, const std::string& id) {
            if (!*answer && !take(event, data, id)) finish(*answer, http::Response{});
        };
        const auto cancel = client_.follow(std::move(request), std::move(handle),
                                           [this, answer](Result<http::Response> response) { finish(*answer, std::move(response)); });
        auto response = run_until(*answer);
        cancel();
        return response;
    }

    void wait(Duration pause) override {
        const Timer timer = loop_.after(pause, [this] { loop_.stop(); });
        loop_.run();
    }

  private:
    using Answer = std::optional<Result<http::Response>>;

    // The first answer counts, and ends the pumping.
    void finish(Answer& answer, Result<http::Response> response) {
        if (answer) return;
        answer = std::move(response);
        loop_.stop();
    }

    Result<http::Response> run_until(Answer& answer) {
        while (!answer) loop_.run();
        return std::move(*answer);
    }

    AsioLoop loop_;
    http::Client client_;
};

}  // namespace

std::unique_ptr<Api> make_http_api(const Endpoint& endpoint) { return std::make_unique<HttpApi>(endpoint); }

}  // namespace cloudtask::cli
