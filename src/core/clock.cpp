// The system's clocks, and instants as RFC 3339 text. Calendar arithmetic is std::chrono's; no time zones here.
#include "cloudtask/core/clock.h"

#include <cctype>

namespace cloudtask {

namespace {

// Reads exactly `digits` decimal digits from the front of `text`; nullopt-like -1 when they are not there.
int take_number(std::string_view& text, int digits) {
    if (text.size() < static_cast<std::size_t>(digits)) return -1;
    int number = 0;
    for (int i = 0; i < digits; ++i) {
        const char c = text[static_cast<std::size_t>(i)];
        if (c < '0' || c > '9') return -1;
        number = number * 10 + (c - '0');
    }
    text.remove_prefix(static_cast<std::size_t>(digits));
    return number;
}

bool take(std::string_view& text, std::string_view any_of) {
    if (text.empty() || any_of.find(text.front()) == std::string_view::npos) return false;
    text.remove_prefix(1);
    return true;
}

}  // namespace

Instant SystemClock::now() const { return std::chrono::time_point_cast<Duration>(std::chrono::system_clock::now()); }

SteadyInstant SystemClock::steady_now() const { return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now()); }

std::string format_instant(Instant instant) {
    using namespace std::chrono;
    const auto day = floor<days>(instant);
    const year_month_day date{day};
    const hh_mm_ss<Duration> time{instant - day};
    std::string text =
        fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                    static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(), time.seconds().count());
    const auto micros = time.subseconds().count();
    if (micros % 1000 != 0) {
        text += fmt::format(".{:06}", micros);
    } else if (micros != 0) {
        text += fmt::format(".{:03}", micros / 1000);
    }
    return text + "Z";
}

Result<Instant> parse_instant(std::string_view text) {
    using namespace std::chrono;
    const auto refuse = [whole = text] {
        return fail(Errc::invalid_argument, "'{}' is not an RFC 3339 instant such as 2026-11-21T02:42:11Z", whole.substr(0, 64));
    };
    const int year_number = take_number(text, 4);
    if (year_number < 1970 || !take(text, "-")) return refuse();
    const int month_number = take_number(text, 2);
    if (!take(text, "-")) return refuse();
    const int day_number = take_number(text, 2);
    if (!take(text, "Tt ")) return refuse();
    const int hour = take_number(text, 2);
    if (!take(text, ":")) return refuse();
    const int minute = take_number(text, 2);
    if (!take(text, ":")) return refuse();
    const int second = take_number(text, 2);
    if (month_number < 1 || day_number < 1 || hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59)
        return refuse();
    const year_month_day date{year{year_number}, month{static_cast<unsigned>(month_number)}, day{static_cast<unsigned>(day_number)}};
    if (!date.ok()) return refuse();

    std::int64_t micros = 0;
    if (take(text, ".")) {
        int digits = 0;
        for (; !text.empty() && std::isdigit(static_cast<unsigned char>(text.front())) != 0; ++digits) {
            if (digits < 6) micros = micros * 10 + (text.front() - '0');
            text.remove_prefix(1);
        }
        if (digits == 0 || digits > 9) return refuse();
        for (; digits < 6; ++digits) micros *= 10;
    }

    minutes offset{0};
    if (!take(text, "Zz")) {
        const bool east = !text.empty() && text.front() == '+';
        if (!take(text, "+-")) return refuse();
        const int offset_hours = take_number(text, 2);
        if (!take(text, ":")) return refuse();
        const int offset_minutes = take_number(text, 2);
        if (offset_hours < 0 || offset_hours > 23 || offset_minutes < 0 || offset_minutes > 59) return refuse();
        offset = hours{offset_hours} + minutes{offset_minutes};
        if (!east) offset = -offset;
    }
    if (!text.empty()) return refuse();
    const Instant instant = sys_days{date} + hours{hour} + minutes{minute} + seconds{second} + microseconds{micros} - offset;
    if (instant < Instant{} || instant >= sys_days{year{10000} / January / 1}) return refuse();
    return instant;
}

}  // namespace cloudtask
