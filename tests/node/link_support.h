// A center for the tests of the link: answers by a script on a loop of its own thread, and keeps what it was asked. The node's side runs on
// virtual time, so that no test waits for a backoff.
#pragma once

#include <deque>
#include <map>
#include <mutex>

#include "cloudtask/core/fake_loop.h"
#include "cloudtask/core/worker.h"
#include "node/center_link.h"
#include "tests/http/test_server.h"
#include "tests/node/node_store_support.h"

namespace cloudtask::node::test {

class FakeCenter {
  public:
    using Answer = std::function<void(const std::shared_ptr<http::Exchange>&)>;

    FakeCenter() : server_(router(), options()) {}

    std::string url() const { return "http://127.0.0.1:" + std::to_string(server_.port); }

    // `METHOD target` of a request is answered by `answer`; each request once its body is read.
    void always(const std::string& method, Answer answer) {
        const std::lock_guard lock(mutex_);
        standing_[method] = std::move(answer);
    }
    // Before that, once, in order.
    void once(const std::string& method, Answer answer) {
        const std::lock_guard lock(mutex_);
        scripted_[method].push_back(std::move(answer));
    }
    // "GET /api/v1/node/catalog?since=0"
    std::vector<std::string> asked() const {
        const std::lock_guard lock(mutex_);
        return asked_;
    }
    std::vector<std::string> bodies() const {
        const std::lock_guard lock(mutex_);
        return bodies_;
    }

    static Answer json(int status, std::string body) {
        return [status, body](const auto& exchange) { exchange->reply(http::Response::json(status, body)); };
    }
    static Answer problem(int status, std::string detail) {
        return [status, detail](const auto& exchange) { exchange->reply(http::Response::problem(status, detail)); };
    }

  private:
    static http::ServerOptions options() {
        http::ServerOptions made;
        made.max_body_bytes = 4 << 20;
        return made;
    }
    http::Router router() {
        http::Router made;
        for (const std::string method : {"GET", "POST"}) {
            made.add(method, "/api/v1/node/{rest*}", [this, method](const std::shared_ptr<http::Exchange>& exchange) {
                exchange->read_body(4 << 20, [this, method, exchange] { serve(method, exchange); });
            });
        }
        return made;
    }
    void serve(const std::string& method, const std::shared_ptr<http::Exchange>& exchange) {
        Answer answer;
        {
            const std::lock_guard lock(mutex_);
            std::string target = method + " " + exchange->request().path;
            for (const auto& [name, value] : exchange->request().query) target += "?" + name + "=" + value;
            asked_.push_back(target);
            bodies_.push_back(exchange->request().body);
            auto& script = scripted_[method];
            if (!script.empty()) {
                answer = std::move(script.front());
                script.pop_front();
            } else {
                answer = standing_[method];
            }
        }
        if (answer) {
            answer(exchange);
        } else {
            exchange->reply(http::Response::problem(500, "the test has no answer"));
        }
    }

    mutable std::mutex mutex_;
    std::map<std::string, std::deque<Answer>> scripted_;  // guarded by mutex_
    std::map<std::string, Answer> standing_;              // guarded by mutex_
    std::vector<std::string> asked_, bodies_;             // guarded by mutex_
    http::testing::TestServer server_;
};

// The node's side.
struct Node {
    TempFolder folder;
    FakeCenter center;
    FakeLoop loop;
    SeededRandom random{42};
    std::unique_ptr<NodeStore> store = open_store(folder / "node.db");
    LoopWorker worker{loop};
    Disk disk{loop, worker, *store};
    http::Client client{loop, {.base_url = center.url(), .bearer_token = "node-token"}};

    // Lets virtual time pass, a little for each look at the real network, until `condition` holds.
    bool until(const std::function<bool()>& condition, Duration step = std::chrono::milliseconds{20}) {
        return http::testing::wait_for([&] {
            loop.settle();
            if (condition()) return true;
            loop.advance(step);
            return condition();
        });
    }
};

}  // namespace cloudtask::node::test
