// Parts of sentences about schedules. Pure; any thread.
#include "task/word_parts.h"

#include <algorithm>
#include <bit>
#include <chrono>

namespace cloudtask::task {

namespace {

constexpr std::size_t kLeastProgression = 4;  // fewer times are listed
constexpr std::size_t kLeastRange = 3;

using namespace std::chrono_literals;
// From the smallest; as Lexicon::units.
constexpr std::array<Duration, 6> kUnitLengths{1us, 1ms, 1s, 1min, 1h, 24h};

std::string counted(const Counted& words, std::int64_t n) {
    return n == 1 ? std::string{words.one} : fill(words.many, {{"n", std::to_string(n)}});
}

// Names of values in a row: three and more become a range.
std::vector<std::string> with_ranges(const Lexicon& lexicon, const std::vector<int>& values, const auto& name_of) {
    std::vector<std::string> items;
    for (std::size_t begin = 0; begin < values.size();) {
        std::size_t end = begin + 1;
        while (end < values.size() && values[end] == values[end - 1] + 1) ++end;
        if (end - begin >= kLeastRange) {
            items.push_back(fill(lexicon.range, {{"first", name_of(values[begin])}, {"last", name_of(values[end - 1])}}));
        } else {
            for (std::size_t i = begin; i < end; ++i) items.push_back(name_of(values[i]));
        }
        begin = end;
    }
    return items;
}

// A place of the world: "America/New_York"; not "US/Central", "Etc/GMT+5", "America/Indiana/Knox", of which the last part says little.
std::string_view city_of(std::string_view name) {
    constexpr std::array<std::string_view, 9> kRegions{"Africa", "America", "Antarctica", "Asia",   "Atlantic",
                                                       "Arctic", "Europe",  "Indian",     "Pacific"};
    const std::size_t slash = name.find('/');
    if (slash == std::string_view::npos || name.find('/', slash + 1) != std::string_view::npos) return {};
    const std::string_view region = name.substr(0, slash);
    return std::find(kRegions.begin(), kRegions.end(), region) == kRegions.end() ? std::string_view{} : name.substr(slash + 1);
}

}  // namespace

std::string fill(std::string_view pattern, std::initializer_list<std::pair<const char*, std::string>> parts) {
    fmt::dynamic_format_arg_store<fmt::format_context> arguments;
    for (const auto& [name, text] : parts) arguments.push_back(fmt::arg(name, std::cref(text)));
    return fmt::vformat(pattern, arguments);
}

std::string joined(const Lexicon& lexicon, const std::vector<std::string>& items, std::string_view last) {
    std::string text;
    for (std::size_t i = 0; i < items.size(); ++i) {
        if (i > 0) text += i + 1 == items.size() ? last : lexicon.comma;
        text += items[i];
    }
    return text;
}

std::vector<int> values_of(std::uint64_t bits) {
    std::vector<int> values;
    for (; bits != 0; bits &= bits - 1) values.push_back(std::countr_zero(bits));
    return values;
}

std::string duration_words(const Lexicon& lexicon, Duration duration) {
    std::string text;
    for (std::size_t unit = kUnitLengths.size(); unit-- > 0;) {
        // Days only where nothing is left: "36 hours".
        const Duration length = kUnitLengths[unit];
        if (length >= 24h && duration % length != Duration::zero()) continue;
        const std::int64_t n = duration / length;
        if (n == 0) continue;
        duration -= n * length;
        if (!text.empty()) text += lexicon.unit_gap;
        text += counted(lexicon.units[unit], n);
    }
    return text;
}

std::string every_words(const Lexicon& lexicon, Duration interval) {
    const auto unit = std::find(kUnitLengths.begin(), kUnitLengths.end(), interval);
    if (unit != kUnitLengths.end()) return std::string{lexicon.every_unit[static_cast<std::size_t>(unit - kUnitLengths.begin())]};
    return fill(lexicon.every, {{"duration", duration_words(lexicon, interval)}});
}

std::string numbers_words(const Lexicon& lexicon, const std::vector<int>& numbers) {
    return joined(lexicon, with_ranges(lexicon, numbers, [](int number) { return std::to_string(number); }));
}

std::string span_words(const Lexicon& lexicon, TimeOfDay first, TimeOfDay last) {
    return fill(lexicon.span, {{"first", format_time_of_day(first)}, {"last", format_time_of_day(last)}});
}

std::string times_words(const Lexicon& lexicon, const std::vector<TimeOfDay>& times) {
    if (const auto distance = common_distance(times); distance && times.size() >= kLeastProgression) {
        return fill(lexicon.every_spans,
                    {{"every", every_words(lexicon, *distance)}, {"list", span_words(lexicon, times.front(), times.back())}});
    }
    std::vector<std::string> items;
    for (const TimeOfDay time : times) items.push_back(format_time_of_day(time));
    return fill(lexicon.at_times, {{"list", joined(lexicon, items)}});
}

std::string weekdays_words(const Lexicon& lexicon, std::uint64_t weekdays, const std::array<std::string_view, 7>& names) {
    // A week begins on Monday: Sunday is 7.
    const std::vector<int> values = values_of((weekdays & 0x7E) | (weekdays & 1) << 7);
    return joined(lexicon,
                  with_ranges(lexicon, values, [&](int weekday) { return std::string{names[static_cast<std::size_t>(weekday % 7)]}; }));
}

std::string day_words(const Lexicon& lexicon, const MonthDay& day) {
    const auto nth = static_cast<std::size_t>(day.ordinal);
    const bool last = day.from_end && day.ordinal == 1;
    std::string_view pattern;
    switch (day.unit) {
        case MonthDay::Unit::day:
            if (!day.from_end) return std::string{lexicon.date[nth]};
            pattern = last ? lexicon.last_day : lexicon.nth_last_day;
            break;
        case MonthDay::Unit::weekday:
            pattern = last ? lexicon.last_weekday : day.from_end ? lexicon.nth_last_weekday : lexicon.nth_weekday;
            break;
        case MonthDay::Unit::working_day:
            pattern = last ? lexicon.last_working_day : day.from_end ? lexicon.nth_last_working_day : lexicon.nth_working_day;
            break;
        case MonthDay::Unit::nearest_working_day: {
            MonthDay meant = day;
            meant.unit = MonthDay::Unit::day;
            return fill(lexicon.nearest, {{"day", day_words(lexicon, meant)}});
        }
    }
    const std::string_view weekday = lexicon.weekday[static_cast<std::size_t>(day.weekday)];
    return fill(pattern, {{"nth", std::string{lexicon.nth[nth]}}, {"weekday", std::string{weekday}}});
}

std::string months_words(const Lexicon& lexicon, std::uint64_t months) {
    return joined(lexicon, with_ranges(lexicon, values_of(months),
                                       [&](int month) { return std::string{lexicon.month[static_cast<std::size_t>(month)]}; }));
}

std::string days_of_months_words(const Lexicon& lexicon, const std::vector<std::string>& days, std::uint64_t months) {
    const std::string of =
        months == kEveryMonth ? std::string{lexicon.every_month} : fill(lexicon.some_months, {{"list", months_words(lexicon, months)}});
    return fill(lexicon.on_days, {{"list", joined(lexicon, days)}, {"months", of}});
}

std::string moment_words(Instant instant, const Zone& zone) {
    const SysSeconds seconds = std::chrono::floor<std::chrono::seconds>(instant);
    const LocalTime local = zone.local(seconds);
    std::string text = fmt::format("{:04}-{:02}-{:02} {:02}:{:02}", local.year(), local.month(), local.day(), local.hour(), local.minute());
    const auto decimals = (instant - seconds).count();
    if (local.second() != 0 || decimals != 0) text += fmt::format(":{:02}", local.second());
    if (decimals != 0) text += fmt::format(".{:06}", decimals);
    if (zone.instants(local).repeated) text += " " + zone.offset_text(seconds);
    return text;
}

std::string zone_words(const Lexicon& lexicon, const std::string& name) {
    if (name == "UTC" || name == "Etc/UTC") return std::string{lexicon.utc};
    const auto known = std::find_if(lexicon.cities.begin(), lexicon.cities.end(), [&](const auto& city) { return city.first == name; });
    if (known != lexicon.cities.end()) return fill(lexicon.city_zone, {{"name", std::string{known->second}}});
    std::string city{city_of(name)};
    // A language with names of its own shows what it has none for as it is written.
    if (city.empty() || !lexicon.cities.empty()) return fill(lexicon.other_zone, {{"name", name}});
    std::replace(city.begin(), city.end(), '_', ' ');
    return fill(lexicon.city_zone, {{"name", city}});
}

}  // namespace cloudtask::task
