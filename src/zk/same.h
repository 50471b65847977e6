// Whether a znode that was read again is still the one that was known. Pure.
#pragma once

#include "cloudtask/zk/keeper.h"

namespace cloudtask::zk {

// Same znode (not one made anew at its place), same version, same data.
inline bool same(const Znode& a, const Znode& b) {
    return a.stat.czxid == b.stat.czxid && a.stat.mzxid == b.stat.mzxid && a.stat.version == b.stat.version && a.data == b.data;
}

}  // namespace cloudtask::zk
