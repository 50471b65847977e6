// Tree: the znodes of an in-memory coordinator and the rules of writing them: versions, ephemerals, sequences, all-or-nothing multi.
//
// Pure: no loop, no sessions but their numbers, no watches; it says which events a write causes. One thread at a time.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cloudtask/zk/keeper.h"

namespace cloudtask::zk {

class Tree {
  public:
    Tree();

    // Applies all of `ops`, or nothing. What watchers are to be told is appended to `events`. The error is that of the first operation that
    // failed. `now` becomes ctime and mtime, in milliseconds as on a server.
    Result<std::vector<OpResult>> apply(const std::vector<Op>& ops, std::int64_t session, Instant now, std::vector<WatchEvent>& events);

    // Erases the ephemerals of a session that has ended.
    void end_session(std::int64_t session, std::vector<WatchEvent>& events);

    Result<Stat> stat(const std::string& path) const;
    Result<Znode> get(const std::string& path) const;
    Result<Children> children(const std::string& path) const;

  private:
    struct Node {
        std::string data;
        std::int64_t czxid = 0, mzxid = 0;
        Instant ctime{}, mtime{};
        std::int32_t version = 0;
        std::int32_t creates = 0;  // of children, ever: the next sequence number
        std::int64_t owner = 0;
        std::set<std::string> children;
    };
    using Undo = std::map<std::string, std::optional<Node>>;

    Result<OpResult> apply_one(const Op& op, std::int64_t session, Instant now, Undo& undo, std::vector<WatchEvent>& events);
    Result<OpResult> create(const Op& op, std::int64_t session, Instant now, Undo& undo, std::vector<WatchEvent>& events);
    Result<OpResult> erase(const Op& op, Undo& undo, std::vector<WatchEvent>& events);
    void remember(const std::string& path, Undo& undo) const;
    static Stat stat_of(const Node& node);

    std::map<std::string, Node> nodes_;
    std::int64_t zxid_ = 0;
};

}  // namespace cloudtask::zk
