// SimCenter: the center as nodes know it: the catalog with its revisions, and the history that reports are taken into. The rules of the
// history are the center's own (center::judge); the store is a map. It keeps every version of every definition, for the oracle.
//
// What it does not play: HTTP, users, mail, logs; its database (tests/center and the chaos tests have the real one).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/zk/keeper.h"
#include "node/center_link.h"
#include "node/node_store.h"

namespace cloudtask::sim {

// One version of a definition, in force from `at` on by the center's clock.
struct Version {
    std::int64_t revision = 0;
    Instant at{};
    task::Task task;
    bool deleted = false;
};

struct Recorded {
    task::Run run;
    std::string node_id;
    Instant at{};  // when it was last told of
};

class SimCenter {
  public:
    SimCenter(const Clock& clock, zk::Keeper& keeper, std::function<void(const std::string&)> note);

    // Those that there are ever.
    void set_nodes(std::vector<std::string> nodes) { nodes_ = std::move(nodes); }

    // --- the catalog, of definitions
    void put(task::Task task);  // new, or changed
    void erase(const std::string& task_id);
    const task::Task* find(const std::string& task_id) const;
    bool knew(const std::string& task_id) const { return definitions_.contains(task_id); }
    bool is_broadcast(const std::string& task_id) const { return definitions_.at(task_id).back().task.mode == task::Mode::broadcast; }

    // --- the same by what is placed and fired: single tasks, and the pieces of others. A version that has not the piece has it without
    // schedules.
    const std::vector<Version>& versions(const std::string& placed_id) const { return versions_.at(placed_id); }
    const std::map<std::string, std::vector<Version>>& all_versions() const { return versions_; }

    std::int64_t revision() const { return revision_; }
    // Writes the revision into ZooKeeper; also after that was wiped.
    void publish();

    // What it sees in ZooKeeper of the runtime's epochs.
    void note_epoch(std::int64_t epoch);

    // --- what nodes ask
    node::CatalogChange changes_since(std::int64_t revision) const;
    // Takes a batch in; false with `problem` set if a report can never be taken, or is missing.
    bool take(const std::string& node_id, const std::vector<node::Report>& reports);

    // Starts that the node has not told of as taken on; handed out until it has.
    std::vector<node::Command> commands_for(const std::string& node_id) const;

    const std::map<std::string, Recorded>& history() const { return history_; }
    const std::string& problem() const { return problem_; }
    void set_online(std::function<bool(const std::string& node_id)> online) { online_ = std::move(online); }
    // Which node begins an attempt that follows one of the node `but_not`: that one, if there is no other.
    using Elsewhere = std::function<std::string(const task::Task& task, const task::Run& run, const std::string& but_not)>;
    void set_elsewhere(Elsewhere elsewhere) { elsewhere_ = std::move(elsewhere); }
    void set_waiting(std::function<void(const std::string& node_id)> waiting) { waiting_ = std::move(waiting); }

  private:
    void publish_revision();
    void make_pieces(const std::vector<Version>& definition);
    void hand_over(const task::Run& run, const task::HandOver& hand_over);

    const Clock& clock_;
    zk::Keeper& keeper_;
    std::function<void(const std::string&)> note_;
    std::int64_t revision_ = 0;
    ring::Memory past_;
    std::map<std::string, std::vector<Version>> definitions_, versions_;
    std::vector<std::string> nodes_;
    std::map<std::string, Recorded> history_;      // by run id
    std::map<std::string, std::int64_t> cursors_;  // by incarnation
    std::string problem_;
    std::map<std::string, std::pair<std::string, node::Command>> commands_;  // that are open, by id, with their nodes
    std::function<bool(const std::string&)> online_;
    Elsewhere elsewhere_;
    std::function<void(const std::string&)> waiting_;
};

}  // namespace cloudtask::sim
