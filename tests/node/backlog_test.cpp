// The misfire policies.
#include "node/backlog.h"

#include <catch2/catch.hpp>

#include "node/duties.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

constexpr Instant kStart{1'900'000'000s};

// Fires every 10 s from kStart + 10 s on; a fire more than 15 s late is a misfire.
TaskPointer task_with_misfire(std::optional<task::Misfire> misfire, Duration interval = 10s) {
    auto made = std::make_shared<task::Task>();
    made->id = "a";
    made->schedules = {*task::Schedule::every(interval, kStart)};
    made->misfire = misfire;
    made->misfire_tolerance = 15s;
    return made;
}

std::vector<Duration> times_of(const std::vector<Fire>& fires) {
    std::vector<Duration> list;
    for (const auto& fire : fires) list.push_back(fire.time - kStart);
    return list;
}

using Times = std::vector<Duration>;

}  // namespace

TEST_CASE("a fire exactly as late as is tolerated is no misfire") {
    const auto first = *next_fire(task_with_misfire(task::Misfire::skip), kStart);
    CHECK(gather_backlog(first, kStart).late.empty());
    CHECK(gather_backlog(first, kStart + 25s).late.empty());
    const auto backlog = gather_backlog(first, kStart + 25s + 1us);
    CHECK(times_of(backlog.late) == Times{10s});
    CHECK_FALSE(backlog.cut);
    CHECK(backlog.passed_until == kStart + 10s);
}

TEST_CASE("a backlog holds what is too late, and not what is still in time") {
    const auto first = *next_fire(task_with_misfire(task::Misfire::all), kStart);
    const auto backlog = gather_backlog(first, kStart + 60s);
    CHECK(times_of(backlog.late) == Times{10s, 20s, 30s, 40s});
    CHECK(backlog.passed_until == kStart + 40s);
}

// A node that stood still for long has a backlog that reaches beyond its horizon; a new owner starts that part.
TEST_CASE("a backlog ends where the permission ends") {
    auto first = *next_fire(task_with_misfire(task::Misfire::all), kStart);
    first.permitted_until = kStart + 30s;
    const auto backlog = gather_backlog(first, kStart + 600s);
    CHECK(times_of(backlog.late) == Times{10s, 20s, 30s});
    CHECK_FALSE(backlog.cut);
    CHECK(backlog.passed_until == kStart + 30s);

    auto second = *next_fire(task_with_misfire(task::Misfire::all, 1s), kStart);
    second.permitted_until = kStart + 5000s;
    const auto cut = gather_backlog(second, kStart + 9000s);
    CHECK(cut.late.size() == kMaxMisfires);
    REQUIRE(cut.cut);
    CHECK(cut.passed_until == kStart + 5000s);
}

TEST_CASE("of a backlog no more than the task's limit are run, the oldest, and one entry tells of the others") {
    auto made = std::make_shared<task::Task>(*task_with_misfire(task::Misfire::all));
    made->misfire_limit = 2;
    const auto first = *next_fire(TaskPointer{made}, kStart);
    const Instant now = kStart + 100s;
    const auto backlog = gather_backlog(first, now);
    CHECK(times_of(backlog.late) == Times{10s, 20s});
    CHECK(backlog.passed_until == kStart + 85s);
    const auto decision = decide_misfires(backlog, now);
    CHECK(times_of(decision.run) == Times{10s, 20s});
    REQUIRE(decision.skipped.size() == 1);
    CHECK(decision.skipped[0].fire.time == kStart + 30s);
    CHECK(decision.skipped[0].covers_until == kStart + 85s);
    // It is not for what is not run in any case.
    made->misfire = task::Misfire::skip;
    CHECK(gather_backlog(*next_fire(TaskPointer{made}, kStart), now).late.size() == 8);
}

TEST_CASE("a fire that is taken says how far its task may be followed") {
    Timetable timetable;
    timetable.open(task_with_misfire(task::Misfire::all), kStart, kStart + 25s);
    CHECK(timetable.take(kStart + 60s)->permitted_until == kStart + 25s);

    Duties duties("a", "a.1", {});
    duties.set_catalog_revision(1);
    duties.put_task(task_with_misfire(task::Misfire::all));
    ring::Allocation allocation;
    allocation.epoch = 1;
    allocation.nodes = {{"a", "a.1", "a"}};
    duties.observe(allocation, kStart);
    while (duties.next_write(kStart + 8s, std::nullopt)) duties.written();
    const auto fire = duties.take(kStart + 600s);
    REQUIRE(fire);
    CHECK(fire->permitted_until == duties.record().horizon);
}

TEST_CASE("each policy decides") {
    const auto decide = [](std::optional<task::Misfire> misfire) {
        const Instant now = kStart + 60s;
        return decide_misfires(gather_backlog(*next_fire(task_with_misfire(misfire), kStart), now), now);
    };
    SECTION("skip: none is run, each is recorded with how late it was") {
        const auto decision = decide(task::Misfire::skip);
        CHECK(decision.run.empty());
        REQUIRE(decision.skipped.size() == 4);
        CHECK(decision.skipped[0].fire.time == kStart + 10s);
        CHECK(decision.skipped[0].reason == "misfire: 50s late, tolerance 15s; the policy is to skip");
    }
    SECTION("skip is what a periodic schedule does by default") { CHECK(decide(std::nullopt).run.empty()); }
    SECTION("once: the latest is run for all") {
        const auto decision = decide(task::Misfire::once);
        CHECK(times_of(decision.run) == Times{40s});
        REQUIRE(decision.skipped.size() == 3);
        CHECK(decision.skipped[2].fire.time == kStart + 30s);
        CHECK(decision.skipped[2].reason == "misfire: 30s late, tolerance 15s; one later fire is run for all that were missed");
    }
    SECTION("all: each is run, oldest first") {
        const auto decision = decide(task::Misfire::all);
        CHECK(times_of(decision.run) == Times{10s, 20s, 30s, 40s});
        CHECK(decision.skipped.empty());
    }
}

TEST_CASE("a single instant that was missed is run once by default") {
    auto task = std::make_shared<task::Task>();
    task->schedules = {*task::Schedule::at(kStart + 10s)};
    const Instant now = kStart + 24h;
    const auto decision = decide_misfires(gather_backlog(*next_fire(task, kStart), now), now);
    CHECK(times_of(decision.run) == Times{10s});
}

TEST_CASE("what a periodic schedule skips does not take the place of an instant that was missed") {
    auto task = std::make_shared<task::Task>();
    task->schedules = {*task::Schedule::at(kStart + 10s), *task::Schedule::every(20s, kStart)};
    const Instant now = kStart + 100s;
    const auto decision = decide_misfires(gather_backlog(*next_fire(task, kStart), now), now);
    CHECK(times_of(decision.run) == Times{10s});
    CHECK(decision.skipped.size() > 1);
}

TEST_CASE("a backlog without end is cut, and the rest passed over in one sentence") {
    const Instant now = kStart + 24h;
    const auto backlog = gather_backlog(*next_fire(task_with_misfire(task::Misfire::skip, 1s), kStart), now);
    CHECK(backlog.late.size() == kMaxMisfires);
    CHECK(backlog.cut);
    CHECK(backlog.passed_until == now - 15s);
    const auto decision = decide_misfires(backlog, now);
    REQUIRE(decision.skipped.size() == kMaxMisfires + 1);
    CHECK(decision.skipped.back().reason.find("so were all further ones up to " + format_instant(now - 15s)) != std::string::npos);
    CHECK(decision.skipped.back().covers_until == now - 15s);
    CHECK(decision.skipped.front().reason.find("further") == std::string::npos);
    CHECK_FALSE(decision.skipped.front().covers_until.has_value());
}

TEST_CASE("once runs the latest fire of a backlog, also of one that is cut") {
    const Instant now = kStart + 24h;
    const auto backlog = gather_backlog(*next_fire(task_with_misfire(task::Misfire::once, 1s), kStart), now);
    REQUIRE(backlog.cut);
    const auto decision = decide_misfires(backlog, now);
    REQUIRE(decision.run.size() == 1);
    CHECK(decision.run[0].time == backlog.late.back().time);
    CHECK(decision.skipped.size() == kMaxMisfires);
    CHECK(decision.skipped.back().reason.find("so were all further ones up to " + format_instant(now - 15s)) != std::string::npos);
}

TEST_CASE("a backlog of exactly the maximum is not cut") {
    const auto task = task_with_misfire(task::Misfire::all, 1s);
    const Instant now = kStart + std::chrono::seconds{kMaxMisfires} + 15s + 1us;
    const auto backlog = gather_backlog(*next_fire(task, kStart), now);
    CHECK(backlog.late.size() == kMaxMisfires);
    CHECK_FALSE(backlog.cut);
    CHECK(decide_misfires(backlog, now).run.size() == kMaxMisfires);
}

TEST_CASE("all runs what is recorded of a backlog, and what was cut is not dropped in silence") {
    const Instant now = kStart + 24h;
    const auto backlog = gather_backlog(*next_fire(task_with_misfire(task::Misfire::all, 1s), kStart), now);
    REQUIRE(backlog.cut);
    const auto decision = decide_misfires(backlog, now);
    CHECK(decision.run.size() == kMaxMisfires);
    REQUIRE(decision.skipped.size() == 1);
    CHECK(decision.skipped[0].fire.time == decision.run.back().time + 1s);
    CHECK(decision.skipped[0].reason.find("so were all further ones up to " + format_instant(now - 15s)) != std::string::npos);
}
