// The node's side of the conversation with the center (docs/wire.md, "Between node and center"): join, catalog, packages, commands,
// reports. The node dials out; the center may be away at any time: every part tries again with backoff and jitter (1 s doubling to 5 s)
// and says so once per step.
//
// All live on the loop. They carry and keep; they decide nothing about runs.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/http/client.h"
#include "cloudtask/task/hand_over.h"
#include "node/disk.h"
#include "node/masked_log.h"

namespace cloudtask::node {

// The longest answer that a node takes: 500 definitions of 64 KiB, and what JSON adds. For the ClientOptions of the client that talks to
// the center.
inline constexpr std::uint64_t kMaxCenterAnswer = 64ULL << 20;

struct JoinRequest {
    std::string join_token, runtime, node_id, name;  // node_id: of an earlier join, or empty
    std::map<std::string, std::string> labels;
    std::uint32_t weight = 1;
};

// Joins once. Errc::unavailable: worth another try; others: the center refused, and says why (unauthenticated: the join token; conflict:
// the name is taken).
void join(http::Client& client, std::string center_url, JoinRequest request, std::function<void(Result<Identity>)> done);

// Keeps the catalog replica up to date: pulls when told of a newer revision, and every 30 s besides.
class CatalogSync {
  public:
    struct Hooks {
        // A page of changes is on disk; in order. Called with the tasks for the owner to take over: first `tasks`, then `deleted`; a task
        // may stand in both. A full answer comes as one change, however many pages it had, unless the replica was empty.
        std::function<void(CatalogChange)> changed;
        // What the center knows of the runtime's past; before caught_up().
        std::function<void(const ring::Memory&)> past{};
        // Where the runtime's HTTP calls may connect to, with every answer; null: where they may by default.
        std::function<void(std::shared_ptr<const task::NetworkRules>)> networks{};
        // The replica is as new as the center's answer said (all pages are in).
        std::function<void(std::int64_t revision)> caught_up;
        // Before changed(): the revision of the runtime's secrets, and whether tasks came that name some. Calls `then` when changed() may
        // come.
        std::function<void(std::int64_t revision, bool named, std::function<void()> then)> secrets{};
    };
    // `revision`: of the replica as loaded.
    CatalogSync(Loop& loop, Random& random, http::Client& client, Disk& disk, std::int64_t revision, Hooks hooks);
    ~CatalogSync();
    void start();
    // The revision that ZooKeeper names.
    void announced(std::int64_t revision);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

struct Command {
    enum class Kind { start, stop, cordon, uncordon };
    std::string id;
    Kind kind = Kind::start;
    std::string run_id, started_by;                              // of a start or stop
    std::optional<task::Task> task;                              // of a start; nothing if this program cannot read it: to be refused
    std::shared_ptr<const task::RunParameters> parameters = {};  // of a start: what was given with it
    // Of the start of an attempt that follows one of another node: both, or neither.
    std::optional<task::Run> run = {};
    std::optional<task::HandOver> hand_over = {};
};

// Holds the long poll open. `handle` is called for every command that the center names, also again for one that is not reported done yet.
class CommandPoll {
  public:
    // `pending`: how many reports wait to be delivered, if that is known: each poll tells the center.
    CommandPoll(Loop& loop, Random& random, http::Client& client, std::function<void(Command)> handle,
                std::function<std::optional<std::int64_t>()> pending);
    ~CommandPoll();
    void start();

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// Delivers the outbox: in order, at least once, in batches (200 reports or 1 MiB), one request at a time.
class OutboxSender {
  public:
    // `output_folder(run_id)`: the folder of the run's output files, for log reports; `mask_of(run_id)`: what is to be starred in them.
    OutboxSender(Loop& loop, Random& random, Worker& worker, http::Client& client, Disk& disk,
                 std::function<std::string(const std::string& run_id)> output_folder,
                 std::function<std::shared_ptr<const RunMask>(const std::string& run_id)> mask_of = {});
    ~OutboxSender();
    void start();
    // There may be something new (also called by Disk's on_reports).
    void wake();
    // Called on the loop when reports were accepted.
    void on_delivered(std::function<void()> handler);
    std::int64_t delivered() const;
    // Reports that were in the outbox when it was read last; nothing before that.
    std::optional<std::int64_t> pending() const;
    // Nothing is left to deliver, as far as is known.
    bool idle() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// Saves a package's bytes to `path`; gives its file name. For PackageCache.
void fetch_package(http::Client& client, const std::string& sha256, const std::string& path,
                   std::function<void(Result<std::string>)> fetched);

}  // namespace cloudtask::node
