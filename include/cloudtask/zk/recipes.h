// The recipes on top of Keeper: Registration and FolderMirror (who is here), Election (who leads, with a fence) and Mirror (a watched copy
// of a znode or of a folder of them). Each binds to a Client and starts anew with every session. Live on the loop.
//
// Each re-reads after every watch and every few minutes besides (watches are hints), compares with what it knew, and reports changes only.
// After a failed read it keeps what it knew and tries again with backoff: a read error is never taken for "nothing there".
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cloudtask/core/loop.h"
#include "cloudtask/zk/client.h"

namespace cloudtask::zk {

// Keeps an ephemeral znode of ours at folder/name for as long as the session lives; makes the folder; makes the znode again if somebody
// erases it. Destroying the Registration leaves the znode to the session.
class Registration {
  public:
    // `data` is asked for at each session (it holds the incarnation). `on_registered` once per session, when the znode is there and ours.
    // If an older session's znode stands there (our own ghost after a restart), it is replaced in one multi, in which `on_ghost` may add
    // operations: it gets the ghost's data and the keeper, and calls `proceed` with them, or with an error: then it is asked again after a
    // pause.
    struct Hooks {
        std::function<std::string()> data;
        std::function<void(std::uint64_t generation)> on_registered;
        std::function<void(Keeper& keeper, std::string ghost, std::function<void(Result<std::vector<Op>>)> proceed)> on_ghost;
        // Another session has put its own znode in the place of ours: a second process runs under our name. This session does not take the
        // place back (they would do so in turns); the owner decides. May be empty.
        std::function<void()> on_superseded;
    };
    Registration(Loop& loop, Client& client, std::string folder, std::string name, Hooks hooks);
    ~Registration();

    // Writes new data to the znode (weight changed, leaving, ...). Holds for the present session; `data` is asked again at the next.
    void update(std::string data);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// A watched copy of all children of a folder, with their data (O(children) reads at start, then one read a change).
class FolderMirror {
  public:
    using Entries = std::map<std::string, Znode>;
    // `on_change` with the whole content after each change, and once after the first complete read of a session. A folder that does not
    // exist is empty.
    FolderMirror(Loop& loop, Client& client, std::string folder, std::function<void(const Entries&)> on_change);
    ~FolderMirror();

    const Entries& entries() const;
    // False until the first complete read of the present session.
    bool complete() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// A watched copy of one znode.
class Mirror {
  public:
    // `on_change` after each change, and once after the first read of a session; nullopt: there is no such znode.
    Mirror(Loop& loop, Client& client, std::string path, std::function<void(const std::optional<Znode>&)> on_change);
    ~Mirror();

    const std::optional<Znode>& value() const;
    bool complete() const;
    // Reads now, without waiting for a watch (after a write of one's own).
    void refresh();

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// Leader election by ephemeral sequential znodes `<id>.<random>-<seq>`; the lowest leads and each watches the one before it. The random
// part makes the znode of a create with an unknown outcome recognisable. While contact is lost a leader goes on as one: its fence decides.
class Election {
  public:
    // `on_change(true)` when this process leads, with fence() set; `on_change(false)` when it does no more (at the latest when the session
    // ends).
    Election(Loop& loop, Client& client, std::string folder, std::string id, std::function<void(bool leading)> on_change);
    ~Election();

    bool leading() const;
    // The operation that every write of a leader carries in its multi: it fails when our election znode is gone. Only while leading.
    Op fence() const;
    // Gives up its place for good (a process that is about to leave). Destroying the Election does so too.
    void resign();

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// Makes the persistent znodes of `path` that are absent, the deepest last. Idempotent; repeats on ambiguous errors, at once and a bounded
// number of times, then hands the error on. A keeper that is closed or destroyed meanwhile ends it with Errc::closing.
void make_path(Loop& loop, Keeper& keeper, std::string path, Keeper::Callback<void> done);

}  // namespace cloudtask::zk
