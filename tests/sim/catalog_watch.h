// CatalogWatch: holds the nodes to the time in which they have to learn of a change of the catalog, once nothing keeps them from it any
// more. Lives on the world's loop.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

#include "cloudtask/core/clock.h"

namespace cloudtask::sim {

class CatalogWatch {
  public:
    // How long a node in contact may be behind: the longest wait between two tries, one that has just failed, and two messages each way.
    static constexpr Duration kBound = std::chrono::seconds{8};

    // To be called a few times a second, with the center's revision.
    void look(Instant now, std::int64_t revision);
    // The node, at the last look(): nothing kept it from the catalog, or `hindered`. What it should have known by now and does not; nothing
    // if all is well.
    std::optional<std::string> node(int number, bool hindered, std::int64_t revision);

  private:
    struct Published {
        Instant at{};
        std::int64_t revision = 0;
    };
    Instant now_{};
    std::deque<Published> published_;  // each look's, up to the bound ago
    std::map<int, Instant> free_since_;
};

}  // namespace cloudtask::sim
