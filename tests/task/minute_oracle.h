// An oracle for rules of local times: it looks at the wall minute by minute, and knows what gaps and overlaps mean from docs/schedules.md.
// It shares nothing with the code under test but cctz. Zones and starts to try it on are here too.
#pragma once

#include <cctz/time_zone.h>

#include <array>
#include <chrono>
#include <random>
#include <string>

namespace cloudtask::oracle {

using Minute = std::chrono::sys_seconds;
using Local = cctz::civil_minute;

inline int pick(std::mt19937_64& random, int low, int high) {
    return low + static_cast<int>(random() % static_cast<std::uint64_t>(high - low + 1));
}

// Is a rule due at this very minute? `matches(Local)` says whether it names a local time.
template <class Matches>
bool due(const Matches& matches, const std::string& gap, const std::string& overlap, const cctz::time_zone& zone, Minute minute) {
    const Local now{zone.lookup(minute).cs};
    const Local expected = Local{zone.lookup(minute - std::chrono::minutes{1}).cs} + 1;
    for (Local skipped = expected; skipped < now; ++skipped) {
        if (gap == "first_valid" && matches(skipped)) return true;
    }
    if (!matches(now)) return false;
    const auto shows_it = [&](int minutes) {
        for (int i = 1; i <= 180; ++i) {
            if (Local{zone.lookup(minute + std::chrono::minutes{minutes * i}).cs} == now) return true;
        }
        return false;
    };
    if (overlap == "first") return !shows_it(-1);
    if (overlap == "second") return !shows_it(1);
    return true;
}

// The start of a random minute: most of the time within two days before a change of the offset.
inline Minute random_start(std::mt19937_64& random, const cctz::time_zone& zone, int years = 60) {
    const auto minutes = std::chrono::minutes{random() % (static_cast<std::uint64_t>(years) * 365 * 24 * 60)};  // from 1970 on
    const Minute start = Minute{} + minutes;
    cctz::time_zone::civil_transition transition;
    if (random() % 4 == 0 || !zone.next_transition(start, &transition)) return start;
    const Minute at = zone.lookup(transition.from).trans;
    return std::chrono::floor<std::chrono::minutes>(at - std::chrono::minutes{random() % (2 * 24 * 60)});
}

// Zones whose offsets change by whole minutes since 1970, of all kinds: an hour, half an hour, a day, at midnight, often, never.
inline constexpr std::array kZones{"Europe/Berlin",       "America/New_York",
                                   "Australia/Lord_Howe", "Africa/Cairo",
                                   "Africa/Casablanca",   "America/Havana",
                                   "Pacific/Apia",        "Asia/Kathmandu",
                                   "America/Caracas",     "Asia/Pyongyang",
                                   "America/St_Johns",    "Antarctica/Troll",
                                   "Asia/Kolkata",        "UTC",
                                   "America/Sao_Paulo",   "Europe/Dublin",
                                   "Asia/Gaza",           "Pacific/Norfolk"};

}  // namespace cloudtask::oracle
