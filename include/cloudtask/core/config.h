// Configuration of a program: a file, then CLOUDTASK_* in the environment, then the command line; the later wins.
//
// A program declares its keys once, with meaning, unit and default; from that declaration come the parsing, --help, and
// docs/configuration.md. Keys are dotted, `zookeeper.session-timeout`: in the file (INI style, as Boost.Program_options reads it) as
// `[zookeeper]` + `session-timeout = 4s`, in the environment as CLOUDTASK_ZOOKEEPER_SESSION_TIMEOUT, on the command line as
// --zookeeper.session-timeout=4s. An unknown key is an error that names the file and the line (or the variable).
//
// Used before the loop runs; not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/result.h"

namespace cloudtask {

class ConfigSpec {
  public:
    // `program` and `summary` head --help.
    ConfigSpec(std::string program, std::string summary);

    // Each adds a key. `*out` holds the default now and the configured value after load(); it must outlive the spec.
    ConfigSpec& text(std::string key, std::string* out, std::string meaning);
    ConfigSpec& choice(std::string key, std::string* out, std::vector<std::string> allowed, std::string meaning);
    ConfigSpec& secret(std::string key, std::string* out, std::string meaning);             // its value is never printed
    ConfigSpec& list(std::string key, std::vector<std::string>* out, std::string meaning);  // comma-separated
    ConfigSpec& flag(std::string key, bool* out, std::string meaning);                      // true or false
    ConfigSpec& integer(std::string key, std::int64_t* out, std::int64_t min, std::int64_t max, std::string meaning);
    ConfigSpec& duration(std::string key, Duration* out, Duration min, Duration max, std::string meaning);
    ConfigSpec& size(std::string key, std::uint64_t* out, std::uint64_t min, std::uint64_t max, std::string meaning);

    enum class Outcome { run, exit };  // exit: --help or --version was asked for and printed

    // Reads --config FILE if given, then the environment, then the arguments. All errors name where the bad value stands.
    Result<Outcome> load(int argc, const char* const* argv, const std::map<std::string, std::string>& environment);

    std::string help() const;
    // A Markdown table: key, meaning, unit, default. docs/configuration.md holds it; a test compares.
    std::string markdown() const;

  private:
    struct Key {
        std::string name, meaning, unit, default_text;
        bool secret = false;
        std::function<Result<>(std::string_view)> assign;
    };
    ConfigSpec& add(Key key);
    Result<> assign(std::string_view name, std::string_view value, std::string_view where);
    Result<> load_file(const std::string& path);

    std::string program_, summary_;
    std::vector<Key> keys_;
};

// The CLOUDTASK_* variables of this process, without the rest of its environment.
std::map<std::string, std::string> cloudtask_environment();

}  // namespace cloudtask
