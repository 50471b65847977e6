// What the tests of processes share: a loop that runs until a condition holds, a temp folder, and specs of runs.
#pragma once

#include <utility>  // Asio 1.74 uses std::exchange without it

#include <signal.h>
#include <stdlib.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <map>
#include <string>

#include <boost/asio/io_context.hpp>
#include <catch2/catch.hpp>

#include "node/process/supervisor.h"

namespace cloudtask::node::test {

class TempFolder {
  public:
    TempFolder() {
        std::string name = (std::filesystem::temp_directory_path() / "cloudtask-test-XXXXXX").string();
        REQUIRE(::mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~TempFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    std::string operator/(const std::string& name) const { return (path_ / name).string(); }
    std::string path() const { return path_.string(); }

  private:
    std::filesystem::path path_;
};

inline std::string read_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_file(const std::string& path, std::string_view text, bool executable = false) {
    std::ofstream(path, std::ios::binary) << text;
    if (executable) std::filesystem::permissions(path, std::filesystem::perms{0755});
}

// Turns the loop until `condition` holds; false if it does not within `limit`.
inline bool run_until(AsioLoop& loop, const std::function<bool()>& condition, std::chrono::milliseconds limit = std::chrono::seconds{20}) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        loop.context().run_one_for(std::chrono::milliseconds{5});
    }
    return true;
}

// A supervisor with the ends of its runs.
struct Bench {
    TempFolder folder;
    AsioLoop loop;
    std::unique_ptr<Supervisor> supervisor = make_supervisor(loop);
    std::map<std::string, Result<Started>> begun;
    std::map<std::string, Ended> ended;
    std::map<std::string, int> ends;  // how often each end was told
    std::map<std::string, pid_t> pids;

    LaunchSpec shell(const std::string& id, const std::string& text) const {
        LaunchSpec spec;
        spec.run_id = id;
        spec.folder = folder / id;
        spec.shell = text;
        spec.grace = std::chrono::seconds{5};
        return spec;
    }
    LaunchSpec command(const std::string& id, std::vector<std::string> words) const {
        LaunchSpec spec = shell(id, "");
        spec.command = std::move(words);
        return spec;
    }
    Supervisor::OnEnd note() {
        return [this](Ended end) {
            ++ends[end.run_id];
            ended[end.run_id] = std::move(end);
        };
    }
    // Without waiting for it.
    void begin(LaunchSpec spec) {
        const std::string id = spec.run_id;
        supervisor->start(
            std::move(spec),
            [this, id](const Result<Started>& started) {
                CHECK_FALSE(ended.contains(id));
                if (started && started->pid > 0) pids[id] = started->pid;
                REQUIRE(begun.emplace(id, started).second);
            },
            note());
    }
    Result<Started> start(LaunchSpec spec) {
        const std::string id = spec.run_id;
        begun.erase(id);
        begin(std::move(spec));
        REQUIRE(run_until(loop, [&] { return begun.contains(id); }));
        return begun.at(id);
    }
    // A failed test leaves no process behind.
    ~Bench() {
        for (const auto& [id, pid] : pids) {
            if (!ended.contains(id)) ::kill(-pid, SIGKILL);
        }
    }

    // Starts the run and waits for its end.
    Ended run(LaunchSpec spec) {
        const std::string id = spec.run_id;
        const Result<Started> started = start(std::move(spec));
        INFO((started ? "" : started.error().message));
        REQUIRE(started);
        REQUIRE(wait(id));
        return ended.at(id);
    }
    bool wait(const std::string& id) {
        return run_until(loop, [&] { return ended.contains(id); });
    }
    std::string output(const std::string& id, Stream stream = Stream::out) const { return read_file(output_path(folder / id, stream)); }

    // Waits until the run has written a whole line, and returns the first one.
    std::string first_line(const std::string& id) {
        REQUIRE(run_until(loop, [&] { return output(id).find('\n') != std::string::npos; }));
        const std::string text = output(id);
        return text.substr(0, text.find('\n'));
    }
};

}  // namespace cloudtask::node::test
