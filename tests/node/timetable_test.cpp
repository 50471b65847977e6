// The timetable: streams of fires, alone and against a plain model of them.
#include "node/timetable.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>

#include <fmt/format.h>

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

constexpr Instant kOpened{1'900'000'000s};

std::shared_ptr<task::Task> task_with(const std::string& id, std::vector<task::Schedule> schedules) {
    auto made = std::make_shared<task::Task>();
    made->id = id;
    made->schedules = std::move(schedules);
    made->effective_from = kOpened;
    return made;
}

std::shared_ptr<task::Task> next_version(const task::Task& before, Instant effective_from, std::vector<task::Schedule> schedules = {}) {
    auto made = std::make_shared<task::Task>(before);
    ++made->version;
    made->effective_from = effective_from;
    if (!schedules.empty()) made->schedules = std::move(schedules);
    return made;
}

task::Schedule every(Duration interval, Duration offset = {}) { return *task::Schedule::every(interval, kOpened + offset); }

std::vector<Duration> taken_until(Timetable& timetable, Instant until) {
    std::vector<Duration> list;
    while (const auto fire = timetable.take(until)) list.push_back(fire->time - kOpened);
    return list;
}

using Offsets = std::vector<Duration>;

// The same contract, by looking at every stream each time.
class Model {
  public:
    void open(const TaskPointer& task, Instant floor, Instant limit) { streams_.push_back({task, floor, limit}); }
    void limit(const task::Task& version, Instant limit) {
        for (auto& stream : streams_) {
            if (is(stream, version)) stream.limit = std::min(stream.limit, limit);
        }
    }
    void limit_all(Instant limit) {
        for (auto& stream : streams_) stream.limit = std::min(stream.limit, limit);
    }
    void amend(const task::Task& before, const TaskPointer& next) {
        for (auto& stream : streams_) {
            if (is(stream, before)) stream.task = next;
        }
    }
    void supersede(const task::Task& before, Instant until, const TaskPointer& next) {
        for (std::size_t i = 0, size = streams_.size(); i < size; ++i) {
            if (!is(streams_[i], before)) continue;
            const Stream stream = streams_[i];
            streams_[i].limit = std::min(stream.limit, until);
            if (next) open(next, std::max(stream.after, next->effective_from), stream.limit);
        }
    }
    void finish_parked(const std::string& id) {
        for (auto& stream : streams_) {
            if (stream.task->id == id && stream.limit != Instant::max() && !next(stream))
                stream.after = std::max(stream.after, stream.limit);
        }
    }
    void skip_until(const std::string& id, Instant until) {
        for (auto& stream : streams_) {
            if (stream.task->id == id) stream.after = std::max(stream.after, until);
        }
    }
    std::optional<Instant> next_due() const {
        std::optional<Instant> earliest;
        for (const auto& stream : streams_) {
            if (const auto fire = next(stream)) earliest = std::min(earliest.value_or(fire->time), fire->time);
        }
        return earliest;
    }
    // All fires up to `until`, as text, sorted.
    std::vector<std::string> take(Instant until) {
        std::erase_if(streams_, [until](const Stream& stream) { return stream.limit < until - task::kSupersededKept && !next(stream); });
        std::vector<std::string> fires;
        for (auto& stream : streams_) {
            for (auto fire = next(stream); fire && fire->time <= until; fire = next(stream)) {
                fires.push_back(describe(*fire));
                stream.after = fire->time;
            }
        }
        std::sort(fires.begin(), fires.end());
        return fires;
    }
    static std::string describe(const Fire& fire) {
        return fmt::format("{} {} v{} {}", fire.time.time_since_epoch().count(), fire.task->id, fire.task->version,
                           task::to_string(fire.misfire));
    }

  private:
    struct Stream {
        TaskPointer task;
        Instant after, limit;
    };
    static std::optional<Fire> next(const Stream& stream) {
        const auto fire = next_fire(stream.task, stream.after);
        return fire && fire->time <= stream.limit ? fire : std::nullopt;
    }
    static bool is(const Stream& stream, const task::Task& version) {
        return stream.task->id == version.id && stream.task->version == version.version;
    }

    std::vector<Stream> streams_;
};

}  // namespace

TEST_CASE("fires come in order of time, after the floor and up to the limit, both exactly") {
    Timetable timetable;
    timetable.open(task_with("a", {every(10s)}), kOpened, kOpened + 30s);
    timetable.open(task_with("b", {every(10s, 5s)}), kOpened + 5s);
    CHECK(timetable.size() == 2);
    CHECK(timetable.next_due() == kOpened + 10s);
    CHECK(taken_until(timetable, kOpened + 10s - 1us).empty());
    CHECK(taken_until(timetable, kOpened + 60s) == Offsets{10s, 15s, 20s, 25s, 30s, 35s, 45s, 55s});
    CHECK(timetable.size() == 1);
    CHECK(timetable.next_due() == kOpened + 65s);
}

TEST_CASE("two schedules that meet in one instant make one fire") {
    const auto task = task_with("a", {every(10s), every(15s)});
    Timetable timetable;
    timetable.open(task, kOpened);
    CHECK(taken_until(timetable, kOpened + 60s) == Offsets{10s, 15s, 20s, 30s, 40s, 45s, 50s, 60s});
}

TEST_CASE("the misfire policy is that of the schedule that yields the fire") {
    Timetable timetable;
    timetable.open(task_with("a", {every(10s), *task::Schedule::at(kOpened + 5s)}), kOpened);
    CHECK(timetable.take(kOpened + 60s)->misfire == task::Misfire::once);
    CHECK(timetable.take(kOpened + 60s)->misfire == task::Misfire::skip);
}

TEST_CASE("a disabled task has no fires, but keeps its place for the version that enables it") {
    auto disabled = task_with("a", {every(10s)});
    disabled->enabled = false;
    Timetable timetable;
    timetable.open(disabled, kOpened);
    timetable.open(task_with("b", {}), kOpened);
    timetable.open(disabled, kOpened, kOpened + 100s);  // it has an end and nothing in it
    CHECK(timetable.size() == 2);
    CHECK_FALSE(timetable.next_due().has_value());
    CHECK_FALSE(timetable.take(Instant::max()).has_value());
    const auto enabled = next_version(*disabled, kOpened + 35s);
    enabled->enabled = true;
    timetable.supersede(*disabled, kOpened + 35s, enabled);
    CHECK(taken_until(timetable, kOpened + 60s) == Offsets{40s, 50s, 60s});
}

TEST_CASE("a new version counts from its effective_from, and not before what was taken") {
    Timetable timetable;
    const auto first = task_with("a", {every(10s)});
    timetable.open(first, kOpened);
    CHECK(taken_until(timetable, kOpened + 20s) == Offsets{10s, 20s});
    const auto second = next_version(*first, kOpened + 12s, {every(5s)});
    timetable.supersede(*first, kOpened + 12s, second);
    CHECK(timetable.taken_until(*first) == kOpened + 20s);
    CHECK(timetable.next_due() == kOpened + 25s);
    const auto third = next_version(*second, kOpened + 41s, {every(5s)});
    timetable.supersede(*second, kOpened + 41s, third);
    // What the version before still owes, it keeps.
    CHECK(taken_until(timetable, kOpened + 50s) == Offsets{25s, 30s, 35s, 40s, 45s, 50s});
}

TEST_CASE("a version that has the fires of the one before takes its place where it is") {
    Timetable timetable;
    const auto first = task_with("a", {every(10s)});
    timetable.open(first, kOpened);
    timetable.limit(*first, kOpened + 30s);
    CHECK(taken_until(timetable, kOpened + 10s) == Offsets{10s});
    const auto second = next_version(*first, kOpened);
    timetable.amend(*first, second);
    CHECK(timetable.take(kOpened + 100s)->task == second);
    CHECK(taken_until(timetable, kOpened + 100s) == Offsets{30s});
    CHECK_FALSE(timetable.taken_until(*first).has_value());
}

TEST_CASE("a version that disables leaves what was due before it to the one before") {
    Timetable timetable;
    const auto first = task_with("a", {every(10s)});
    timetable.open(first, kOpened);
    const auto disabled = next_version(*first, kOpened);
    disabled->enabled = false;
    timetable.supersede(*first, kOpened + 25s, disabled);
    CHECK(taken_until(timetable, kOpened + 100s) == Offsets{10s, 20s});
    CHECK(timetable.size() == 1);
    const auto enabled = next_version(*disabled, kOpened + 55s);
    enabled->enabled = true;
    timetable.supersede(*disabled, kOpened + 55s, enabled);
    CHECK(taken_until(timetable, kOpened + 70s) == Offsets{60s, 70s});
}

TEST_CASE("a stream with an end lets a version in that comes when nothing was left before the end") {
    Timetable timetable;
    const auto first = task_with("a", {every(10s)});
    timetable.open(first, kOpened);
    CHECK(taken_until(timetable, kOpened + 20s) == Offsets{10s, 20s});
    timetable.limit(*first, kOpened + 25s);
    CHECK(timetable.size() == 0);
    const auto second = next_version(*first, kOpened + 21s, {every(1s)});
    timetable.supersede(*first, kOpened + 21s, second);
    CHECK(timetable.size() == 1);
    CHECK(taken_until(timetable, kOpened + 60s) == Offsets{22s, 23s, 24s, 25s});
    CHECK(taken_until(timetable, kOpened + 25s + task::kSupersededKept).empty());
    CHECK(timetable.taken_until(*second) == kOpened + 25s);
    CHECK(taken_until(timetable, kOpened + 26s + task::kSupersededKept).empty());
    CHECK_FALSE(timetable.taken_until(*second).has_value());
}

TEST_CASE("limits cut and never lengthen, skipping passes over") {
    Timetable timetable;
    const auto task = task_with("a", {every(10s)});
    timetable.open(task, kOpened);
    timetable.limit(*task, kOpened + 20s);
    timetable.limit(*task, kOpened + 50s);
    timetable.open(task, kOpened + 60s);
    timetable.skip_until("a", kOpened + 10s);
    timetable.open(task_with("b", {every(10s, 1s)}), kOpened);
    timetable.limit_all(kOpened + 70s);
    CHECK(taken_until(timetable, Instant::max()) == Offsets{1s, 11s, 20s, 21s, 31s, 41s, 51s, 61s, 70s});
    CHECK(timetable.size() == 0);
    timetable.limit(*task_with("unknown", {}), kOpened);
    timetable.supersede(*task_with("unknown", {}), kOpened, task);
    CHECK_FALSE(timetable.next_due().has_value());
}

TEST_CASE("many streams behave as the plain model says") {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        INFO("seed " << seed);
        std::mt19937_64 random(seed);
        const auto below = [&random](std::uint64_t bound) { return random() % bound; };
        Timetable timetable;
        Model model;
        std::map<std::string, std::vector<TaskPointer>> versions;
        Instant now = kOpened;
        std::int64_t version = 0;
        for (int step = 0; step < 300; ++step) {
            const std::string id(1, static_cast<char>('a' + below(12)));
            const auto some_task = [&] {
                std::vector<task::Schedule> schedules;
                for (std::uint64_t i = below(3); i > 0; --i)
                    schedules.push_back(every(std::chrono::seconds{1 + below(20)}, std::chrono::seconds{below(5)}));
                if (below(4) == 0) schedules.push_back(*task::Schedule::at(now + std::chrono::seconds{below(60)}));
                auto made = task_with(id, std::move(schedules));
                made->enabled = below(8) != 0;
                made->version = ++version;
                made->effective_from = now + std::chrono::seconds{below(20)} - 10s;
                return made;
            };
            const Instant moment = now + std::chrono::seconds{below(40)} - 10s;
            // Any of the versions that there were of the task.
            const auto some_version = [&] { return versions[id][below(versions[id].size())]; };
            switch (versions[id].empty() ? 0 : below(11)) {
                case 0:
                case 1: {
                    const auto task = some_task();
                    const Instant limit = below(2) == 0 ? Instant::max() : moment;
                    versions[id].push_back(task);
                    timetable.open(task, now - 5s, limit);
                    model.open(task, now - 5s, limit);
                    break;
                }
                case 2: {
                    const auto changed = some_version();
                    timetable.limit(*changed, moment);
                    model.limit(*changed, moment);
                    break;
                }
                case 3: {
                    const auto changed = some_version();
                    const auto task = some_task();
                    versions[id].push_back(task);
                    timetable.amend(*changed, task);
                    model.amend(*changed, task);
                    break;
                }
                case 4: {
                    const auto changed = some_version();
                    timetable.supersede(*changed, moment, nullptr);
                    model.supersede(*changed, moment, nullptr);
                    break;
                }
                case 5:
                    timetable.skip_until(id, moment);
                    model.skip_until(id, moment);
                    break;
                case 6: {
                    const auto changed = some_version();
                    const auto task = some_task();
                    versions[id].push_back(task);
                    timetable.supersede(*changed, moment, task);
                    model.supersede(*changed, moment, task);
                    break;
                }
                case 7:
                    if (below(20) != 0) break;
                    timetable.limit_all(moment);
                    model.limit_all(moment);
                    break;
                case 8:
                    if (below(4) != 0) break;
                    timetable.finish_parked([&](const task::Task& task) { return task.id == id; });
                    model.finish_parked(id);
                    break;
                default: {
                    now += std::chrono::seconds{below(6)};
                    std::vector<std::string> taken;
                    Instant last = Instant::min();
                    while (const auto fire = timetable.take(now)) {
                        REQUIRE(fire->time >= last);
                        last = fire->time;
                        taken.push_back(Model::describe(*fire));
                    }
                    std::sort(taken.begin(), taken.end());
                    REQUIRE(taken == model.take(now));
                }
            }
            REQUIRE(timetable.next_due() == model.next_due());
        }
    }
}
