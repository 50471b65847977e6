// A cron rule in words. Pure; any thread.
#pragma once

#include <string>

#include "task/cron.h"
#include "task/lexicon.h"

namespace cloudtask::task {

struct RuleWords {
    std::string when;  // "at 09:00"
    std::string days;  // "on Mondays to Fridays"; empty: needs none
};

// What the rule says. `picked`: the rule is a task's, so what H stands for is known.
RuleWords cron_words(const CronRule& cron, bool picked, const Lexicon& lexicon);

}  // namespace cloudtask::task
