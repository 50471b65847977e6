// Retry, the rule of success, and the attempt that follows: what they decide, and what a definition may say of them.
#include "cloudtask/task/policies.h"

#include <catch2/catch.hpp>

#include <memory>
#include <set>

#include "cloudtask/core/ids.h"
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/mutex.h"

using namespace cloudtask;
using namespace cloudtask::task;
using namespace std::chrono_literals;

namespace {

constexpr Instant kDue{1'900'000'000s};

Run ended_run(RunState state = RunState::failed, std::optional<std::int64_t> exit_code = 1) {
    Run run;
    run.id = run_id("some-task", kDue, 1);
    run.fire_time = kDue;
    run.state = state;
    run.exit_code = exit_code;
    run.started_at = kDue;
    run.ended_at = kDue + 5s;
    return run;
}

Task retrying(Retry retry) {
    Task task;
    task.retry = std::make_shared<const Retry>(std::move(retry));
    return task;
}

// The faults of a task with these policies, as "pointer: problem".
std::vector<std::string> policy_faults(const std::string& policies) {
    const auto document = json::parse(R"({"runtime": "demo", "group": "ops", "name": "report", "shell": "true", )" + policies + "}");
    REQUIRE(document);
    Faults faults;
    const auto task = read_task_input(*document, faults);
    CHECK(task.has_value() == faults.empty());
    std::vector<std::string> list;
    for (const auto& fault : faults.list()) list.push_back(fault.pointer + ": " + fault.problem);
    return list;
}

}  // namespace

TEST_CASE("exit codes are numbers and ranges from 0 to 255") {
    for (const char* wrong : {"", "-1", "256", "1-", "-", "3-1", "1-2-3", " 1", "1x", "1-999"}) {
        INFO(wrong);
        CHECK_FALSE(ExitCodes::parse(wrong));
    }
    CHECK((*ExitCodes::parse("0") == ExitCodes::Range{0, 0}));
    CHECK((*ExitCodes::parse("75-78") == ExitCodes::Range{75, 78}));
    const ExitCodes codes({{0, 0}, {75, 78}});
    std::set<std::int64_t> in;
    for (std::int64_t code = -1; code < 300; ++code) {
        if (codes.contains(code)) in.insert(code);
    }
    CHECK(in == std::set<std::int64_t>{0, 75, 76, 77, 78});
}

TEST_CASE("delays grow by the factor up to the cap, and the jitter adds to them") {
    Retry retry;
    retry.delay = 10s;
    retry.factor = 3;
    retry.max_delay = 2min;
    const auto delays = [&](int most) {
        std::vector<Duration> list;
        for (int made = 1; made <= most; ++made) list.push_back(retry_delay(retry, made, "x"));
        return list;
    };
    CHECK(delays(5) == std::vector<Duration>{10s, 30s, 90s, 120s, 120s});
    retry.factor = 10;
    CHECK(retry_delay(retry, 100, "x") == 120s);
    retry.factor = 1;
    CHECK(retry_delay(retry, 100, "x") == 10s);
    retry.jitter = 0.5;
    Duration least = 1h, most{};
    for (int i = 0; i < 1000; ++i) {
        const std::string id = std::to_string(i);
        const Duration delay = retry_delay(retry, 1, id);
        CHECK(delay == retry_delay(retry, 1, id));
        least = std::min(least, delay);
        most = std::max(most, delay);
    }
    CHECK(least >= 10s);
    CHECK(least < 10100ms);
    CHECK(most < 15s);
    CHECK(most > 14900ms);
    retry.delay = Duration::zero();
    CHECK(retry_delay(retry, 3, "x") == 0s);
}

TEST_CASE("what is tried again") {
    Retry retry;
    CHECK(asks_for_retry(retry, RunState::failed, 1));
    CHECK(asks_for_retry(retry, RunState::failed, std::nullopt));
    CHECK(asks_for_retry(retry, RunState::timed_out, std::nullopt));
    CHECK_FALSE(asks_for_retry(retry, RunState::lost, std::nullopt));
    retry.lost = true;
    CHECK(asks_for_retry(retry, RunState::lost, std::nullopt));
    for (const RunState never : {RunState::succeeded, RunState::stopped, RunState::skipped, RunState::pending, RunState::running}) {
        CHECK_FALSE(asks_for_retry(retry, never, 1));
    }
    retry.exit_codes = ExitCodes({{75, 75}});
    CHECK(asks_for_retry(retry, RunState::failed, 75));
    CHECK_FALSE(asks_for_retry(retry, RunState::failed, 1));
    CHECK_FALSE(asks_for_retry(retry, RunState::failed, std::nullopt));
    CHECK(asks_for_retry(retry, RunState::timed_out, std::nullopt));
    retry.failed = retry.timed_out = false;
    CHECK_FALSE(asks_for_retry(retry, RunState::failed, 75));
    CHECK_FALSE(asks_for_retry(retry, RunState::timed_out, 75));
}

TEST_CASE("attempts on other nodes go with overlapping runs alone, and not with broadcasts") {
    const auto document = json::parse(R"({"runtime": "demo", "group": "ops", "name": "report", "shell": "true", "overlap": "allow",
                                         "retry": {"node": "other"}})");
    Faults faults;
    const auto task = read_task_input(*document, faults);
    REQUIRE(task);
    CHECK(task->retry->elsewhere);
    CHECK(to_json(*task).find(R"("node":"other")") != std::string::npos);
    CHECK(policy_faults(R"("retry": {"node": "same"})").empty());
    CHECK(policy_faults(R"("retry": {"node": "any"})").size() == 1);
    for (const std::string overlap : {"", R"(, "overlap": "queue")", R"(, "overlap": "replace")", R"(, "mutex": "door")"}) {
        INFO(overlap);
        const auto list = policy_faults(R"("retry": {"node": "other"})" + overlap);
        REQUIRE(list.size() == 1);
        CHECK(list[0].starts_with("/retry/node: 'other' does not go with the overlap"));
    }
    CHECK(policy_faults(R"("retry": {"node": "other"}, "overlap": "allow", "mode": "broadcast")").size() == 1);
    CHECK(policy_faults(R"("retry": {"node": "other"}, "overlap": "allow", "mode": "shards", "shards": 3)").empty());

    Retry retry;
    retry.elsewhere = true;
    const NextAttempt next = next_attempt(retrying(retry), ended_run(), 1, "");
    CHECK(next.elsewhere);
    CHECK(next.note.ends_with(", on another node if one can take it"));
    retry.elsewhere = false;
    CHECK_FALSE(next_attempt(retrying(retry), ended_run(), 1, "").elsewhere);
}

TEST_CASE("the next attempt, and why there is none") {
    Retry retry;
    retry.attempts = 3;
    Task task = retrying(retry);
    const Run first = ended_run();
    const NextAttempt second = next_attempt(task, first, 1, "");
    REQUIRE(second.run);
    CHECK(second.due == kDue + 15s);
    CHECK(second.note == "attempt 2 of 3 follows at " + format_instant(kDue + 15s));
    CHECK(second.run->attempt == 2);
    CHECK(second.run->trigger == Trigger::retry);
    CHECK(second.run->state == RunState::pending);
    CHECK(second.run->fire_time == kDue);
    CHECK_FALSE(second.run->started_at);
    CHECK_FALSE(second.run->exit_code);
    CHECK(is_uuid(second.run->id));
    CHECK(second.run->id == retry_id(first.id, kDue));
    // Another one than that of a rerun.
    CHECK(second.run->id != run_id("some-task", kDue, 2));

    CHECK_FALSE(next_attempt(task, first, 3, "").run);
    CHECK(next_attempt(task, first, 3, "").note == "it was the last of 3 attempts");
    CHECK(next_attempt(task, first, 1, "the task was deleted").note == "no further attempt, as the task was deleted");
    CHECK(next_attempt(task, ended_run(RunState::succeeded, 0), 1, "").note.empty());
    CHECK(next_attempt(Task{}, first, 1, "").note.empty());
    task.start_deadline = 14s;
    CHECK_FALSE(next_attempt(task, first, 1, "").run);
    CHECK(next_attempt(task, first, 1, "").note == "no further attempt, as it would begin after the start deadline of 14s");
    task.start_deadline = 15s;
    CHECK(next_attempt(task, first, 1, "").run);
    CHECK(start_deadline(task, first) == kDue + 15s);
    Run manual = first;
    manual.fire_time.reset();
    CHECK_FALSE(start_deadline(task, manual));
    const auto again = next_attempt(task, manual, 1, "").run;
    REQUIRE(again);
    CHECK(again->first_run == manual.id);
    Run ended = *again;
    ended.state = manual.state;
    ended.ended_at = manual.ended_at;
    CHECK(next_attempt(task, ended, 1, "").run->first_run == manual.id);
}

TEST_CASE("a run succeeds by code and by what its output ends with") {
    SuccessRule rule;
    CHECK(why_no_success(rule, 0, "").empty());
    CHECK(why_no_success(rule, 2, "") == "it exited with 2");
    rule.output = OutputRule{true, "ERROR|^fatal", false};
    CHECK(why_no_success(rule, 0, "all fine\nnot fatal\n").empty());
    CHECK(why_no_success(rule, 0, "all fine\nfatal: no\n") == "the end of its stderr matches 'ERROR|^fatal'");
    rule.output->matches = true;
    CHECK(why_no_success(rule, 0, "") == "the end of its stderr does not match 'ERROR|^fatal'");
    CHECK(why_no_success(rule, 0, "an ERROR").empty());
    CHECK(why_no_success(rule, 3, "an ERROR") == "it exited with 3");
    CHECK(check_pattern("^done: \\d+$"));
    CHECK_FALSE(check_pattern("done("));
    CHECK_FALSE(check_pattern("(?=ahead)"));
    CHECK_FALSE(check_pattern("(a|b)*a(a|b){700}"));  // nobody is to wait for it
    CHECK(check_pattern(std::string(1000, 'a')));
    CHECK_FALSE(check_pattern("((((((((((a{1,100}){1,100}){1,100}){1,100}))))))"));
}

// A pattern that backtracking takes for ever over.
TEST_CASE("a pattern takes a time that is linear in the output") {
    SuccessRule rule;
    rule.output = OutputRule{false, "(a*)*(a*)*(a*)*b$", true};
    CHECK_FALSE(why_no_success(rule, 0, std::string(kOutputLookedAt, 'a')).empty());
}

TEST_CASE("policies that cannot be kept are refused, each with its place") {
    using List = std::vector<std::string>;
    CHECK(policy_faults(R"("retry": {"attempts": 1})") == List{"/retry/attempts: is out of range"});
    CHECK(policy_faults(R"("retry": {"factor": 0.5, "jitter": "half"})") ==
          List{"/retry/factor: is not such a number", "/retry/jitter: is not such a number"});
    CHECK(policy_faults(R"("retry": {"on": ["failed", "stopped"]})") ==
          List{"/retry/on/1: 'stopped' is not an outcome that is tried again"});
    CHECK(policy_faults(R"("retry": {"exit_codes": [1, "a-b", 300]})") ==
          List{"/retry/exit_codes/1: is not an exit code", "/retry/exit_codes/2: is not an exit code"});
    CHECK(policy_faults(R"("success": {"output": {"stream": "stdout"}})") == List{"/success/output/pattern: is missing"});
    CHECK(policy_faults(R"("success": {"output": {"pattern": "a("}})") ==
          List{"/success/output/pattern: is not a regular expression: missing ): (?m)a("});
    CHECK(policy_faults(R"("soft_limit": "1h", "time_limit": "10min")") ==
          List{"/soft_limit: is not below the time limit, which ends the run"});
    CHECK(policy_faults(R"("overlap": "queue", "queue_limit": 0)").size() == 1);
    CHECK(policy_faults(R"("misfire": "all", "misfire_limit": 5000)").size() == 1);
    CHECK(policy_faults(R"("retry": {"often": true})").size() == 1);
    CHECK(policy_faults(R"("mutex": "No Slug")") == List{"/mutex: is not a name"});
    CHECK(policy_faults(R"("mutex": "db", "overlap": "allow")") == List{"/overlap: 'allow' does not go with a mutex"});
    CHECK(policy_faults(R"("mutex": "db", "mode": "broadcast")") == List{"/mode: 'broadcast' does not go with a mutex"});
    CHECK(policy_faults(R"("mutex": "db", "mode": "shards", "shards": 2)") == List{"/mode: 'shards' does not go with a mutex"});
    CHECK(policy_faults(R"("mutex": "db", "overlap": "replace")") == List{"/overlap: 'replace' does not go with a mutex"});
    CHECK(policy_faults(R"("mutex": "db", "overlap": "queue", "max_parallel": 2)") ==
          List{"/max_parallel: is more than 1, beside a mutex"});
    CHECK(policy_faults(R"("mutex": "db", "overlap": "queue")").empty());
    CHECK(policy_faults(R"("mutex": "db", "mode": "broadcast")") == List{"/mode: 'broadcast' does not go with a mutex"});
    CHECK(policy_faults(R"("retry": {}, "success": {}, "overlap": "replace", "soft_limit": "1min", "start_deadline": "5min")").empty());
}

TEST_CASE("a mutex is one of tasks that name it, or of a group; no task's id looks like one") {
    Task task;
    task.group = "reports";
    CHECK_FALSE(has_mutex(task));
    CHECK(mutex_key(task).empty());
    task.exclusive_group = true;
    CHECK(has_mutex(task));
    CHECK(mutex_key(task) == "group:reports");
    CHECK(mutex_words(mutex_key(task)) == "the exclusive group reports");
    task.exclusive_group = false;
    task.mutex = std::make_shared<const std::string>("reports");
    CHECK(has_mutex(task));
    CHECK(mutex_key(task) == "mutex:reports");
    CHECK(mutex_words(mutex_key(task)) == "the mutex reports");
}
