// Shrinking: drops from a failing script what it fails without.
#include "tests/sim/world.h"

#include <algorithm>
#include <utility>

namespace cloudtask::sim {

namespace {

// The scripts that are one step simpler, the boldest first.
std::vector<Script> simpler(const Script& script) {
    std::vector<Script> all;
    const std::size_t events = script.events.size();
    for (std::size_t part = events / 2; part > 0; part /= 2) {
        for (std::size_t from = 0; from < events; from += part) {
            Script shorter = script;
            const auto begin = shorter.events.begin() + static_cast<std::ptrdiff_t>(from);
            shorter.events.erase(begin, begin + static_cast<std::ptrdiff_t>(std::min(part, events - from)));
            all.push_back(std::move(shorter));
        }
    }
    if (events == 1) {
        all.push_back(script);
        all.back().events.clear();
    }
    // A task or node that is not the last would give the others new names: only the last one goes.
    if (script.tasks.size() > 1) {
        Script shorter = script;
        shorter.tasks.pop_back();
        const int last = static_cast<int>(shorter.tasks.size());
        std::erase_if(shorter.events, [last](const Event& event) { return event.what >= Happening::create_task && event.task == last; });
        all.push_back(std::move(shorter));
    }
    if (script.nodes > 1) {
        Script shorter = script;
        --shorter.nodes;
        shorter.early = std::min(shorter.early, shorter.nodes);
        std::erase_if(shorter.events,
                      [&](const Event& event) { return event.what < Happening::create_task && event.node == shorter.nodes; });
        all.push_back(std::move(shorter));
    }
    // A task that comes to nothing: so the others keep their names.
    for (std::size_t i = 0; i < script.tasks.size(); ++i) {
        if (script.tasks[i].from_start) {
            all.push_back(script);
            all.back().tasks[i].from_start = false;
        }
    }
    return all;
}

}  // namespace

std::pair<Script, Outcome> shrink(const Script& script, const Outcome& outcome, const Options& options, int tries) {
    std::pair<Script, Outcome> best{script, outcome};
    for (bool better = true; better && tries > 0;) {
        better = false;
        for (auto& candidate : simpler(best.first)) {
            if (tries-- <= 0) break;
            auto played = play(candidate, options);
            if (played.kind != best.second.kind) continue;
            best = {std::move(candidate), std::move(played)};
            better = true;
            break;
        }
    }
    return best;
}

}  // namespace cloudtask::sim
