// FaultyKeeper: a Keeper in front of another that fails calls with connection_loss, by a seeded Random: before the operation (it did not
// happen) or after it (it did, and the caller is not told). Every user of a Keeper must bear both. Lives on the loop.
#pragma once

#include <memory>

#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/zk/keeper.h"

namespace cloudtask::zk {

struct FaultRates {
    // Out of 1,000 calls.
    std::uint32_t before = 0;
    std::uint32_t after = 0;
};

std::unique_ptr<Keeper> make_faulty_keeper(Loop& loop, std::unique_ptr<Keeper> inner, Random& random, FaultRates rates);

}  // namespace cloudtask::zk
