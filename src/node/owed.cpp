// Owed: see owed.h.
#include "node/owed.h"

#include <algorithm>
#include <utility>

namespace cloudtask::node {

namespace {

// Removes the entry of a task that has nothing left.
template <class Map>
void erase_if_empty(Map& map, typename Map::iterator entry) {
    if (entry->second.empty()) map.erase(entry);
}

}  // namespace

void Owed::add(Opening opening) {
    if (opening.limit <= opening.floor) return;
    std::string id = opening.task->id;
    openings_[id].push_back(std::move(opening));
    fresh_.push_back(std::move(id));
}

void Owed::add(UncertainFires uncertain) {
    if (uncertain.fires.empty()) return;
    std::string id = uncertain.task->id;
    uncertain_[std::move(id)].push_back(std::move(uncertain));
}

void Owed::amend(const TaskPointer& before, const TaskPointer& next) {
    const auto amend_in = [&](auto& map) {
        const auto found = map.find(before->id);
        if (found == map.end()) return;
        for (auto& item : found->second) {
            if (item.task == before) item.task = next;
        }
    };
    amend_in(openings_);
    amend_in(uncertain_);
    amend_in(taken_);
}

void Owed::supersede(const TaskPointer& before, Instant until, const TaskPointer& next) {
    const std::string& id = before->id;
    if (const auto found = openings_.find(id); found != openings_.end()) {
        auto openings = std::move(found->second);
        openings_.erase(found);
        for (auto& opening : openings) {
            if (opening.task == before) {
                if (next) add(Opening{next, std::max(opening.floor, next->effective_from), opening.limit, opening.revision});
                opening.limit = std::min(opening.limit, until);
            }
            add(std::move(opening));
        }
    }
    std::vector<UncertainFires> of_next;
    const auto split = [&](ByTask<UncertainFires>& map) {
        const auto found = map.find(id);
        if (found == map.end()) return;
        for (auto& one : found->second) {
            if (one.task != before) continue;
            const Interval fires{std::max(one.fires.after, next ? next->effective_from : until), one.fires.until};
            if (next) of_next.push_back({next, fires, one.incarnation, one.begun});
            one.fires.until = std::min(one.fires.until, until);
        }
        std::erase_if(found->second, [](const UncertainFires& one) { return one.fires.empty(); });
        erase_if_empty(map, found);
    };
    split(uncertain_);
    split(taken_);
    for (auto& one : of_next) add(std::move(one));
}

void Owed::hand_over(const TaskPointer& version, Instant limit, std::int64_t revision) {
    const auto found = openings_.find(version->id);
    if (found == openings_.end()) return;
    std::erase_if(found->second, [&](Opening& opening) {
        if (opening.task != version) return false;
        opening.limit = std::min(opening.limit, limit);
        return opening.revision > revision || opening.limit <= opening.floor;
    });
    erase_if_empty(openings_, found);
}

void Owed::take_openings_of(ByTask<Opening>::iterator entry, std::int64_t revision, std::vector<Opening>& taken) {
    auto& openings = entry->second;
    const auto ready = std::partition(openings.begin(), openings.end(), [&](const Opening& one) { return one.revision > revision; });
    taken.insert(taken.end(), std::make_move_iterator(ready), std::make_move_iterator(openings.end()));
    openings.erase(ready, openings.end());
}

std::vector<Opening> Owed::take_openings(std::int64_t revision) {
    std::vector<Opening> taken;
    const std::vector<std::string> fresh = std::exchange(fresh_, {});
    if (std::exchange(looked_at_for_, revision) == revision) {
        for (const auto& id : fresh) {
            const auto entry = openings_.find(id);
            if (entry == openings_.end()) continue;
            take_openings_of(entry, revision, taken);
            erase_if_empty(openings_, entry);
        }
        return taken;
    }
    for (auto entry = openings_.begin(); entry != openings_.end();) {
        take_openings_of(entry, revision, taken);
        entry = entry->second.empty() ? openings_.erase(entry) : std::next(entry);
    }
    return taken;
}

std::vector<UncertainFires> Owed::take_uncertain() {
    std::vector<UncertainFires> all;
    for (auto& [id, list] : uncertain_) {
        all.insert(all.end(), list.begin(), list.end());
        auto& taken = taken_[id];
        taken.insert(taken.end(), std::make_move_iterator(list.begin()), std::make_move_iterator(list.end()));
    }
    uncertain_.clear();
    return all;
}

void Owed::forget_taken(Instant before) {
    for (auto entry = taken_.begin(); entry != taken_.end();) {
        std::erase_if(entry->second, [before](const UncertainFires& one) { return one.fires.until < before; });
        entry = entry->second.empty() ? taken_.erase(entry) : std::next(entry);
    }
}

Instant Owed::after() const {
    Instant after = Instant::max();
    for (const auto& [id, openings] : openings_) {
        for (const auto& opening : openings) after = std::min(after, opening.floor);
    }
    for (const auto& [id, list] : uncertain_) {
        for (const auto& one : list) after = std::min(after, one.fires.after);
    }
    return after;
}

}  // namespace cloudtask::node
