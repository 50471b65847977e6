// World: plays one Script from its beginning to its end and tells what was violated. All randomness comes from the script's seed, so the
// same script gives the same log, byte by byte.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/sim/script.h"

namespace cloudtask::sim {

// A deliberate flaw, put in between the parts; the simulation must find it.
enum class Mutation {
    none,
    horizon_not_written,       // a raised horizon is acknowledged to the node, and never comes to ZooKeeper
    gainer_does_not_wait,      // a node believes that earlier owners have handed over when they have not
    departed_claimed_nothing,  // the allocator forgets how far the dead had claimed
    journal_forgotten,         // a node's disk is empty after a crash
};
const char* name_of(Mutation mutation);

struct Options {
    Mutation mutation = Mutation::none;
    bool keep_log = true;
    bool print = false;  // each line of the log as it comes, and the product's own log
};

struct Outcome {
    std::string kind;  // of the violation; empty if there is none
    std::string detail;
    std::vector<std::string> log;
    // What was played.
    std::uint64_t fires = 0, starts = 0, lost = 0, skipped = 0, epochs = 0, jobs = 0;

    bool good() const { return kind.empty(); }
};

Outcome play(const Script& script, const Options& options = {});

// A shorter script that fails in the same way, and its outcome. Plays at most `tries` scripts.
std::pair<Script, Outcome> shrink(const Script& script, const Outcome& outcome, const Options& options, int tries = 400);

}  // namespace cloudtask::sim
