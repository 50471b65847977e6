// ApiFixture: the center's API on a real server on loopback, over a database in a temporary folder, with a clock that tests move.
//
// The loop runs on a thread of its own; call() is for the test's thread and blocks until the answer is there.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "center/api_routes.h"
#include "center/auth.h"
#include "center/command_hub.h"
#include "center/log_files.h"
#include "center/log_hub.h"
#include "center/metrics.h"
#include "center/package_files.h"
#include "center/question_line.h"
#include "center/run_metrics.h"
#include "center/secret_keys.h"
#include "center/store.h"
#include "cloudtask/core/asio_loop.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

// A folder that is there for as long as the object.
class TemporaryFolder {
  public:
    TemporaryFolder();
    ~TemporaryFolder();
    TemporaryFolder(const TemporaryFolder&) = delete;
    std::string path() const { return path_.string(); }
    std::string file(const std::string& name) const { return (path_ / name).string(); }

  private:
    std::filesystem::path path_;
};

// Stands still until it is moved. Any thread.
class TestClock final : public Clock {
  public:
    Instant now() const override { return Instant{std::chrono::seconds{1893456000}} + Duration{passed_.load()}; }
    SteadyInstant steady_now() const override { return SteadyInstant{std::chrono::hours{1000} + Duration{passed_.load()}}; }
    void advance(Duration by) { passed_ += by.count(); }

  private:
    std::atomic<Duration::rep> passed_{0};
};

struct Answer {
    int status = 0;
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;

    json::Document json() const;
    // A member of the body's object, as text; numbers too.
    std::string text(const std::string& member) const;
};

class ApiFixture {
  public:
    ApiFixture();
    ~ApiFixture();

    using Headers = std::map<std::string, std::string>;
    // With the administrator's token, unless the headers hold an Authorization ("" sends none).
    Answer call(const std::string& method, const std::string& target, const std::string& body = {}, const Headers& headers = {});
    Answer get(const std::string& target) { return call("GET", target); }
    Answer post(const std::string& target, const std::string& body = {}, const Headers& headers = {}) {
        return call("POST", target, body, headers);
    }
    // PUT with If-Match.
    Answer put(const std::string& target, const std::string& version, const std::string& body);
    Answer erase(const std::string& target) { return call("DELETE", target); }

    // Bytes as they are, and what comes back until the server closes. `hang_up`: nothing more will be sent, and the server can know.
    std::string raw(const std::string& bytes, bool hang_up = false);

    std::string make_user(const std::string& name, const std::string& role, const std::string& password = "a good password");
    std::string log_in(const std::string& name, const std::string& password = "a good password");  // the token

    // A runtime `demo` with a group `reports`; the id of the group.
    std::string make_group();
    // A task in it; its id.
    std::string make_task(const std::string& name, const std::string& more = {});

    // Publishes a cluster in which these nodes have joined the runtime `demo`.
    void set_cluster(std::vector<ring::Member> members);

    std::uint16_t port() const { return port_; }

    long long count(const std::string& sql);  // of a SELECT count(*)
    std::int64_t newest_revision();           // of the catalog of `demo`, as it is published after a start

    TemporaryFolder folder;
    TestClock clock;
    Options options;
    Hooks hooks;
    std::vector<std::pair<std::string, std::int64_t>> catalog_changes;  // what the hook was told; read it when no call is in progress
    std::unique_ptr<Store> store;
    std::unique_ptr<SecretKeyFile> secret_keys;
    ClusterSnapshot cluster;
    std::string admin_token;
    RouteTable table;

  private:
    AsioLoop loop_;
    SystemRandom random_;
    Metrics metrics_;
    RunMetrics run_metrics_{metrics_};
    std::optional<LogFiles> log_files_;
    std::unique_ptr<CommandHub> command_hub_;
    std::unique_ptr<LogHub> log_hub_;
    std::unique_ptr<PackageFiles> packages_;
    std::unique_ptr<Auth> auth_;
    std::unique_ptr<QuestionLine> questions_;
    std::unique_ptr<ThreadWorker> worker_, question_worker_, slow_worker_;
    std::unique_ptr<Context> context_;
    std::unique_ptr<http::Server> server_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

// A task's definition in the group of make_group(); `more` is added to the object: `,"schedules":[]`.
std::string task_definition(const std::string& name, const std::string& more = {});

// A member as a text: a text itself, or its JSON; "-" if there is none.
std::string member_text(const json::Value& object, const char* name);

}  // namespace cloudtask::center
