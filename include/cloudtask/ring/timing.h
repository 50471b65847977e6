// Spans of time of the hand-over protocol that more than one program knows: the node acts by them, the center tells people. Pure.
#pragma once

#include "cloudtask/core/clock.h"

namespace cloudtask::ring {

// How far ahead a node claims the fires of its tasks, unless claims.horizon says otherwise: so much is uncertain when it dies.
inline constexpr Duration kUsualHorizon = std::chrono::milliseconds{1600};

// From the end of a dead node's session to the first fire by a new owner, at the most and with room to spare.
inline constexpr Duration kTakeOver = std::chrono::milliseconds{500};

}  // namespace cloudtask::ring
