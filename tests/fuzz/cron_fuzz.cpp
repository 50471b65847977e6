// Fuzzing the cron parser: any text is a rule or has faults; a rule's matches go up, and what it is written as reads back as the same.
#include "tests/fuzz/target.h"

#include "task/cron.h"

using namespace cloudtask;
using task::CronRule;
using task::LocalTime;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size > 256) return 0;  // as long as an expression may be
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    std::vector<task::CronFault> faults;
    const auto rule = CronRule::parse(text, faults, "018f0000-0000-7000-8000-000000000001");
    fuzz::require(rule.has_value() == faults.empty(), "a rule has no faults, and what is no rule has some");
    if (!rule) return 0;
    faults.clear();
    fuzz::require(CronRule::parse(rule->text(), faults).has_value(), "what is written reads back");
    for (const int year : {1970, 2026, 2100, 2398}) {
        LocalTime from(year, 2, 28, 23, 59, 30);
        for (int i = 0; i < 20; ++i) {
            const fuzz::Bound bound{"a match"};
            const auto next = rule->next(from);
            if (!next) break;
            fuzz::require(*next >= from, "matches go up");
            from = *next + 1;
        }
    }
    return 0;
}
