// Oracle: see oracle.h.
#include "tests/sim/oracle.h"

#include <algorithm>

namespace cloudtask::sim {

std::vector<Instant> instants(const Rule& rule, Instant after, Instant until) {
    std::vector<Instant> found;
    if (!rule.enabled || rule.deleted) return found;
    if (rule.interval == Duration::zero()) {
        if (rule.anchor > after && rule.anchor <= until) found.push_back(rule.anchor);
        return found;
    }
    // The first k with anchor + k * interval > after; `after` lies behind the anchor.
    const auto passed = (after - rule.anchor) / rule.interval;
    for (Instant time = rule.anchor + (passed + 1) * rule.interval; time <= until; time += rule.interval) {
        if (time > after) found.push_back(time);
    }
    return found;
}

std::vector<Expected> expected_fires(const std::vector<Rule>& rules, Instant until) {
    std::vector<Expected> expected;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        const Rule& rule = rules[i];
        Instant end = until;
        // A disabled or deleted task fires nothing from then on; a changed one by its new version from that one's effective_from on.
        for (std::size_t next = i + 1; next < rules.size(); ++next) {
            const Rule& later = rules[next];
            end = std::min(end, later.enabled && !later.deleted ? std::max(later.effective_from, rule.effective_from) : later.known_at);
        }
        for (const Instant time : instants(rule, rule.effective_from, end)) {
            expected.push_back({time, i, i + 1 < rules.size()});
        }
    }
    return expected;
}

bool is_called_for(const std::vector<Rule>& rules, Instant time) {
    return std::any_of(rules.begin(), rules.end(),
                       [&](const Rule& rule) { return rule.effective_from < time && !instants(rule, time - Duration{1}, time).empty(); });
}

}  // namespace cloudtask::sim
