// Preview: the next fires of a task's schedules, as the walls of their zones show them. Pure but for the zone files; any thread.
#pragma once

#include <string>
#include <vector>

#include "cloudtask/task/schedule.h"

namespace cloudtask::task {

inline constexpr std::size_t kMostPreviewed = 1000;

struct PreviewedFire {
    ScheduledFire fire;
    std::size_t schedule = 0;  // by index
    std::string local;         // "2026-03-29T03:00:00": the date and time that the wall of the schedule's zone shows
    std::string offset;        // "+02:00"
    std::string abbreviation;  // "CEST", as tzdata has it
};

// The first `count` fires after `after`, in order. What several schedules name together is one fire, of the first of them. Schedules that
// are switched off have none. What a calendar drops in between is there too, at most `count` for each schedule: fire.dropped tells.
std::vector<PreviewedFire> preview(const std::vector<Schedule>& schedules, Instant after, std::size_t count);

}  // namespace cloudtask::task
