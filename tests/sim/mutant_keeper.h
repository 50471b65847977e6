// MutantKeeper: stands between a node and ZooKeeper and breaks the protocol on purpose, so that it is known that the simulation finds what
// it is there to find. The product's code is as it is.
#pragma once

#include <memory>

#include "cloudtask/zk/keeper.h"
#include "tests/sim/world.h"

namespace cloudtask::sim {

std::unique_ptr<zk::Keeper> make_mutant_keeper(std::unique_ptr<zk::Keeper> inner, Mutation mutation);

}  // namespace cloudtask::sim
