// Parts of sentences about schedules that several kinds of rules need: intervals, times of day, days of months. Pure; any thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cloudtask/core/clock.h"
#include "task/lexicon.h"
#include "task/month_day.h"
#include "task/time_of_day.h"
#include "task/zone.h"

namespace cloudtask::task {

// "1 hour 30 minutes".
std::string duration_words(const Lexicon& lexicon, Duration duration);
// "every hour", "every 90 seconds".
std::string every_words(const Lexicon& lexicon, Duration interval);

// "0, 7 and 10 to 20": three and more in a row are a range. `numbers` in order, each once.
std::string numbers_words(const Lexicon& lexicon, const std::vector<int>& numbers);

// "at 09:00 and 17:30", or, of four and more at equal distances, "every 15 minutes from 09:00 to 10:45". In order, at least one.
std::string times_words(const Lexicon& lexicon, const std::vector<TimeOfDay>& times);
std::string span_words(const Lexicon& lexicon, TimeOfDay first, TimeOfDay last);

// "Mondays and Fridays to Sundays". Bit 0: Sunday.
std::string weekdays_words(const Lexicon& lexicon, std::uint64_t weekdays, const std::array<std::string_view, 7>& names);
// "last Friday", "15th".
std::string day_words(const Lexicon& lexicon, const MonthDay& day);
// "January and March to June". Bit 1: January.
std::string months_words(const Lexicon& lexicon, std::uint64_t months);
// "on the 1st and the last day of every month".
std::string days_of_months_words(const Lexicon& lexicon, const std::vector<std::string>& days, std::uint64_t months);
inline constexpr std::uint64_t kEveryMonth = 0x1FFE;
inline constexpr std::uint64_t kEveryWeekday = 0x7F;

// "2026-12-24 18:00" on the wall of the zone; with the offset where the wall shows that time twice.
std::string moment_words(Instant instant, const Zone& zone);
// "London time".
std::string zone_words(const Lexicon& lexicon, const std::string& name);

// The values of a set of bits, in order.
std::vector<int> values_of(std::uint64_t bits);
// The distance between all neighbours of a list of at least two; nothing if they differ.
template <class Value>
std::optional<Value> common_distance(const std::vector<Value>& values) {
    if (values.size() < 2) return std::nullopt;
    for (std::size_t i = 2; i < values.size(); ++i) {
        if (values[i] - values[i - 1] != values[1] - values[0]) return std::nullopt;
    }
    return values[1] - values[0];
}

}  // namespace cloudtask::task
