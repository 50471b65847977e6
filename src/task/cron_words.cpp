// A cron rule in words. Pure; any thread.
#include "task/cron_words.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "task/word_parts.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kMostListed = 12;  // times of day; years
constexpr std::size_t kMostSpans = 4;
constexpr std::uint64_t kEveryDate = 0xFFFFFFFE;
constexpr std::size_t kPlaceOfDays = 3, kPlaceOfWeekdays = 5, kMostFields = 7;

std::string clock_field(const Lexicon& lexicon, const ClockField& words, const std::vector<int>& values, std::size_t all) {
    if (values.size() == all) return std::string{words.all};
    return fill(values.size() == 1 ? words.one : words.many, {{"list", numbers_words(lexicon, values)}});
}

// The time of day of a cron rule.
class CronClock {
  public:
    CronClock(const CronRule::Named& named, const Lexicon& lexicon)
        : lexicon_(lexicon), seconds_(values_of(named.seconds)), minutes_(values_of(named.minutes)), hours_(values_of(named.hours)) {}

    bool every_hour() const { return hours_.size() == 24; }

    std::string words() const {
        if (every_hour()) return in_every_hour();
        if (seconds_.size() * minutes_.size() * hours_.size() <= kMostListed) return times_words(lexicon_, all_times());
        if (const auto spans = as_spans()) return *spans;
        return by_fields();
    }

  private:
    bool on_the_minute() const { return seconds_.size() == 1 && seconds_.front() == 0; }

    // The step of values that divide a minute or an hour evenly and all the way through.
    static std::optional<int> even_step(const std::vector<int>& values) {
        const auto step = common_distance(values);
        return step && *step * static_cast<int>(values.size()) == 60 ? step : std::nullopt;
    }

    std::string in_every_hour() const {
        const auto second_step = even_step(seconds_);
        const auto minute_step = even_step(minutes_);
        if (on_the_minute() && minute_step) return stepped(lexicon_.from_minute, std::chrono::minutes{*minute_step}, minutes_.front());
        if (minutes_.size() == 60 && second_step)
            return stepped(lexicon_.from_second, std::chrono::seconds{*second_step}, seconds_.front());
        if (on_the_minute() && minutes_.size() == 1 && minutes_.front() == 0) return std::string{lexicon_.on_the_hour};
        return by_fields();
    }

    std::string stepped(std::string_view pattern, Duration interval, int first) const {
        std::string every = every_words(lexicon_, interval);
        return first == 0 ? every : fill(pattern, {{"every", std::move(every)}, {"n", std::to_string(first)}});
    }

    std::vector<TimeOfDay> all_times() const {
        std::vector<TimeOfDay> times;
        for (const int h : hours_) {
            for (const int m : minutes_) {
                for (const int s : seconds_) times.push_back(std::chrono::hours{h} + std::chrono::minutes{m} + std::chrono::seconds{s});
            }
        }
        return times;
    }

    // An even interval through whole hours: "every 15 minutes from 09:00 to 10:45".
    std::optional<std::string> as_spans() const {
        Duration interval{};
        const auto minute_step = even_step(minutes_);
        if (seconds_.size() == 1 && minutes_.size() == 1) {
            interval = std::chrono::hours{1};
        } else if (seconds_.size() == 1 && minute_step) {
            interval = std::chrono::minutes{*minute_step};
        } else if (const auto second_step = even_step(seconds_); second_step && minutes_.size() == 60) {
            interval = std::chrono::seconds{*second_step};
        } else {
            return std::nullopt;
        }
        std::vector<std::string> spans;
        for (std::size_t begin = 0; begin < hours_.size();) {
            std::size_t end = begin + 1;
            while (end < hours_.size() && hours_[end] == hours_[end - 1] + 1) ++end;
            const TimeOfDay first =
                std::chrono::hours{hours_[begin]} + std::chrono::minutes{minutes_.front()} + std::chrono::seconds{seconds_.front()};
            const TimeOfDay last =
                std::chrono::hours{hours_[end - 1]} + std::chrono::minutes{minutes_.back()} + std::chrono::seconds{seconds_.back()};
            if (first == last) return std::nullopt;
            spans.push_back(span_words(lexicon_, first, last));
            begin = end;
        }
        if (spans.size() > kMostSpans) return std::nullopt;
        return fill(lexicon_.every_spans, {{"every", every_words(lexicon_, interval)}, {"list", joined(lexicon_, spans)}});
    }

    std::string by_fields() const {
        const std::string in_hours = clock_field(lexicon_, lexicon_.of_hours, hours_, 24);
        if (on_the_minute()) {
            return fill(lexicon_.minutes_of, {{"minutes", clock_field(lexicon_, lexicon_.minutes, minutes_, 60)}, {"hours", in_hours}});
        }
        const std::string at_seconds = clock_field(lexicon_, lexicon_.seconds, seconds_, 60);
        const std::string in_minutes = clock_field(lexicon_, lexicon_.of_minutes, minutes_, 60);
        if (minutes_.size() == 60 && every_hour()) return fill(lexicon_.seconds_of, {{"seconds", at_seconds}, {"minutes", in_minutes}});
        return fill(lexicon_.seconds_of_minutes_of, {{"seconds", at_seconds}, {"minutes", in_minutes}, {"hours", in_hours}});
    }

    const Lexicon& lexicon_;
    const std::vector<int> seconds_, minutes_, hours_;
};

// The days of a cron rule.
class CronDays {
  public:
    CronDays(const CronRule& cron, const CronRule::Named& named, const Lexicon& lexicon) : cron_(cron), named_(named), lexicon_(lexicon) {}

    // Empty: every day.
    std::string words() const {
        const bool every_date = (named_.dates & kEveryDate) == kEveryDate;
        const bool every_weekday = (named_.weekdays & kEveryWeekday) == kEveryWeekday;
        std::string text;
        if (every_date && every_weekday) {
            text = in_months(std::string{lexicon_.every_day});
            if (named_.months == kEveryMonth) text.clear();
        } else if (named_.either_day) {
            if (!every_date && !every_weekday) text = fill(lexicon_.either, {{"a", by_date()}, {"b", by_weekday()}});
            if (every_date || every_weekday) text = named_.months == kEveryMonth ? "" : in_months(std::string{lexicon_.every_day});
        } else if (every_weekday) {
            text = by_date();
        } else if (every_date) {
            text = by_weekday();
        } else {
            text = fill(lexicon_.both, {{"dates", by_date()}, {"weekdays", one_of_weekdays()}});
        }
        return in_years(std::move(text));
    }

  private:
    std::string by_date() const {
        std::vector<std::string> days;
        const std::vector<int> dates = values_of(named_.dates & kEveryDate);
        for (std::size_t begin = 0; begin < dates.size();) {
            std::size_t end = begin + 1;
            while (end < dates.size() && dates[end] == dates[end - 1] + 1) ++end;
            const auto date = [&](std::size_t i) { return std::string{lexicon_.date[static_cast<std::size_t>(dates[i])]}; };
            if (end - begin >= 3) {
                days.push_back(fill(lexicon_.range, {{"first", date(begin)}, {"last", date(end - 1)}}));
            } else {
                for (std::size_t i = begin; i < end; ++i) days.push_back(date(i));
            }
            begin = end;
        }
        for (const MonthDay& day : named_.date_names) days.push_back(day_words(lexicon_, day));
        return days_of_months_words(lexicon_, days, named_.months);
    }

    std::string by_weekday() const {
        std::string plain;
        if (named_.weekdays != 0) {
            const std::string list = weekdays_words(lexicon_, named_.weekdays, lexicon_.weekdays);
            plain = in_months(fill(lexicon_.on_weekdays, {{"list", list}}));
        }
        if (named_.weekday_names.empty()) return plain;
        std::vector<std::string> days;
        for (const MonthDay& day : named_.weekday_names) days.push_back(day_words(lexicon_, day));
        const std::string of_months = days_of_months_words(lexicon_, days, named_.months);
        return plain.empty() ? of_months : fill(lexicon_.either, {{"a", plain}, {"b", of_months}});
    }

    std::string one_of_weekdays() const {
        std::vector<std::string> items;
        for (int n = 1; n <= 7; ++n) {
            if ((named_.weekdays >> n % 7 & 1) == 0) continue;
            items.push_back(fill(lexicon_.weekday_name, {{"weekday", std::string{lexicon_.weekday[static_cast<std::size_t>(n % 7)]}}}));
        }
        for (const MonthDay& day : named_.weekday_names)
            items.push_back(fill(lexicon_.weekday_of_month, {{"day", day_words(lexicon_, day)}}));
        return fill(lexicon_.one_of_weekdays, {{"list", joined(lexicon_, items, lexicon_.or_)}});
    }

    std::string in_months(std::string days) const {
        if (named_.months == kEveryMonth) return days;
        return fill(lexicon_.weekdays_in, {{"days", std::move(days)}, {"list", months_words(lexicon_, named_.months)}});
    }

    std::string in_years(std::string days) const {
        if (named_.years.empty()) return days;
        if (days.empty()) days = lexicon_.every_day;
        if (named_.years.size() <= kMostListed || common_distance(named_.years) == 1) {
            return fill(lexicon_.in_years, {{"days", std::move(days)}, {"list", numbers_words(lexicon_, named_.years)}});
        }
        const std::string& text = cron_.text();
        return fill(lexicon_.years_named, {{"days", std::move(days)}, {"text", text.substr(text.rfind(' ') + 1)}});
    }

    const CronRule& cron_;
    const CronRule::Named& named_;
    const Lexicon& lexicon_;
};

// The fields as they are written, but for those that name everything.
std::string fields_as_written(const CronRule& cron, bool either_day, const Lexicon& lexicon) {
    std::vector<std::string> fields;
    for (std::size_t begin = 0; begin < cron.text().size();) {
        const std::size_t end = std::min(cron.text().find(' ', begin), cron.text().size());
        fields.push_back(cron.text().substr(begin, end - begin));
        begin = end + 1;
    }
    const std::size_t shift = fields.size() == 5 ? 1 : 0;  // no field for seconds
    std::vector<std::string> items;
    bool day_fields[2] = {false, false};
    for (std::size_t i = 0; i < fields.size() && i + shift < kMostFields; ++i) {
        if (fields[i] == "*" || fields[i] == "?") continue;
        if (i + shift == kPlaceOfDays) day_fields[0] = true;
        if (i + shift == kPlaceOfWeekdays) day_fields[1] = true;
        items.push_back(fill(lexicon.field[i + shift], {{"text", fields[i]}}));
    }
    if (day_fields[0] && day_fields[1]) items.emplace_back(either_day ? lexicon.days_match_either : lexicon.days_match_both);
    return fill(lexicon.fields, {{"list", joined(lexicon, items, lexicon.comma)}});
}

}  // namespace

RuleWords cron_words(const CronRule& cron, bool picked, const Lexicon& lexicon) {
    const CronRule::Named named = cron.named();
    if (cron.is_hashed() && !picked) return {fields_as_written(cron, named.either_day, lexicon), {}};
    const CronClock clock{named, lexicon};
    RuleWords words{clock.words(), CronDays{cron, named, lexicon}.words()};
    if (words.days.empty() && !clock.every_hour()) words.days = lexicon.every_day;
    return words;
}

}  // namespace cloudtask::task
