// What a task's guarantee says in words is what the ring, the claims and the policies of a node decide.
#include "cloudtask/ring/guarantee.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>

#include "cloudtask/core/units.h"
#include "cloudtask/ring/placement.h"
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/pieces.h"
#include "node/backlog.h"
#include "node/duties.h"
#include "node/waiting_line.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

constexpr Instant kMidnight{1'900'000'000s};

std::string text_of(const ring::Guarantee& guarantee, std::string_view topic) {
    std::string text;
    for (const auto& sentence : guarantee.sentences) {
        if (sentence.topic == topic) text += sentence.text + "\n";
    }
    return text;
}

bool says(const ring::Guarantee& guarantee, std::string_view topic, const std::string& part) {
    return text_of(guarantee, topic).find(part) != std::string::npos;
}

std::vector<ring::Member> random_members(std::mt19937_64& random) {
    std::vector<ring::Member> members;
    for (std::uint64_t number = 0, count = random() % 5; number < count; ++number) {
        ring::Member member{fmt::format("id-{}", number), fmt::format("id-{}.1", number), fmt::format("n{}", number), {}, 1};
        if (random() % 2 == 0) member.labels["disk"] = "ssd";
        members.push_back(std::move(member));
    }
    return members;
}

task::Task random_promise(std::mt19937_64& random) {
    task::Task task;
    task.id = fmt::format("task-{}", random() % 1000);
    task.schedules = {*task::Schedule::every(10s, kMidnight)};
    if (random() % 3 == 0) task.labels["disk"] = "ssd";
    if (random() % 4 == 0) task.targets = {"n0", "n2"};
    if (random() % 2 == 0) task.guarantee = task::Guarantee::at_least_once;
    if (random() % 3 == 0) task.schedules.push_back(*task::Schedule::at(kMidnight + 1h));
    const auto misfire = random() % 4;
    if (misfire < 3) task.misfire = static_cast<task::Misfire>(misfire);
    task.misfire_tolerance = std::chrono::seconds{static_cast<std::int64_t>(1 + random() % 20)};
    return task;
}

// How many of `missed` fires of the task's first schedule are run, by what the node decides.
std::size_t runs_of_missed(const task::Task& task, int missed) {
    auto periodic = std::make_shared<task::Task>(task);
    periodic->schedules.erase(periodic->schedules.begin() + 1, periodic->schedules.end());
    const auto first = next_fire(periodic, kMidnight);
    REQUIRE(first);
    const auto backlog = gather_backlog(*first, kMidnight + 10s * missed + task.misfire_tolerance + 1s);
    REQUIRE(backlog.late.size() == static_cast<std::size_t>(missed));
    return decide_misfires(backlog, kMidnight + 1h).run.size();
}

}  // namespace

TEST_CASE("guarantee: who runs it, and who does when that one is gone, is what the ring says") {
    const auto seed = Catch::rngSeed();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 200; ++round) {
        const auto task = random_promise(random);
        auto members = random_members(random);
        const auto told = ring::describe_guarantee(task, {.members = members, .session_timeout = 6s});
        const ring::Placement placement = ring::placement_of(task);
        const ring::Ring now(members);
        const auto* owner = now.owner(task.id, placement);
        REQUIRE(told.owner == (owner == nullptr ? "" : owner->name));
        if (owner == nullptr) continue;
        std::erase_if(members, [&](const ring::Member& member) { return member.id == owner->id; });
        const ring::Ring then(members);
        const auto* next = then.owner(task.id, placement);
        REQUIRE(told.successor == (next == nullptr ? "" : next->name));
        REQUIRE(says(told, "owner", told.owner + " runs it."));
        if (next != nullptr) REQUIRE(says(told, "node-lost", fmt::format("If {} dies, {} starts its fires", owner->name, next->name)));
    }
}

TEST_CASE("guarantee: what is said of missed fires is what becomes of them") {
    const auto seed = Catch::rngSeed();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 200; ++round) {
        const auto task = random_promise(random);
        CAPTURE(round);
        const auto told = ring::describe_guarantee(task, {.members = {}, .session_timeout = 6s});
        const int missed = static_cast<int>(1 + random() % 5);
        const auto runs = runs_of_missed(task, missed);
        const bool one_policy = task.schedules.size() == 1 || task.misfire;
        const std::string which = one_policy ? "A fire that" : "A fire of another schedule that";
        const std::string fate = fmt::format("{} cannot be started within {} ", which, format_duration(task.misfire_tolerance));
        if (runs == 0) REQUIRE(says(told, "missed", fate + "is skipped"));
        if (runs > 1) REQUIRE(says(told, "missed", fate + "is run late, each"));
        if (runs == 1 && missed > 1) REQUIRE(says(told, "missed", fate + "is run late; of several that were missed only the latest"));
        if (!one_policy) REQUIRE(says(told, "missed", "A fire of an `at` schedule that cannot be started"));
    }
}

// What a successor learns of a node that died: where it begins, and what it has to report.
TEST_CASE("guarantee: what a dead node may have started is as much as is said, and is dealt with as is said") {
    const ring::Member a{"a", "a.1", "a", {}, 1}, b{"b", "b.1", "b", {}, 1};
    const auto seed = Catch::rngSeed();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 100; ++round) {
        auto task = std::make_shared<task::Task>(random_promise(random));
        task->targets.clear();
        task->labels.clear();
        task->revision = task->created_revision = 1;
        task->effective_from = task->updated_at = kMidnight - 1h;
        const auto told = ring::describe_guarantee(*task, {.members = {a, b}, .session_timeout = 6s});
        REQUIRE(told.begun_again == (task->guarantee == task::Guarantee::at_least_once));
        REQUIRE(says(told, "uncertain", told.begun_again ? "run again" : "not run again"));
        REQUIRE(says(told, "uncertain", format_duration(told.uncertain)));
        if (told.owner != "a") continue;
        REQUIRE(told.successor == "b");

        // `a` claims as far as its options say, and dies.
        const Instant died = kMidnight + Duration{static_cast<std::int64_t>(random() % 10'000'000)};
        ring::Departed departed;
        departed.incarnation = "a.1";
        departed.epoch = departed.resumed = 5;
        departed.revision = 1;
        departed.horizon = died + DutyOptions{}.horizon;
        departed.done = died;
        Claims claims("b", "b.1");
        claims.put_task(*task);
        ring::Allocation before;
        before.epoch = 5;
        before.nodes = {a, b};
        claims.observe(before, {}, 1, died);
        ring::Allocation after;
        after.epoch = 6;
        after.nodes = {b};
        after.previous = {{5, {a, b}}};
        after.departed = {departed};
        auto changes = claims.observe(after, {}, 1, died + 6s);
        const auto resolved = claims.resolve({}, 1);
        changes.gained.insert(changes.gained.end(), resolved.gained.begin(), resolved.gained.end());
        REQUIRE(changes.gained.size() == 1);
        const Gained& gained = changes.gained[0];
        // From then on the successor starts every fire, and what lies before is as long as is said.
        REQUIRE(gained.floor == departed.horizon);
        REQUIRE(gained.uncertain.size() == 1);
        REQUIRE(gained.uncertain[0].fires.until - gained.uncertain[0].fires.after <= told.uncertain);
        REQUIRE(gained.uncertain[0].fires.until == gained.floor);
    }
}

TEST_CASE("guarantee: fires that come due while nobody owns the task are in time exactly if that is said") {
    std::mt19937_64 random{1};
    for (int round = 0; round < 200; ++round) {
        const auto task = random_promise(random);
        const auto timeout = std::chrono::seconds{static_cast<std::int64_t>(1 + random() % 30)};
        const auto told =
            ring::describe_guarantee(task, {.members = {{"a", "a.1", "a", {}, 1}, {"b", "b.1", "b", {}, 1}}, .session_timeout = timeout});
        auto pointer = std::make_shared<task::Task>(task);
        const auto due = next_fire(pointer, kMidnight);
        REQUIRE(due);
        const bool in_time = gather_backlog(*due, due->time + told.taken_over_within).late.empty();
        REQUIRE(told.late_by_tolerance == in_time);
        if (!told.successor.empty() && !told.owner.empty()) {
            REQUIRE(says(told, "node-lost", in_time ? "is started late" : "counts as missed"));
        }
    }
}

TEST_CASE("guarantee: a task that fires nothing is not said to") {
    task::Task task;
    task.id = "x";
    const auto by_hand = ring::describe_guarantee(task, {.members = {{"a", "a.1", "a", {}, 1}}, .session_timeout = 6s});
    CHECK_FALSE(by_hand.fires);
    CHECK(says(by_hand, "owner", "by hand only"));
    CHECK(text_of(by_hand, "missed").empty());
    CHECK(text_of(by_hand, "uncertain").empty());
    CHECK(says(by_hand, "time-limit", "longer than 1h is asked to end (TERM), is killed with all its processes 10s later"));
    task.schedules = {*task::Schedule::every(10s, kMidnight)};
    task.enabled = false;
    const auto disabled = ring::describe_guarantee(task, {.members = {}, .session_timeout = 6s});
    CHECK(says(disabled, "owner", "The runtime has no node"));
    CHECK(says(disabled, "owner", "It is disabled"));
    task.enabled = true;
    task.overlap = task::Overlap::allow;
    task.max_parallel = 3;
    task.grace = 0s;
    const auto several = ring::describe_guarantee(task, {.members = {{"a", "a.1", "a", {}, 1}}, .session_timeout = 6s});
    CHECK(says(several, "overlap", "Up to 3 runs"));
    CHECK(says(several, "time-limit", "is killed with all its processes, and is TIMED_OUT"));
    CHECK(says(several, "owner", "No other node can"));
}

// A line in front of `going` runs.
TEST_CASE("guarantee: what is said of a fire that meets runs of its task is what becomes of it") {
    task::Task task;
    task.id = "x";
    task.schedules = {*task::Schedule::every(10s, kMidnight)};
    task.max_parallel = 2;
    task.queue_limit = 3;
    const auto told = [&] { return ring::describe_guarantee(task, {.members = {}, .session_timeout = 6s}); };
    const auto asked = [&](std::int64_t going, const WaitingLine& line = {}) {
        static const std::string kRun = "run";
        return line.ask(task, {kRun, task.id, kMidnight, task::Trigger::schedule}, going);
    };
    for (const auto overlap : {task::Overlap::forbid, task::Overlap::allow}) {
        task.overlap = overlap;
        const bool several = overlap == task::Overlap::allow;
        CHECK((asked(several ? 1 : 0) == Admission::begin));
        CHECK((asked(several ? 2 : 1) == Admission::skip));
        CHECK(says(told(), "overlap", several ? "Up to 2 runs" : "while a run of it is in progress is skipped"));
    }
    task.overlap = task::Overlap::forbid;
    task.mutex = std::make_shared<const std::string>("db");
    CHECK(says(told(), "overlap", "while a run of it, or of another task under the mutex db, is in progress is skipped"));
    task.mutex.reset();
    task.overlap = task::Overlap::queue;
    WaitingLine full;
    for (const std::string id : {"a", "b", "c"}) full.queue({id, task.id, kMidnight - 1s, task::Trigger::schedule});
    CHECK((asked(2) == Admission::queue));
    CHECK((asked(2, full) == Admission::full));
    CHECK(says(told(), "overlap",
               "Up to 2 runs of it may be in progress at one time; a fire that comes due beyond that waits for its turn; "
               "while 3 wait, further ones are skipped"));
    task.overlap = task::Overlap::replace;
    CHECK((asked(1) == Admission::replace));
    CHECK(says(told(), "overlap", "stops that run"));
}

TEST_CASE("guarantee: what is said of failures, limits and deadlines is what the policies say") {
    task::Task task;
    task.id = "x";
    task.schedules = {*task::Schedule::every(10s, kMidnight)};
    const auto told = [&] { return ring::describe_guarantee(task, {.members = {}, .session_timeout = 6s}); };
    CHECK(says(told(), "failed", "not run again"));
    CHECK(text_of(told(), "start-deadline").empty());
    CHECK(text_of(told(), "success").empty());

    task::Retry retry;
    retry.attempts = 3;
    retry.delay = 2s;
    retry.jitter = 0.5;
    retry.exit_codes = task::ExitCodes({{1, 1}, {75, 78}});
    task.retry = std::make_shared<const task::Retry>(retry);
    CHECK(says(told(), "failed",
               "FAILED with exit code 1, 75-78, or is TIMED_OUT, is tried again on the same node, 2 times at the most, after 2s, 4s "
               "and up to 50 % more"));
    CHECK_FALSE(says(told(), "runs-lost", "further attempt"));
    task.overlap = task::Overlap::allow;
    retry.elsewhere = true;
    task.retry = std::make_shared<const task::Retry>(retry);
    CHECK(says(told(), "failed", "is tried again on another node (if no other can take it, on the same one), 2 times at the most"));
    CHECK(says(told(), "overlap", "Further attempts on other nodes do not count."));
    retry.elsewhere = false;
    task.overlap = task::Overlap::forbid;
    task.retry = std::make_shared<const task::Retry>(retry);
    // As often, and after as long, as is said.
    task::Run run;
    run.task_id = "x";
    run.state = task::RunState::timed_out;
    run.ended_at = kMidnight;
    std::int64_t made = 1;
    for (auto next = task::next_attempt(task, run, made, {}); next.run; next = task::next_attempt(task, run, ++made, {})) {
        CHECK(next.due - kMidnight >= made * 2s);
        CHECK(next.due - kMidnight <= made * 3s);
    }
    CHECK(made == 3);
    retry.attempts = 10;
    retry.lost = true;
    task.retry = std::make_shared<const task::Retry>(retry);
    CHECK(says(told(), "failed", "after 2s, 4s, 8s, 16s, ... 8min32s"));
    CHECK(says(told(), "runs-lost", "further attempt"));

    task.start_deadline = 30s;
    task.soft_limit = 10s;
    task.success = std::make_shared<const task::SuccessRule>(
        task::SuccessRule{task::ExitCodes({{0, 0}, {3, 3}}), task::OutputRule{.standard_error = true, .pattern = "bad", .matches = false}});
    CHECK(says(told(), "start-deadline", "not begun 30s after"));
    CHECK(says(told(), "time-limit", "longer than 10s goes on, and a mail says so. A run that takes longer than 1h"));
    CHECK(says(told(), "success", "exits with 0, 3 and the end of its stderr does not match 'bad'; else it has FAILED"));
    task.misfire = task::Misfire::all;
    task.misfire_limit = 5;
    CHECK(says(told(), "missed", "Of more than 5 the first 5 are run"));
}

TEST_CASE("guarantee: of a task with pieces one is described, and stands for all") {
    ring::GuaranteeFacts facts;
    facts.session_timeout = 4s;
    facts.members = {{"id-0", "i0", "n0"}, {"id-1", "i1", "n1"}, {"id-2", "i2", "n2"}};
    task::Task task;
    task.id = "018f3c2e-1111-7222-8333-123456789abc";
    task.schedules = {*task::Schedule::every(10s, kMidnight)};
    task.mode = task::Mode::shards;
    task.shards = 8;
    const auto sharded = ring::describe_guarantee(task, facts);
    CHECK(says(sharded, "pieces", "8 runs, one for each shard"));
    CHECK(sharded.owner == ring::Ring(facts.members).owner(task::shard_id(task.id, 0))->name);
    CHECK_FALSE(sharded.successor.empty());
    CHECK(sharded.fires);
    task.mode = task::Mode::broadcast;
    task.targets = {"n1", "n2"};
    const auto broadcast = ring::describe_guarantee(task, facts);
    CHECK(says(broadcast, "pieces", "2 now. What follows is said of n1"));
    CHECK(broadcast.owner == "n1");
    CHECK(broadcast.successor.empty());
    CHECK(broadcast.fires);
    task.targets = {"n9"};
    CHECK(ring::describe_guarantee(task, facts).owner.empty());
}
