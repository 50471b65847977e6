// Center: the center's API as the commands use it: JSON in and out, problems turned into errors with an exit code and a sentence, lists
// followed along their cursors.
//
// One thread. It does not know what the fields of a resource mean.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/api.h"
#include "cloudtask/core/json.h"
#include "cloudtask/core/random.h"

namespace cloudtask::cli {

// A command that waits for something asks again after this pause, and bears a center that does not answer for a minute.
inline constexpr Duration kAskAgain = std::chrono::milliseconds{500};
inline constexpr int kTriesUnanswered = 120;

// Names and values of a query, not encoded; those with an empty value are left out.
using Query = std::vector<std::pair<std::string, std::string>>;

struct Write {
    std::string method;        // POST, PUT or DELETE
    std::string path;          // below /api/v1, encoded
    std::string body;          // JSON; may be empty
    std::string doing;         // heads the sentence of an error: "create task demo/a/b"
    std::int64_t version = 0;  // goes into If-Match when it is not 0
    Query query = {};
};

class Center {
  public:
    // `random` must outlive it.
    Center(std::unique_ptr<Api> api, std::string server, Random& random);

    Api& api() { return *api_; }
    const std::string& server() const { return server_; }

    // The resource at `path` (below /api/v1). `what` names it in an error: "task demo/a/b". `timeout`: for an answer that takes long.
    Result<json::Document> get(const std::string& path, const std::string& what, const Query& query = {},
                               std::optional<Duration> timeout = std::nullopt);

    // The answer's JSON; null for an answer without a body. A call that is not answered is made once more, under the same Idempotency-Key:
    // if the center had carried it out, it says again what it said then.
    Result<json::Document> write(const Write& write);

    // An array of at most `limit` items of a list (0: all of them).
    Result<json::Document> list(const std::string& path, const Query& query, std::size_t limit);

    // The first item for which `matches` holds; null if there is none. The query narrows the search.
    Result<json::Document> find(const std::string& path, const Query& query, const std::function<bool(const json::Value&)>& matches);

    // The error that an answer of 400 and above stands for.
    Error refusal(const http::Response& response, const std::string& doing) const;
    // The error for a call that was not answered.
    Error no_answer(const Error& error) const;

  private:
    using OnItem = std::function<bool(const json::Value&)>;
    Result<> walk(const std::string& path, const Query& query, std::size_t page, const OnItem& on_item);

    std::unique_ptr<Api> api_;
    std::string server_;
    Random& random_;
};

// "/tasks" and a query to "/api/v1/tasks?name=x".
std::string target(const std::string& path, const Query& query = {});

// A member of an object as text: empty when it is absent, null or not a text.
std::string text_member(const json::Value& object, const char* name);
std::int64_t integer_member(const json::Value& object, const char* name);

}  // namespace cloudtask::cli
