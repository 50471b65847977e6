// Fuzzing schedules from their JSON: no crash, fires strictly increase, each search ends in time, the canonical form is one, words are
// there.
#include "tests/fuzz/target.h"

#include "cloudtask/core/json.h"
#include "cloudtask/task/preview.h"
#include "cloudtask/task/schedule_words.h"

using namespace cloudtask;
using task::Schedule;

namespace {

std::string written(const Schedule& schedule) {
    json::Writer out;
    schedule.write(out);
    return out.text();
}

void check_fires(const Schedule& schedule) {
    for (const std::int64_t second :
         {std::int64_t{-1}, std::int64_t{1'774'742'400}, std::int64_t{4'102'444'800}, std::int64_t{13'569'465'000}}) {
        Instant after{std::chrono::seconds{second}};
        for (int i = 0; i < 12; ++i) {
            const fuzz::Bound bound{"a fire"};
            const auto fire = schedule.next_fire(after);
            fuzz::require(schedule.next(after) == (fire ? std::optional{fire->at} : std::nullopt), "next() and next_fire() agree");
            if (!fire) break;
            fuzz::require(fire->at > after, "fires strictly increase");
            fuzz::require(fire->nominal <= fire->at, "no fire is before the instant that the rule names");
            after = fire->at;
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 4096) return 0;
    const auto document = json::parse({reinterpret_cast<const char*>(data), size});
    if (!document) return 0;
    Faults faults;
    const auto schedule = Schedule::read(*document, "", faults);
    fuzz::require(schedule.has_value() == faults.empty(), "a schedule has no faults, and what is none has some");
    if (!schedule) return 0;
    const std::string canonical = written(*schedule);
    Faults again;
    const auto reread = Schedule::read(*json::parse(canonical), "", again);
    fuzz::require(reread.has_value() && written(*reread) == canonical, "what is written reads back, and is written the same");
    fuzz::require(*reread == *schedule, "what reads back is the same");
    const Schedule adopted = schedule->for_task("018f0000-0000-7000-8000-000000000001");
    for (const auto language : {task::Language::english, task::Language::chinese}) {
        fuzz::require(!task::words(*schedule, language).empty() && !task::words(adopted, language).empty(), "every rule has words");
    }
    check_fires(*schedule);
    check_fires(adopted);
    fuzz::require(task::preview({*schedule, adopted}, Instant{}, 5).size() <= 5, "no more than was asked for");
    return 0;
}
