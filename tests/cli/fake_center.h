// A recorded transport: answers calls as the test laid down, and remembers them. One thread; no sockets.
#pragma once

#include <deque>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "cli/api.h"
#include "cli/program.h"

namespace cloudtask::cli::test {

// An id that a reference may be, and what a command asks to find the task demo/reports/daily.
inline constexpr const char* kId = "0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10";
inline constexpr const char* kFindTask = "GET /api/v1/tasks?runtime=demo&group=reports&name=daily&limit=200";

// Stands still, so that "12s ago" is the same in each run.
class FixedClock final : public Clock {
  public:
    Instant now() const override { return *parse_instant("2026-11-21T12:00:00Z"); }
    SteadyInstant steady_now() const override { return {}; }
};

struct Event {
    std::string event, data, id;
};

// One connection of a followed stream: its events, then how it ended.
struct Stream {
    std::vector<Event> events;
    Result<http::Response> ended = http::Response{};
};

class FakeCenter {
  public:
    struct Call {
        std::string what;  // "PUT /api/v1/tasks/1"
        std::string body, if_match, body_file_content, sha256;
        std::string idempotency_key = {};
    };

    // The answers to "METHOD target", in turn; the last one is given again and again.
    std::map<std::string, std::deque<Result<http::Response>>> answers;
    std::deque<Stream> streams;
    std::vector<Call> calls;
    std::vector<Endpoint> endpoints;
    std::vector<Duration> pauses;

    void answer(const std::string& what, int status, const std::string& body) {
        answers[what].push_back(status < 400 ? http::Response::json(status, body) : problem(status, body));
    }
    void unreachable(const std::string& what) { answers[what].push_back(fail(Errc::unavailable, "connection refused")); }

    // The calls that change something, in order.
    std::vector<std::string> writes() const {
        std::vector<std::string> list;
        for (const Call& call : calls) {
            if (!call.what.starts_with("GET ")) list.push_back(call.what);
        }
        return list;
    }
    const Call* find(const std::string& what) const {
        for (const Call& call : calls) {
            if (call.what == what) return &call;
        }
        return nullptr;
    }

    Result<http::Response> take(const http::ClientRequest& request) {
        Call call{request.method + " " + request.target,
                  request.body,
                  std::string(request.headers.get("If-Match")),
                  {},
                  std::string(request.headers.get("X-Content-SHA256")),
                  std::string(request.headers.get("Idempotency-Key"))};
        if (!request.body_file.empty()) {
            std::ifstream in(request.body_file, std::ios::binary);
            call.body_file_content.assign(std::istreambuf_iterator<char>(in), {});
        }
        calls.push_back(call);
        auto found = answers.find(call.what);
        if (found == answers.end()) return problem(404, "the test has no answer to " + call.what);
        auto response = found->second.front();
        if (found->second.size() > 1) found->second.pop_front();
        if (response && response->status < 300 && !request.save_to.empty()) {
            std::ofstream(request.save_to, std::ios::binary) << response->body;
            response->body.clear();
        }
        return response;
    }

    static http::Response problem(int status, const std::string& detail) {
        if (detail.starts_with("{")) return {.status = status, .headers = {}, .body = detail, .file = {}};
        return {.status = status, .headers = {}, .body = R"({"title":"x","status":0,"detail":")" + detail + "\"}", .file = {}};
    }
};

class FakeApi final : public Api {
  public:
    explicit FakeApi(FakeCenter& center) : center_(center) {}
    Result<http::Response> call(http::ClientRequest request) override { return center_.take(request); }
    Result<http::Response> follow(http::ClientRequest request, OnEvent on_event) override {
        center_.calls.push_back({request.method + " " + request.target, {}, {}, {}, {}});
        if (center_.streams.empty()) return fail(Errc::unavailable, "connection refused");
        const Stream stream = center_.streams.front();
        center_.streams.pop_front();
        for (const Event& event : stream.events) {
            if (!on_event(event.event, event.data, event.id)) return http::Response{};
        }
        return stream.ended;
    }
    void wait(Duration pause) override { center_.pauses.push_back(pause); }

  private:
    FakeCenter& center_;
};

// The program with everything around it replaced. Logged in at http://center.test unless the test empties `environment`.
struct Program {
    FakeCenter center;
    FixedClock clock;
    SeededRandom random{1};
    std::map<std::string, std::string> environment = {{"CLOUDTASK_SERVER", "http://center.test"}, {"CLOUDTASK_TOKEN", "secret"}};
    std::filesystem::path folder = std::filesystem::temp_directory_path();
    std::string input, out, err;
    bool in_is_terminal = false;
    std::string typed;                       // at the password prompt
    std::optional<std::string> typed_again;  // where it is asked for once more; else the same

    int run(const std::vector<std::string>& words) {
        std::ostringstream out_stream;
        std::ostringstream err_stream;
        std::istringstream in_stream(input);
        Context context{.out = out_stream,
                        .err = err_stream,
                        .in = in_stream,
                        .clock = clock,
                        .random = random,
                        .environment = environment,
                        .folder = folder,
                        .out_is_terminal = false,
                        .in_is_terminal = in_is_terminal,
                        .connect =
                            [this](const Endpoint& endpoint) {
                                center.endpoints.push_back(endpoint);
                                return std::make_unique<FakeApi>(center);
                            },
                        .ask_secret = [this](const std::string& prompt) -> Result<std::string> {
                            return prompt == "once more: " ? typed_again.value_or(typed) : typed;
                        }};
        const int code = run_program(context, words);
        out = out_stream.str();
        err = err_stream.str();
        return code;
    }
};

// A folder of this test's own, removed with it.
class Folder {
  public:
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "cloudtask-cli-test-XXXXXX").string();
        if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder for the test");
        path_ = name;
    }
    ~Folder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    const std::filesystem::path& path() const { return path_; }
    void write(const std::string& name, const std::string& text) const {
        std::filesystem::create_directories((path_ / name).parent_path());
        std::ofstream(path_ / name, std::ios::binary) << text;
    }

  private:
    std::filesystem::path path_;
};

inline std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace cloudtask::cli::test
