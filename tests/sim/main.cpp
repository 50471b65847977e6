// sim: plays seeds.
//   sim --seeds A..B      plays them; prints each that fails, what was violated, the shortest script that fails so, and its log
//   sim --seed N          plays one and prints its log
//   sim --mutation NAME   with a deliberate flaw
//   sim --plain           by chance alone: no troubles are brought together on purpose
//   sim --wipe            in each seed ZooKeeper loses all its data once
//   sim --scale           the figures for 1,000 nodes and 1,000,000 tasks
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "tests/sim/scale.h"
#include "tests/sim/world.h"

namespace {

using namespace cloudtask::sim;

struct Arguments {
    std::uint64_t from = 1, to = 0;
    bool one = false, scale = false, no_shrink = false, keep_going = false, wiped = false, plain = false;
    Mutation mutation = Mutation::none;
};

int usage() {
    fmt::print(stderr, "sim --seeds A..B | --seed N | --scale  [--mutation NAME] [--plain] [--wipe] [--no-shrink] [--keep-going]\n");
    return 2;
}

bool read_arguments(const std::vector<std::string_view>& given, Arguments& arguments) {
    for (std::size_t i = 0; i < given.size(); ++i) {
        const auto value = [&]() -> std::string { return i + 1 < given.size() ? std::string{given[++i]} : std::string{}; };
        if (given[i] == "--seeds") {
            const std::string range = value();
            const auto dots = range.find("..");
            if (dots == std::string::npos) return false;
            arguments.from = std::strtoull(range.c_str(), nullptr, 10);
            arguments.to = std::strtoull(range.c_str() + dots + 2, nullptr, 10);
        } else if (given[i] == "--seed") {
            arguments.one = true;
            arguments.from = arguments.to = std::strtoull(value().c_str(), nullptr, 10);
        } else if (given[i] == "--mutation") {
            const std::string name = value();
            bool known = false;
            for (int number = 0; number <= static_cast<int>(Mutation::journal_forgotten); ++number) {
                if (name != name_of(static_cast<Mutation>(number))) continue;
                arguments.mutation = static_cast<Mutation>(number);
                known = true;
            }
            if (!known) return false;
        } else if (given[i] == "--scale") {
            arguments.scale = true;
        } else if (given[i] == "--plain") {
            arguments.plain = true;
        } else if (given[i] == "--wipe") {
            arguments.wiped = true;
        } else if (given[i] == "--no-shrink") {
            arguments.no_shrink = true;
        } else if (given[i] == "--keep-going") {
            arguments.keep_going = true;
        } else {
            return false;
        }
    }
    return arguments.scale || arguments.to >= arguments.from;
}

void tell(const Script& script, const Outcome& outcome) {
    fmt::print("{}", describe(script));
    for (const auto& line : outcome.log) fmt::print("{}\n", line);
}

int play_seeds(const Arguments& arguments) {
    const auto began = std::chrono::steady_clock::now();
    std::uint64_t failed = 0, played = 0, fires = 0, starts = 0, lost = 0, skipped = 0;
    for (std::uint64_t seed = arguments.from; seed <= arguments.to; ++seed) {
        const Script script = with_modes(arguments.plain ? make_plain_script(seed, arguments.wiped) : make_script(seed, arguments.wiped));
        const Outcome outcome = play(script, {arguments.mutation, arguments.one, arguments.one});
        ++played;
        fires += outcome.fires;
        starts += outcome.starts;
        lost += outcome.lost;
        skipped += outcome.skipped;
        if (outcome.good()) continue;
        ++failed;
        fmt::print("seed {} FAILED: {}: {}\n", seed, outcome.kind, outcome.detail);
        std::fflush(stdout);
        if (arguments.no_shrink || arguments.one) continue;
        const auto [shortest, again] = shrink(script, outcome, {arguments.mutation, false, false});
        const Outcome told = play(shortest, {arguments.mutation, true, false});
        fmt::print("the shortest script that fails so:\n");
        tell(shortest, told);
        if (!arguments.keep_going) break;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    fmt::print("{} seeds, {} failed; {} fires to account for, {} starts, {} lost, {} skipped; {:.1f} s, {:.1f} ms a seed\n", played, failed,
               fires, starts, lost, skipped, seconds, seconds * 1000 / static_cast<double>(std::max<std::uint64_t>(played, 1)));
    return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    if (!read_arguments({argv + 1, argv + argc}, arguments)) return usage();
    return arguments.scale ? run_scale() : play_seeds(arguments);
}
