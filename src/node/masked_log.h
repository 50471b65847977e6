// The log view of a run that was given secrets, with stars in place of each exact match of one of them. A star for each byte: offsets stay.
//
// A piece of the view is masked by itself, with as much before and behind it as a secret may be long: nothing has to be remembered between
// two pieces, or from one process of the node to the next. For that, pieces end only where no secret is under way (undecided()).
//
// Blocks on the disk; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/result.h"
#include "node/process/output.h"

namespace cloudtask::node {

struct RunMask {
    std::vector<std::string> texts;
    bool everything = false;  // a secret that the run was given is not known any more: nobody can tell what to star
};

// What is to be starred of a value: all of it, without line ends behind it, and each of its lines that is no shorter than a secret may be.
std::vector<std::string> masked_texts(std::string_view value);

// read_log(), masked. What a cut leaves of a secret at its edges is starred as well.
Result<std::string> read_masked_log(const std::string& path, const LogShape& shape, std::uint64_t offset, std::size_t max,
                                    const RunMask& mask);

// Of a stream that is still being written: how many bytes at the end of what is available may be the beginning of a secret. Whoever
// sends them waits for what follows.
std::uint64_t undecided(const std::string& path, const LogShape& shape, const RunMask& mask);

}  // namespace cloudtask::node
