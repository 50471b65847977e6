// HandOver: what goes with a next attempt that another node is to begin (`retry.node: other`), from the node that had the attempt before it
// to the center, and from there to the node that the center chooses. It stands beside the attempt's Run, in a report and in a command.
//
// Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/json.h"

namespace cloudtask::task {

struct HandOver {
    Instant due{};          // it begins no earlier
    std::int64_t made = 1;  // attempts before it, as next_attempt() counts them
    std::string after;      // the id of the node that had the attempt before it
    friend bool operator==(const HandOver&, const HandOver&) = default;
};

// As the member "hand_over" of an object: {"due", "made", "after"}.
void write_hand_over(json::Writer& out, const HandOver& hand_over);
// Nothing if there is no such member, or it is not one: the reader's faults then say so.
std::optional<HandOver> read_hand_over(json::ObjectReader& reader);

}  // namespace cloudtask::task
