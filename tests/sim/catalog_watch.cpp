// CatalogWatch: see catalog_watch.h.
#include "tests/sim/catalog_watch.h"

#include <fmt/format.h>

#include "cloudtask/core/units.h"

namespace cloudtask::sim {

void CatalogWatch::look(Instant now, std::int64_t revision) {
    now_ = now;
    published_.push_back({now, revision});
    while (published_.size() > 1 && published_[1].at + kBound <= now) published_.pop_front();
}

std::optional<std::string> CatalogWatch::node(int number, bool hindered, std::int64_t revision) {
    if (hindered) {
        free_since_.erase(number);
        return std::nullopt;
    }
    const Instant since = free_since_.emplace(number, now_).first->second;
    const Published& known = published_.front();
    if (since + kBound > now_ || known.at + kBound > now_ || revision >= known.revision) return std::nullopt;
    return fmt::format("n{} knows revision {}, though the center has had {} for {} and nothing has kept it from asking for {}", number,
                       revision, known.revision, format_duration(now_ - known.at), format_duration(now_ - since));
}

}  // namespace cloudtask::sim
