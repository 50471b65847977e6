// The names of the domain's enumerations, and the ids of runs. Pure; any thread.
#include "cloudtask/task/types.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "cloudtask/core/check.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::task {

namespace {

template <class Enum, std::size_t N>
using Names = std::array<std::pair<Enum, std::string_view>, N>;

constexpr Names<RunState, 8> kRunStates{{{RunState::pending, "PENDING"},
                                         {RunState::running, "RUNNING"},
                                         {RunState::succeeded, "SUCCEEDED"},
                                         {RunState::failed, "FAILED"},
                                         {RunState::timed_out, "TIMED_OUT"},
                                         {RunState::stopped, "STOPPED"},
                                         {RunState::lost, "LOST"},
                                         {RunState::skipped, "SKIPPED"}}};
constexpr Names<Trigger, 4> kTriggers{
    {{Trigger::schedule, "schedule"}, {Trigger::manual, "manual"}, {Trigger::rerun, "rerun"}, {Trigger::retry, "retry"}}};
constexpr Names<Misfire, 3> kMisfires{{{Misfire::skip, "skip"}, {Misfire::once, "once"}, {Misfire::all, "all"}}};
constexpr Names<Overlap, 4> kOverlaps{
    {{Overlap::forbid, "forbid"}, {Overlap::allow, "allow"}, {Overlap::queue, "queue"}, {Overlap::replace, "replace"}}};
constexpr Names<Mode, 3> kModes{{{Mode::single, "single"}, {Mode::shards, "shards"}, {Mode::broadcast, "broadcast"}}};
constexpr Names<Guarantee, 2> kGuarantees{{{Guarantee::at_most_once, "at_most_once"}, {Guarantee::at_least_once, "at_least_once"}}};

template <class Enum, std::size_t N>
std::string_view name_of(const Names<Enum, N>& names, Enum value) {
    for (const auto& [named, name] : names) {
        if (named == value) return name;
    }
    check_failed(__FILE__, __LINE__, "value is one of the enumerators", "an enumeration holds a value that it does not have");
}

template <class Enum, std::size_t N>
Result<Enum> parse(const Names<Enum, N>& names, std::string_view text, std::string_view what) {
    std::string allowed;
    for (const auto& [value, name] : names) {
        if (name == text) return value;
        allowed += allowed.empty() ? "" : ", ";
        allowed += name;
    }
    return fail(Errc::invalid_argument, "'{}' is not a {}; allowed: {}", text.substr(0, 64), what, allowed);
}

}  // namespace

bool is_terminal(RunState state) { return state != RunState::pending && state != RunState::running; }

std::string_view to_string(RunState state) { return name_of(kRunStates, state); }
std::string_view to_string(Trigger trigger) { return name_of(kTriggers, trigger); }
std::string_view to_string(Misfire misfire) { return name_of(kMisfires, misfire); }
std::string_view to_string(Overlap overlap) { return name_of(kOverlaps, overlap); }
std::string_view to_string(Guarantee guarantee) { return name_of(kGuarantees, guarantee); }
std::string_view to_string(Mode mode) { return name_of(kModes, mode); }

void adopt_schedules(Task& task) {
    const std::string& id = definition_id(task);  // the pieces of a task fire together
    for (Schedule& schedule : task.schedules) schedule = schedule.for_task(id).with_calendars(task.calendars);
}

Instant tenure_end(const Task& next) { return next.enabled ? next.effective_from : next.updated_at; }

Result<RunState> parse_run_state(std::string_view text) { return parse(kRunStates, text, "state of a run"); }
Result<Trigger> parse_trigger(std::string_view text) { return parse(kTriggers, text, "trigger of a run"); }

std::string run_id(std::string_view placed_id, Instant fire_time, std::int64_t attempt) {
    return make_named_uuid(fire_time, fmt::format("{}/{}/{}", placed_id, fire_time.time_since_epoch().count(), attempt));
}

}  // namespace cloudtask::task
