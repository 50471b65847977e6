// A schedule in words: "at 18:00 on the last working day of every month, London time". One sentence for every kind of rule and every member
// of it, so that two schedules that fire at different times read differently. Pure; any thread.
//
// The sentences of a language are a table (src/task/words_<language>.cpp); another language is another such file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/task/schedule.h"

namespace cloudtask::task {

enum class Language : std::uint8_t { english, chinese };

// The sentence, without a full stop. What cannot be said well is said field by field. A rule with H is described as the task has it, or,
// of a schedule that is not adopted by one, by what H stands for.
std::string words(const Schedule& schedule, Language language);

// "en" or "zh", also with more behind ("zh_CN.UTF-8"); nothing for another one.
std::optional<Language> parse_language(std::string_view text);

}  // namespace cloudtask::task
