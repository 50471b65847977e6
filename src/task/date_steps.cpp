// Arithmetic with dates and times: see date_steps.h. Pure; any thread.
#include "task/date_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "task/moment.h"

namespace cloudtask::task {

namespace {

using StepUnit = DateStep::Unit;

constexpr std::array<const char*, 7> kFullDayNames{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::array<const char*, 12> kFullMonthNames{"January", "February", "March",     "April",   "May",      "June",
                                                      "July",    "August",   "September", "October", "November", "December"};
constexpr std::string_view kDateCodes = "YymdjuaAbBGVF%";
constexpr std::string_view kTimeCodes = "HMSTzZs";

int iso_weekday(Date date) {
    const int day = weekday_of(date);
    return day == 0 ? 7 : day;
}

// The same day so many months on, or the last of that month.
Date months_on(Date date, int months) {
    const cctz::civil_month month = cctz::civil_month{date} + months;
    const Date last = Date{month + 1} - 1;
    return std::min(last, Date{month} + (date.day() - 1));
}

bool in_step_years(cctz::year_t year) { return year >= 1970 && year <= 9999; }

// The |amount|th working day after (before) `date`.
std::optional<Date> working_days_on(Date date, int amount, const WorkingDays& working_days) {
    const int direction = amount < 0 ? -1 : 1;
    int left = std::abs(amount);
    // A calendar may have a long stretch without any, or none at all.
    for (int looked_at = 0; looked_at < 3 * 366 + 10 * std::abs(amount); ++looked_at) {
        date += direction;
        if (!in_step_years(date.year())) return std::nullopt;
        if (working_days.contains(date) && --left == 0) return date;
    }
    return std::nullopt;
}

Date first_day_of(Date date, StepUnit unit) {
    switch (unit) {
        case StepUnit::week:
            return date - (iso_weekday(date) - 1);
        case StepUnit::month:
            return Date{cctz::civil_month{date}};
        case StepUnit::quarter:
            return Date{date.year(), (date.month() - 1) / 3 * 3 + 1, 1};
        case StepUnit::year:
            return Date{cctz::civil_year{date}};
        default:
            return date;
    }
}

Date last_day_of(Date date, StepUnit unit) {
    const Date start = first_day_of(date, unit);
    switch (unit) {
        case StepUnit::week:
            return start + 6;
        case StepUnit::month:
            return months_on(start, 1) - 1;
        case StepUnit::quarter:
            return months_on(start, 3) - 1;
        case StepUnit::year:
            return months_on(start, 12) - 1;
        default:
            return date;
    }
}

Result<Date> added(Date date, const DateStep& step, const WorkingDays& working_days) {
    switch (step.unit) {
        case StepUnit::working_day:
            if (const auto found = working_days_on(date, step.amount, working_days)) return *found;
            return fail(Errc::invalid_argument, "there are not {} working days {} {}", std::abs(step.amount),
                        step.amount < 0 ? "shortly before" : "shortly after",
                        fmt::format("{}-{:02}-{:02}", date.year(), date.month(), date.day()));
        case StepUnit::week:
            return date + 7 * step.amount;
        case StepUnit::month:
            return months_on(date, step.amount);
        case StepUnit::quarter:
            return months_on(date, 3 * step.amount);
        case StepUnit::year:
            return months_on(date, 12 * step.amount);
        default:
            return date + step.amount;
    }
}

int seconds_of(StepUnit unit) { return unit == StepUnit::second ? 1 : unit == StepUnit::minute ? 60 : unit == StepUnit::hour ? 3600 : 0; }

std::string compact_offset(const WallMoment& moment) {
    std::string text = moment.zone.offset_text(moment.instant);
    text.erase(std::remove(text.begin(), text.end(), ':'), text.end());
    return text;
}

std::string formatted_code(const WallMoment& moment, char code) {
    const LocalTime local = moment.local();
    const Date date{local};
    const auto day = static_cast<std::size_t>(weekday_of(date));
    const auto month = static_cast<std::size_t>(date.month() - 1);
    const Date thursday = date + (4 - iso_weekday(date));  // the year and week of ISO 8601 are those of its Thursday
    switch (code) {
        case 'Y':
            return fmt::format("{:04}", date.year());
        case 'y':
            return fmt::format("{:02}", date.year() % 100);
        case 'm':
            return fmt::format("{:02}", date.month());
        case 'd':
            return fmt::format("{:02}", date.day());
        case 'j':
            return fmt::format("{:03}", cctz::get_yearday(date));
        case 'u':
            return std::to_string(iso_weekday(date));
        case 'a':
            return std::string{kFullDayNames[day]}.substr(0, 3);
        case 'A':
            return kFullDayNames[day];
        case 'b':
            return std::string{kFullMonthNames[month]}.substr(0, 3);
        case 'B':
            return kFullMonthNames[month];
        case 'G':
            return fmt::format("{:04}", thursday.year());
        case 'V':
            return fmt::format("{:02}", (cctz::get_yearday(thursday) - 1) / 7 + 1);
        case 'F':
            return fmt::format("{:04}-{:02}-{:02}", date.year(), date.month(), date.day());
        case 'H':
            return fmt::format("{:02}", local.hour());
        case 'M':
            return fmt::format("{:02}", local.minute());
        case 'S':
            return fmt::format("{:02}", local.second());
        case 'T':
            return fmt::format("{:02}:{:02}:{:02}", local.hour(), local.minute(), local.second());
        case 'z':
            return compact_offset(moment);
        case 'Z':
            return moment.zone.abbreviation(moment.instant);
        case 's':
            return std::to_string(moment.instant.time_since_epoch().count());
        default:
            return "%";
    }
}

}  // namespace

Result<> apply_step(const DateStep& step, const WorkingDays& working_days, WallMoment& moment) {
    if (step.kind == DateStep::Kind::add && seconds_of(step.unit) != 0) {
        moment.instant += std::chrono::seconds{std::int64_t{step.amount} * seconds_of(step.unit)};
    } else {
        const LocalTime before = moment.local();
        Date date{before};
        LocalTime time = before;
        if (step.kind == DateStep::Kind::add) {
            const auto to = added(date, step, working_days);
            if (!to) return propagate(to);
            date = *to;
            time = LocalTime{date} + (before - LocalTime{Date{before}});
        } else if (step.unit == StepUnit::hour || step.unit == StepUnit::minute) {
            const int length = seconds_of(step.unit);
            const auto into = (before - LocalTime{date}) % length;
            time = before - into + (step.kind == DateStep::Kind::end_of ? length - 1 : 0);
        } else if (step.kind == DateStep::Kind::start_of) {
            date = first_day_of(date, step.unit);
            time = LocalTime{date};
        } else {
            date = last_day_of(date, step.unit);
            time = LocalTime{date + 1} - 1;
        }
        moment.date = date;
        if (!moment.is_date) moment.instant = std::chrono::floor<std::chrono::seconds>(instant_of(time, moment.zone));
    }
    if (!in_step_years(moment.local().year()))
        return fail(Errc::invalid_argument, "a date of an expression is outside the years 1970 to 9999");
    return {};
}

std::string format_problem(std::string_view format, bool is_date) {
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] != '%') continue;
        ++i;
        if (i == format.size()) return "ends with a %";
        if (kDateCodes.find(format[i]) != std::string_view::npos) continue;
        if (kTimeCodes.find(format[i]) == std::string_view::npos) return fmt::format("has %{}, which is not known", format[i]);
        if (is_date) return fmt::format("has %{}, and a date has no time of day: begin with fire_time", format[i]);
    }
    return {};
}

std::string format_moment(const WallMoment& moment, std::string_view format) {
    if (format.empty()) {
        std::string text = formatted_code(moment, 'F');
        if (moment.is_date) return text;
        text += 'T' + formatted_code(moment, 'T');
        return text + (moment.zone.name() == "UTC" ? "Z" : moment.zone.offset_text(moment.instant));
    }
    std::string text;
    for (std::size_t i = 0; i < format.size(); ++i) {
        if (format[i] == '%' && i + 1 < format.size()) {
            text += formatted_code(moment, format[++i]);
        } else {
            text += format[i];
        }
    }
    return text;
}

}  // namespace cloudtask::task
