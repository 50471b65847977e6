// Lexicon: the words of one language, of which sentences about schedules are put together. Pure.
//
// A pattern names its parts in braces, in the order that the language wants them: what puts sentences together (schedule_words.cpp,
// cron_words.cpp) knows no grammar beyond singular and plural.
#pragma once

#include <fmt/args.h>
#include <fmt/format.h>

#include <array>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cloudtask::task {

// One thing, and several of them. Patterns with {n} or {list}.
struct Counted {
    std::string_view one, many;
};

// A field of the clock: all of its values, one of them, several of them ({list}).
struct ClockField {
    std::string_view all, one, many;
};

struct Lexicon {
    std::string_view comma, and_, or_;           // between the items of a list; `and_` and `or_` before the last
    std::string_view range;                      // {first}, {last}
    std::array<Counted, 6> units;                // microsecond, millisecond, second, minute, hour, day of 24 hours
    std::string_view unit_gap;                   // between "1 hour" and "30 minutes"
    std::array<std::string_view, 6> every_unit;  // "every second"
    std::string_view every;                      // {duration}
    std::array<std::string_view, 32> nth;        // from 1

    // Times of day.
    std::string_view at_times;     // {list}
    std::string_view every_spans;  // {every}, {list} of spans
    std::string_view span;         // {first}, {last}
    std::string_view on_the_hour;
    std::string_view from_second, from_minute;  // {every}, {n}: an interval that begins within the minute, within the hour
    ClockField seconds, minutes, of_minutes, of_hours;
    std::string_view seconds_of, minutes_of, seconds_of_minutes_of;  // {seconds}, {minutes}, {hours}

    // Days.
    std::string_view every_day;
    std::array<std::string_view, 7> weekday, weekdays;  // from Sunday: one, and all of them
    std::string_view on_weekdays;                       // {list}
    std::string_view one_of_weekdays;                   // {list}, joined by `or_`: "only if that is a Monday or a Friday"
    std::array<std::string_view, 13> month;             // from 1
    std::string_view every_month, some_months;          // {list}
    std::string_view on_days;                           // {list}, {months}
    std::string_view weekdays_in;                       // {days}, {list} of months
    std::string_view either;                            // {a}, {b}
    std::string_view both;                              // {dates}, {weekdays}
    std::string_view weekday_name;                      // {weekday} as an item of one_of_weekdays
    std::string_view weekday_of_month;                  // {day} as an item of one_of_weekdays
    std::array<std::string_view, 32> date;              // "1st", as an item of on_days
    std::string_view nth_weekday, nth_working_day;      // {nth}, {weekday}
    std::string_view nth_last_day, nth_last_weekday, nth_last_working_day;  // the same, counted from the end; for 2 and more
    std::string_view last_day, last_weekday, last_working_day;              // {weekday}
    std::string_view nearest;                                               // {day}: the working day nearest to it
    std::string_view in_years, years_named;                                 // {days}, {list}; {days}, {text} of the field

    // Calendars.
    std::string_view every_n_days, every_n_weeks, every_n_months;                              // {n}; weeks: {list}; months: {list} of days
    std::string_view every_n_months_if;                                                        // and {months}
    std::string_view counted_from_day, counted_from_week, counted_from_month, not_before_day;  // {date}

    // Other rules.
    std::string_view window;                       // {every}, {from}, {to}
    std::string_view next_day;                     // {time}
    std::string_view once;                         // {at}
    std::string_view at_moments, at_many_moments;  // {list}; {list}, {n}, {last}
    std::string_view manual;
    std::string_view counted_from, counted_from_epoch;  // {every}, {at}

    // Fields of a cron rule as they are written, where no sentence fits: second, minute, hour, day of month, month, day of week, year.
    std::string_view fields;                // {list}
    std::array<std::string_view, 7> field;  // {text}
    std::string_view days_match_either, days_match_both;

    // The sentence, and what follows it.
    std::string_view sentence;                                              // {when}, {days}
    std::string_view with_zone;                                             // {sentence}, {zone}
    std::string_view city_zone, other_zone, utc;                            // {name}
    std::span<const std::pair<std::string_view, std::string_view>> cities;  // where a zone has a name of its own in the language
    std::string_view also;                                                  // between what follows
    std::string_view start, end;                                            // {at}
    std::string_view jitter;                                                // {duration}
    std::string_view picked, picks;                                         // what H stands for: already picked, and not yet
    std::string_view gap_first_valid, gap_skip, overlap_first, overlap_second, overlap_both;
    std::string_view dropped, deferred, working_days;  // {list} of calendars; {name}
    std::string_view off;
};

extern const Lexicon kEnglish;
extern const Lexicon kChinese;

// A pattern with its parts in place: fill("{a} to {b}", {{"a", "1"}, {"b", "2"}}).
std::string fill(std::string_view pattern, std::initializer_list<std::pair<const char*, std::string>> parts);
// "1, 2 and 3"; `last` stands before the last item.
std::string joined(const Lexicon& lexicon, const std::vector<std::string>& items, std::string_view last);
inline std::string joined(const Lexicon& lexicon, const std::vector<std::string>& items) { return joined(lexicon, items, lexicon.and_); }

}  // namespace cloudtask::task
