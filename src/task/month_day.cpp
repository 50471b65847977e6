// MonthDay: which day of a month it is. Pure; any thread.
#include "task/month_day.h"

#include <array>

namespace cloudtask::task {

namespace {

class MondaysToFridays final : public WorkingDays {
  public:
    bool contains(Date date) const override {
        const int weekday = weekday_of(date);
        return weekday != 0 && weekday != 6;
    }
};

int length_of(cctz::year_t year, int month) {
    constexpr std::array<int, 13> kDays{0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)) return 29;
    return kDays[static_cast<std::size_t>(month)];
}

// Sunday is 0. Sakamoto's method, for years from 1 on: this is asked for each month that a search passes.
int weekday_of_first(cctz::year_t year, int month) {
    constexpr std::array<int, 13> kShifts{0, 0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4};
    const auto y = static_cast<unsigned>(year) - (month < 3 ? 1U : 0U);
    return static_cast<int>((y + y / 4 - y / 100 + y / 400 + static_cast<unsigned>(kShifts[static_cast<std::size_t>(month)]) + 1U) % 7U);
}

int nth_weekday(const MonthDay& name, const Month& month) {
    const int first = 1 + (name.weekday - month.first_weekday + 7) % 7;
    if (!name.from_end) return first + 7 * (name.ordinal - 1);
    const int last = first + (month.days - first) / 7 * 7;
    return last - 7 * (name.ordinal - 1);
}

int nth_working_day(const MonthDay& name, const Month& month, const WorkingDays& working_days) {
    int left = name.ordinal;
    for (int step = 0; step < month.days; ++step) {
        const int day = name.from_end ? month.days - step : 1 + step;
        if (working_days.contains(Date(month.year, month.month, day)) && --left == 0) return day;
    }
    return 0;
}

int nearest_weekday(int day, const Month& month) {
    const int weekday = (month.first_weekday + day - 1) % 7;
    if (weekday == 6) return day > 1 ? day - 1 : day + 2;
    if (weekday == 0) return day < month.days ? day + 1 : day - 2;
    return day;
}

int nearest_working_day(int day, const Month& month, const WorkingDays& working_days) {
    if (day < 1 || day > month.days) return 0;
    if (&working_days == &mondays_to_fridays()) return nearest_weekday(day, month);
    const auto is_worked = [&](int each) {
        return each >= 1 && each <= month.days && working_days.contains(Date(month.year, month.month, each));
    };
    for (int away = 0; away < month.days; ++away) {
        if (is_worked(day - away)) return day - away;
        if (is_worked(day + away)) return day + away;
    }
    return 0;
}

}  // namespace

const WorkingDays& mondays_to_fridays() {
    static const MondaysToFridays days;
    return days;
}

int weekday_of(Date date) { return (static_cast<int>(cctz::get_weekday(date)) + 1) % 7; }

Month::Month(cctz::year_t of_year, int of_month)
    : year(of_year), month(of_month), days(length_of(of_year, of_month)), first_weekday(weekday_of_first(of_year, of_month)) {}

int MonthDay::in(const Month& month, const WorkingDays& working_days) const {
    const int counted = from_end ? month.days + 1 - ordinal : ordinal;
    int day = 0;
    switch (unit) {
        case Unit::day:
            day = counted;
            break;
        case Unit::weekday:
            day = nth_weekday(*this, month);
            break;
        case Unit::working_day:
            day = nth_working_day(*this, month, working_days);
            break;
        case Unit::nearest_working_day:
            day = nearest_working_day(counted, month, working_days);
            break;
    }
    return day >= 1 && day <= month.days ? day : 0;
}

std::uint32_t days_named(const std::vector<MonthDay>& names, const Month& month, const WorkingDays& working_days) {
    std::uint32_t days = 0;
    for (const MonthDay& name : names) days |= std::uint32_t{1} << name.in(month, working_days);
    return days & ~std::uint32_t{1};
}

}  // namespace cloudtask::task
