// Spread: see spread.h. Pure.
#include "center/spread.h"

#include <algorithm>
#include <array>
#include <map>

#include "cloudtask/core/units.h"

namespace cloudtask::center {

namespace {

using std::chrono::seconds;

// What people write as a jitter, in seconds.
constexpr std::array<std::int64_t, 18> kJitters{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400};

Duration jitter_for(const ScheduleLoad::Shape& shape, const FireCounts& counts, const SpreadLimits& limits) {
    if (shape.schedule.kind() == task::Schedule::Kind::at) return Duration::zero();
    std::int64_t most = 0;
    for (const std::uint32_t second : shape.seconds) most = std::max(most, counts.at(second));
    if (most <= limits.target) return Duration::zero();
    const std::int64_t needed = (most + limits.target - 1) / limits.target;
    const auto* found = std::lower_bound(kJitters.begin(), kJitters.end(), needed);
    const Duration wanted = found == kJitters.end() ? limits.max_jitter : std::min<Duration>(seconds{*found}, limits.max_jitter);
    if (wanted <= shape.least_gap / 2) return wanted;
    const auto* below = std::upper_bound(kJitters.begin(), kJitters.end(), shape.least_gap / 2 / seconds{1});
    return below == kJitters.begin() ? Duration::zero() : std::min<Duration>(seconds{*(below - 1)}, limits.max_jitter);
}

Result<task::Schedule> with_jitter(const ScheduleLoad::Shape& shape, Duration jitter) {
    auto document = json::parse(shape.text);
    if (!document) return propagate(document);
    const std::string text = format_duration(jitter);
    document->AddMember("jitter", json::Value(text.c_str(), document->GetAllocator()), document->GetAllocator());
    Faults faults;
    auto schedule = task::Schedule::read(*document, "", faults);
    if (!schedule) return fail(Errc::corrupt, "{}", faults.summary());
    return std::move(*schedule);
}

}  // namespace

Result<Spread> propose_spread(const ScheduleLoad& load, const SpreadLimits& limits) {
    Spread spread{{}, load.counts()};
    std::map<const ScheduleLoad::Shape*, std::optional<std::pair<Duration, task::Schedule>>> decided;
    for (const auto& entry : load.entries()) {
        auto known = decided.find(entry.shape);
        if (known == decided.end()) {
            known = decided.emplace(entry.shape, std::nullopt).first;
            if (const Duration jitter = jitter_for(*entry.shape, load.counts(), limits); jitter > Duration::zero()) {
                auto schedule = with_jitter(*entry.shape, jitter);
                if (!schedule) return propagate(schedule);
                known->second.emplace(jitter, std::move(*schedule));
            }
        }
        if (!known->second) continue;
        const auto& [jitter, schedule] = *known->second;
        for (const std::uint32_t second : entry.shape->seconds) spread.after.add(second, -1);
        auto walked = load.walk(schedule.for_task(load.tasks()[entry.task].id), [&](Instant fire) { spread.after.add(fire); });
        if (!walked) return propagate(walked);
        spread.proposals.push_back({&entry, jitter});
    }
    return spread;
}

}  // namespace cloudtask::center
