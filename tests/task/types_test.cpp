// Names of the enumerations, and the ids of runs.
#include "cloudtask/task/types.h"

#include <catch2/catch.hpp>

#include <set>
#include <string>

#include "cloudtask/core/ids.h"

using namespace cloudtask;
using namespace cloudtask::task;

TEST_CASE("types: states and triggers have names that read back") {
    const std::set<std::string_view> expected{"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED", "LOST", "SKIPPED"};
    std::set<std::string_view> names;
    for (int i = 0; i <= static_cast<int>(RunState::skipped); ++i) {
        const auto state = static_cast<RunState>(i);
        names.insert(to_string(state));
        const auto parsed = parse_run_state(to_string(state));
        REQUIRE(parsed);
        CHECK((*parsed == state));
        CHECK(is_terminal(state) == (state != RunState::pending && state != RunState::running));
    }
    CHECK(names == expected);
    for (const Trigger trigger : {Trigger::schedule, Trigger::manual, Trigger::rerun}) {
        const auto parsed = parse_trigger(to_string(trigger));
        REQUIRE(parsed);
        CHECK((*parsed == trigger));
    }
    CHECK(parse_run_state("running").error().message.find("PENDING, RUNNING, SUCCEEDED") != std::string::npos);
    CHECK_FALSE(parse_run_state(""));
    CHECK_FALSE(parse_trigger("Manual"));
}

TEST_CASE("types: the id of a fire's run is the same everywhere, and another for each fire and attempt") {
    const Instant fire{std::chrono::milliseconds{1'800'000'000'123}};
    const std::string id = run_id("task-1", fire, 1);
    CHECK(is_uuid(id));
    CHECK(id == run_id("task-1", fire, 1));
    const std::set<std::string> ids{id,
                                    run_id("task-1", fire, 2),
                                    run_id("task-2", fire, 1),
                                    run_id("task-1", fire + Duration{1}, 1),
                                    run_id("task-1", fire + std::chrono::seconds{1}, 1),
                                    run_id("task-11", fire, 1),
                                    run_id("task-1", fire, 11)};
    CHECK(ids.size() == 7);
    // 48 bits of Unix milliseconds in front (RFC 9562, section 5.7), so that runs sort by fire time.
    CHECK(id.substr(0, 8) + id.substr(9, 4) == fmt::format("{:012x}", 1'800'000'000'123));
    CHECK(id < run_id("task-0", fire + std::chrono::milliseconds{1}, 1));
}

TEST_CASE("types: a version is in force until the next one takes effect, or disables the task") {
    Task next;
    next.updated_at = Instant{std::chrono::seconds{1000}};
    next.effective_from = next.updated_at + std::chrono::seconds{5};
    CHECK(tenure_end(next) == next.effective_from);
    next.enabled = false;
    CHECK(tenure_end(next) == next.updated_at);
}
