// The fire ledger's reasoning: against a node that learns of every change at once, and case by case.
#include "center/ledger.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>

#include <catch2/catch.hpp>

#include "center/surroundings.h"
#include "cloudtask/core/random.h"

using namespace cloudtask;
using namespace cloudtask::center;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using task::RunState;

namespace {

constexpr Instant kStart{seconds{1'893'456'000}};  // 2030-01-01T00:00:00Z

Instant at(int second) { return kStart + seconds{second}; }

task::Schedule every(int interval, int anchor = 0) { return *task::Schedule::every(seconds{interval}, at(anchor)); }

DefinitionVersion version_of(std::int64_t number, int changed, int effective, std::vector<task::Schedule> schedules, bool enabled = true) {
    DefinitionVersion version;
    version.version = number;
    version.changed_at = at(changed);
    version.effective_from = at(effective);
    version.changed_by = "eva";
    version.enabled = enabled;
    version.schedules = std::move(schedules);
    version.tolerance = seconds{10};
    return version;
}

Definition definition_of(std::vector<DefinitionVersion> versions) {
    Definition definition;
    definition.task_id = "t";
    definition.versions = std::move(versions);
    return definition;
}

FireRecord record_of(int second, std::int64_t version, RunState state = RunState::succeeded, const std::string& reason = {},
                     std::int64_t attempt = 1) {
    FireRecord record;
    record.fire_time = at(second);
    record.attempt = attempt;
    record.task_version = version;
    record.state = state;
    record.reason = reason;
    if (state == RunState::succeeded || state == RunState::failed || state == RunState::timed_out || state == RunState::running) {
        record.started_at = at(second) + Duration{700};
        record.lateness = Duration{700};
    }
    return record;
}

// All is well, and long over.
Surroundings calm() {
    Surroundings around;
    around.now = at(7 * 24 * 3600);
    return around;
}

struct Accounted {
    std::map<Instant, FireVerdict> verdicts;
    std::map<Instant, std::string> reasons;
    std::set<Instant> unexpected;
    bool exhausted = false;
    std::size_t count(FireVerdict verdict) const {
        return static_cast<std::size_t>(
            std::count_if(verdicts.begin(), verdicts.end(), [&](const auto& e) { return e.second == verdict; }));
    }
};

Accounted account(const Definition& definition, std::vector<FireRecord> records, int from, int to, const Surroundings& around = calm(),
                  const std::vector<Cover>& covers = {}, std::uint64_t budget = 1'000'000) {
    Accounted accounted;
    const auto overtaken = [&](std::int64_t version) {
        std::optional<Instant> latest;
        const auto with = [&](std::int64_t number) {
            return *std::find_if(definition.versions.begin(), definition.versions.end(),
                                 [&](const auto& v) { return v.version == number; });
        };
        while (version > 1 && with(version - 1).effective_from == with(version).effective_from) --version;
        for (const auto& record : records) {
            if (record.task_version < version && (!latest || record.fire_time > *latest)) latest = record.fire_time;
        }
        return latest;
    };
    const Covers told_by(covers);
    LedgerBudget spending(budget);
    TaskLedger ledger({.definition = definition,
                       .from = at(from),
                       .to = at(to),
                       .covers = told_by,
                       .surroundings = around,
                       .overtaken_until = overtaken,
                       .fire =
                           [&](Instant time, const Judgement& judgement) {
                               // One verdict each, in order.
                               CHECK((accounted.verdicts.empty() || accounted.verdicts.rbegin()->first < time));
                               accounted.verdicts[time] = judgement.verdict;
                               accounted.reasons[time] = judgement.reason;
                           },
                       .unexpected = [&](const FireRecord& first) { accounted.unexpected.insert(first.fire_time); },
                       .budget = spending});
    std::stable_sort(records.begin(), records.end(), [](const auto& a, const auto& b) {
        return std::chrono::floor<std::chrono::milliseconds>(a.fire_time) < std::chrono::floor<std::chrono::milliseconds>(b.fire_time);
    });
    for (const auto& record : records) ledger.take(record);
    ledger.finish();
    accounted.exhausted = spending.exhausted();
    return accounted;
}

// --- the oracle: a node that learns of each change at once, second by second

bool fires(const DefinitionVersion& version, Instant time) {
    return std::any_of(version.schedules.begin(), version.schedules.end(),
                       [&](const task::Schedule& schedule) { return schedule.enabled() && schedule.next(time - Duration{1}) == time; });
}

// The versions by which it fires, by second in [0, end).
std::map<Instant, std::int64_t> fired_by_a_node(const Definition& definition, int end) {
    std::map<Instant, std::int64_t> fired;
    std::optional<DefinitionVersion> current;
    std::deque<DefinitionVersion> ahead;
    std::size_t known = 0;
    for (int second = 0; second < end; ++second) {
        const Instant now = at(second);
        for (; known < definition.versions.size() && definition.versions[known].changed_at < now; ++known) {
            const DefinitionVersion& version = definition.versions[known];
            if (!version.enabled) {
                current.reset();
                ahead.clear();
            } else {
                ahead.push_back(version);
            }
        }
        while (!ahead.empty() && ahead.front().effective_from < now) {
            current = ahead.front();
            ahead.pop_front();
        }
        if (definition.deleted_at && *definition.deleted_at < now) break;
        if (current && fires(*current, now)) fired[now] = current->version;
    }
    return fired;
}

task::Schedule random_schedule(Random& random) {
    if (random.below(4) == 0) {
        static const std::vector<std::string> kCrons{"*/2 * * * *", "1-59/7 * * * * *", "0 */3 * * * *", "30 5,17 * * * *"};
        return *task::Schedule::cron(kCrons[random.below(kCrons.size())], "Europe/Berlin");
    }
    if (random.below(8) == 0) return *task::Schedule::at(at(static_cast<int>(random.below(3600))));
    return every(2 + static_cast<int>(random.below(40)), static_cast<int>(random.below(60)));
}

// As tasks.cpp makes versions.
Definition random_definition(Random& random) {
    Definition definition = definition_of({});
    int now = static_cast<int>(random.below(300));
    DefinitionVersion version = version_of(1, now, now, {});
    for (std::uint64_t n = random.below(3); n > 0 || version.schedules.empty(); n -= n > 0 ? 1 : 0)
        version.schedules.push_back(random_schedule(random));
    version.enabled = random.below(5) != 0;
    definition.versions.push_back(version);
    for (std::uint64_t changes = random.below(8); changes > 0; --changes) {
        now += 1 + static_cast<int>(random.below(random.below(3) == 0 ? 6 : 900));
        ++version.version;
        version.changed_at = at(now);
        switch (random.below(4)) {
            case 0:  // other schedules
                version.schedules = {random_schedule(random)};
                version.effective_from = std::max(version.effective_from, at(now));
                break;
            case 1:
                version.enabled = !version.enabled;
                if (version.enabled) version.effective_from = std::max(version.effective_from, at(now));
                break;
            case 2:  // it moves
                version.effective_from = std::max(version.effective_from, at(now) + seconds{5});
                break;
            default:  // another text
                break;
        }
        definition.versions.push_back(version);
    }
    if (random.below(4) == 0) definition.deleted_at = at(now + 1 + static_cast<int>(random.below(600)));
    return definition;
}

struct Kind {
    RunState state;
    const char* reason;
    FireVerdict verdict;
};
constexpr Kind kKinds[] = {{RunState::succeeded, "", FireVerdict::ran},
                           {RunState::failed, "", FireVerdict::ran},
                           {RunState::timed_out, "took longer than 1h", FireVerdict::ran},
                           {RunState::running, "", FireVerdict::running},
                           {RunState::skipped, "overlap: the run before it is still going", FireVerdict::skipped},
                           {RunState::skipped, "misfire: 5m late, tolerance 10s", FireVerdict::missed},
                           {RunState::lost, "its node went away", FireVerdict::lost}};

}  // namespace

TEST_CASE("what was due is what a node fires that learns of every change at once", "[ledger]") {
    SeededRandom random{20300101};
    for (int round = 0; round < 300; ++round) {
        const Definition definition = random_definition(random);
        const auto expected = fired_by_a_node(definition, 3600);
        const int from = static_cast<int>(random.below(1800));
        const int to = from + 1 + static_cast<int>(random.below(1800));
        std::map<Instant, std::int64_t> due;
        for (DueFires fires(definition, at(from), at(to)); fires.next(); fires.advance()) {
            due[fires.next()->time] = definition.versions[fires.next()->version].version;
        }
        std::map<Instant, std::int64_t> inside;
        for (const auto& [time, version] : expected) {
            if (time >= at(from) && time < at(to)) inside[time] = version;
        }
        CAPTURE(round, from, to);
        std::set<Instant> due_times, inside_times;
        for (const auto& each : due) due_times.insert(each.first);
        for (const auto& each : inside) inside_times.insert(each.first);
        REQUIRE(due_times == inside_times);
    }
}

TEST_CASE("of random histories every fire has its verdict, and a run that is taken away is named", "[ledger]") {
    SeededRandom random{7};
    int taken_away = 0;
    for (int round = 0; round < 300; ++round) {
        const Definition definition = random_definition(random);
        const auto fired = fired_by_a_node(definition, 3600);
        std::vector<FireRecord> records;
        std::map<Instant, FireVerdict> expected;
        for (const auto& [time, version] : fired) {
            const Kind& kind = kKinds[random.below(std::size(kKinds))];
            const int second = static_cast<int>((time - kStart) / seconds{1});
            records.push_back(record_of(second, version, kind.state, kind.reason));
            expected[time] = kind.verdict;
            if (kind.verdict == FireVerdict::lost && random.below(2) == 0) {
                records.push_back(record_of(second, version, RunState::succeeded, "", 2));
                expected[time] = FireVerdict::ran;
            }
            if (kind.verdict == FireVerdict::ran && random.below(3) == 0) {
                records.back().lateness = seconds{2};
                expected[time] = FireVerdict::late;
            }
        }
        CAPTURE(round);
        const Accounted whole = account(definition, records, 0, 3600);
        REQUIRE(whole.verdicts == expected);
        REQUIRE(whole.unexpected.empty());

        std::vector<Instant> certain;
        for (DueFires fires(definition, at(0), at(3600)); fires.next(); fires.advance()) certain.push_back(fires.next()->time);
        if (certain.empty()) continue;
        const Instant gone = certain[random.below(certain.size())];
        std::erase_if(records, [gone](const FireRecord& record) { return record.fire_time == gone; });
        const Accounted holed = account(definition, records, 0, 3600);
        expected[gone] = FireVerdict::unexplained;
        REQUIRE(holed.verdicts == expected);
        ++taken_away;
    }
    CHECK(taken_away > 200);
}

TEST_CASE("what becomes of a fire by its attempts", "[ledger]") {
    const LedgerRules rules;
    const auto judged = [&](std::vector<FireRecord> attempts) { return judge_attempts(attempts, rules); };
    CHECK(judged({record_of(0, 1)}).verdict == FireVerdict::ran);
    CHECK(judged({record_of(0, 1, RunState::lost), record_of(0, 1, RunState::succeeded, "", 2)}).verdict == FireVerdict::ran);
    CHECK(judged({record_of(0, 1, RunState::lost), record_of(0, 1, RunState::running, "", 2)}).verdict == FireVerdict::running);
    CHECK(judged({record_of(0, 1, RunState::lost), record_of(0, 1, RunState::pending, "", 2)}).verdict == FireVerdict::pending);
    // A rerun that did not begin does not hide the loss.
    CHECK(judged({record_of(0, 1, RunState::lost), record_of(0, 1, RunState::skipped, "overlap: x", 2)}).verdict == FireVerdict::lost);

    // Of several attempts that began the last one tells, unless one succeeded; lateness is that of the first.
    auto second = record_of(0, 1, RunState::failed, "it exited with 1", 2);
    second.started_at = at(60);
    second.lateness.reset();
    CHECK(judged({record_of(0, 1, RunState::failed), second}).verdict == FireVerdict::ran);
    second.state = RunState::running;
    CHECK(judged({record_of(0, 1, RunState::failed), second}).verdict == FireVerdict::running);
    CHECK(judged({record_of(0, 1, RunState::succeeded), second}).verdict == FireVerdict::ran);
    second.state = RunState::lost;
    CHECK(judged({record_of(0, 1, RunState::failed), second}).verdict == FireVerdict::lost);
    CHECK(judged({second, record_of(0, 1, RunState::succeeded, "", 3)}).verdict == FireVerdict::ran);
    second.started_at.reset();
    for (const auto unbegun : {RunState::lost, RunState::skipped, RunState::stopped}) {
        second.state = unbegun;
        CHECK(judged({record_of(0, 1, RunState::failed), second}).verdict == FireVerdict::ran);
    }
    second.state = RunState::pending;
    CHECK(judged({record_of(0, 1, RunState::failed), second}).verdict == FireVerdict::pending);

    auto late = record_of(0, 1);
    late.lateness = seconds{1} + Duration{1};
    CHECK(judged({late}).verdict == FireVerdict::late);
    late.lateness = seconds{1};
    CHECK(judged({late}).verdict == FireVerdict::ran);

    const Judgement overlap = judged({record_of(0, 1, RunState::skipped, "overlap: 3 runs are still going")});
    CHECK(overlap.verdict == FireVerdict::skipped);
    CHECK(overlap.reason == "overlap");
    CHECK(judged({record_of(0, 1, RunState::skipped, "disabled: the task was disabled")}).reason == "disabled");
    const Judgement misfire = judged({record_of(0, 1, RunState::skipped, "misfire: 5m late")});
    CHECK(misfire.verdict == FireVerdict::missed);
    CHECK(misfire.reason == "misfire");
    auto unstarted = record_of(0, 1, RunState::failed, "its package cannot be had: 404");
    unstarted.started_at.reset();
    CHECK(judged({unstarted}).verdict == FireVerdict::missed);
    CHECK(judged({unstarted}).reason == "its package cannot be had");
    CHECK(judged({record_of(0, 1, RunState::stopped, "it was stopped before it began")}).verdict == FireVerdict::skipped);
    auto lost = record_of(0, 1, RunState::lost, "node n1 lost");
    CHECK(judged({lost}).reason == "around the time it was due");
    lost.started_at = at(0);
    CHECK(judged({lost}).reason == "while it ran");
}

TEST_CASE("an entry that covers further fires accounts for them as it says", "[ledger]") {
    const Definition definition = definition_of({version_of(1, 0, 0, {every(10)})});
    std::vector<FireRecord> records{record_of(10, 1), record_of(20, 1, RunState::skipped, "misfire: late"), record_of(40, 1)};
    const std::vector<Cover> covers{{at(20), at(60), RunState::skipped, "misfire: late"}, {at(70), at(80), RunState::lost, "gone"}};
    const Accounted accounted = account(definition, records, 0, 100, calm(), covers);
    CHECK(accounted.verdicts.at(at(30)) == FireVerdict::missed);
    CHECK(accounted.verdicts.at(at(40)) == FireVerdict::ran);  // known better
    CHECK(accounted.verdicts.at(at(60)) == FireVerdict::missed);
    CHECK(accounted.verdicts.at(at(70)) == FireVerdict::unexplained);
    CHECK(accounted.verdicts.at(at(80)) == FireVerdict::lost);
    CHECK(accounted.verdicts.at(at(90)) == FireVerdict::unexplained);
    CHECK(accounted.count(FireVerdict::unexplained) == 2);
}

TEST_CASE("of several covers the one that ends first tells of a fire", "[ledger]") {
    SeededRandom random{11};
    for (int round = 0; round < 200; ++round) {
        std::vector<Cover> covers;
        for (std::uint64_t n = random.below(12); n > 0; --n) {
            const int after = static_cast<int>(random.below(100));
            covers.push_back({at(after), at(after + static_cast<int>(random.below(40)) - 2), RunState::skipped, std::to_string(n)});
        }
        const Covers told_by(covers);
        for (int second = -1; second < 150; ++second) {
            std::optional<Instant> first_end;
            for (const auto& cover : covers) {
                if (at(second) > cover.after && at(second) <= cover.until)
                    first_end = std::min(first_end.value_or(cover.until), cover.until);
            }
            const Cover* found = told_by.at(at(second));
            CAPTURE(round, second);
            REQUIRE((found != nullptr) == first_end.has_value());
            if (found == nullptr) continue;
            CHECK(found->until == *first_end);
            CHECK((at(second) > found->after && at(second) <= found->until));
        }
    }
}

TEST_CASE("many covers and many fires do not multiply", "[ledger]") {
    constexpr int kFires = 100'000, kCovers = 20'000;
    const Definition definition = definition_of({version_of(1, 0, 0, {every(1)})});
    std::vector<Cover> covers;
    for (int i = 0; i < kCovers; ++i) covers.push_back({at(5 * i), at(5 * i + 4), RunState::skipped, "misfire: late"});
    Surroundings around = calm();
    const Covers told_by(covers);
    LedgerBudget budget(kFires + 1);
    int missed = 0, unexplained = 0;
    const auto begun = std::chrono::steady_clock::now();
    TaskLedger ledger({.definition = definition,
                       .from = at(0),
                       .to = at(kFires),
                       .covers = told_by,
                       .surroundings = around,
                       .overtaken_until = {},
                       .fire =
                           [&](Instant, const Judgement& judgement) {
                               missed += judgement.verdict == FireVerdict::missed ? 1 : 0;
                               unexplained += judgement.verdict == FireVerdict::unexplained ? 1 : 0;
                           },
                       .unexpected = {},
                       .budget = budget});
    ledger.finish();
    CHECK(missed == kFires / 5 * 4);
    CHECK(unexplained == kFires / 5 - 1);
    // One after the other they would be a thousand million looks: tens of seconds.
    CHECK(std::chrono::steady_clock::now() - begun < seconds{5});
}

TEST_CASE("a ledger ends when its budget or its time does", "[ledger]") {
    LedgerBudget few(3);
    CHECK((few.spend() && few.spend() && few.spend()));
    CHECK_FALSE(few.exhausted());
    CHECK_FALSE(few.spend());
    CHECK((few.exhausted() && !few.late()));

    bool over = false;
    LedgerBudget slow(1'000'000, [&over] { return over; });
    CHECK((slow.spend() && slow.has_time()));
    over = true;
    int more = 0;
    while (slow.spend()) ++more;
    CHECK(more < 1000);
    CHECK((slow.exhausted() && slow.late()));
    CHECK_FALSE(slow.has_time());
}

TEST_CASE("a version that cannot be read owes nothing that is known, and the others what they owe", "[ledger]") {
    Definition definition =
        definition_of({version_of(1, 0, 0, {every(10)}), version_of(2, 300, 300, {}), version_of(3, 600, 600, {every(10)})});
    definition.versions[1].problem = "it is not JSON";
    std::vector<FireRecord> records;
    for (int second = 10; second < 900; second += 10) {
        if (second != 100 && second != 450 && second != 800)
            records.push_back(record_of(second, second <= 300 ? 1 : second <= 600 ? 2 : 3));
    }
    const Accounted accounted = account(definition, records, 0, 900);
    CHECK(accounted.unexpected.empty());
    CHECK(accounted.count(FireVerdict::ran) == records.size());
    CHECK(accounted.count(FireVerdict::unexplained) == 2);
    CHECK(accounted.verdicts.at(at(100)) == FireVerdict::unexplained);
    CHECK(accounted.verdicts.at(at(800)) == FireVerdict::unexplained);
    CHECK_FALSE(accounted.verdicts.contains(at(450)));
}

TEST_CASE("around a change only what can be laid to it is", "[ledger]") {
    // Every 10 s; from 300 on every 7 s.
    Definition definition = definition_of({version_of(1, 0, 0, {every(10)}), version_of(2, 300, 300, {every(7, 300)})});
    std::vector<FireRecord> records;
    for (int second = 10; second <= 300; second += 10) records.push_back(record_of(second, 1));
    for (int second = 307; second < 600; second += 7) records.push_back(record_of(second, 2));
    CHECK(account(definition, records, 0, 600).count(FireVerdict::ran) == records.size());
    const auto without = [&](int second) {
        auto left = records;
        std::erase_if(left, [second](const auto& record) { return record.fire_time == at(second); });
        return left;
    };
    SECTION("before it") {
        CHECK(account(definition, without(300), 0, 600).verdicts.at(at(300)) == FireVerdict::unexplained);
        CHECK(account(definition, without(290), 0, 600).verdicts.at(at(290)) == FireVerdict::unexplained);
    }
    SECTION("before it, while no node was there") {
        Surroundings around = calm();
        around.without_nodes = {{at(200), at(350)}};
        CHECK(account(definition, without(280), 0, 600, around).verdicts.at(at(280)) == FireVerdict::changed);
        around.without_nodes = {{at(200), at(270)}};
        CHECK(account(definition, without(280), 0, 600, around).verdicts.at(at(280)) == FireVerdict::unexplained);
    }
    SECTION("after it, by a node that has not learnt of it") {
        auto more = without(307);
        more.push_back(record_of(310, 1));
        Accounted accounted = account(definition, more, 0, 600);
        CHECK(accounted.verdicts.at(at(310)) == FireVerdict::ran);
        CHECK(accounted.verdicts.at(at(307)) == FireVerdict::changed);  // passed over by the old version
        CHECK(accounted.unexpected.empty());
        more.push_back(record_of(380, 1));
        CHECK(account(definition, more, 0, 600).unexpected == std::set<Instant>{at(380)});
    }
    SECTION("after it, with no word of the old version") {
        CHECK(account(definition, without(307), 0, 600).verdicts.at(at(307)) == FireVerdict::unexplained);
    }
    SECTION("what was never a fire time") {
        auto more = records;
        more.push_back(record_of(301, 1));
        more.push_back(record_of(402, 2));
        CHECK(account(definition, more, 0, 600).unexpected == std::set<Instant>{at(301), at(402)});
    }
    SECTION("deleted") {
        definition.deleted_at = at(450);
        const Accounted accounted = account(definition, records, 0, 600);
        CHECK(accounted.verdicts.rbegin()->first <= at(510));  // within after_change
        CHECK_FALSE(accounted.unexpected.empty());
        CHECK(account(definition, without(447), 0, 600).verdicts.at(at(447)) == FireVerdict::unexplained);
        Surroundings around = calm();
        around.without_nodes = {{at(440), at(480)}};
        CHECK(account(definition, without(447), 0, 600, around).reasons.at(at(447)) == "deleted while no node was there");
    }
}

TEST_CASE("a fire without a run is first under way, then awaited from those who may know, then unexplained", "[ledger]") {
    const Definition definition = definition_of({version_of(1, 0, 0, {*task::Schedule::at(at(100))})});
    Surroundings around;
    const auto verdict_at = [&](int now) {
        around.now = at(now);
        return account(definition, {}, 0, 200, around).verdicts.at(at(100));
    };
    CHECK(verdict_at(169) == FireVerdict::not_yet);  // tolerance 10 s, grace 60 s
    CHECK(verdict_at(171) == FireVerdict::unexplained);
    SECTION("a node whose outbox may hold it") {
        around.silent = {{"n1", at(90), at(110)}};
        CHECK(verdict_at(171) == FireVerdict::awaited);
        around.silent = {{"n1", at(101), at(110)}};
        CHECK(verdict_at(171) == FireVerdict::unexplained);
    }
    SECTION("no node is there, or only just") {
        around.without_nodes = {{at(50), std::nullopt}};
        CHECK(verdict_at(10'000) == FireVerdict::awaited);
        around.without_nodes = {{at(50), at(9'950)}};
        CHECK(verdict_at(10'000) == FireVerdict::awaited);
        CHECK(verdict_at(10'011) == FireVerdict::unexplained);
    }
    SECTION("no node can take it") {
        around.unowned = true;
        CHECK(verdict_at(171) == FireVerdict::awaited);
    }
}

TEST_CASE("the ledger stops when it has looked at as many fires as it may", "[ledger]") {
    const Definition definition = definition_of({version_of(1, 0, 0, {every(1)})});
    const Accounted accounted = account(definition, {}, 0, 3600, calm(), {}, 100);
    CHECK(accounted.exhausted);
    CHECK(accounted.verdicts.size() == 100);
    CHECK_FALSE(account(definition, {}, 0, 101, calm(), {}, 100).exhausted);
}

TEST_CASE("two fires within one millisecond are two", "[ledger]") {
    Definition definition = definition_of({version_of(1, 0, 0, {})});
    definition.versions[0].schedules = {*task::Schedule::every(seconds{10}, at(0) + Duration{900}),
                                        *task::Schedule::every(seconds{10}, at(0) + Duration{100})};
    auto first = record_of(10, 1), second = record_of(10, 1);
    first.fire_time += Duration{900};
    second.fire_time += Duration{100};
    const Accounted accounted = account(definition, {first, second}, 5, 15);
    CHECK(accounted.count(FireVerdict::ran) == 2);
    CHECK(accounted.verdicts.size() == 2);
}

TEST_CASE("all were absent when each was", "[ledger]") {
    const auto all = all_absent({{{at(0), at(10)}, {at(20), std::nullopt}}, {{at(5), at(25)}, {at(30), std::nullopt}}});
    REQUIRE(all.size() == 3);
    CHECK((all[0].since == at(5) && all[0].until == at(10)));
    CHECK((all[1].since == at(20) && all[1].until == at(25)));
    CHECK((all[2].since == at(30) && !all[2].until));
    CHECK(all_absent({}).size() == 1);
    CHECK(all_absent({{{at(0), at(1)}}, {{at(2), at(3)}}}).empty());
}

TEST_CASE("a reason's category is what stands before the colon, cut at a whole character", "[ledger]") {
    CHECK(reason_category("overlap: x: y") == "overlap");
    CHECK(reason_category("") == "");
    CHECK(reason_category(std::string(63, 'a') + "é") == std::string(63, 'a'));
    CHECK(reason_category(std::string(62, 'a') + "éb") == std::string(62, 'a') + "é");
}
