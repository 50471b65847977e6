// NodeSecrets: the secrets that this node was told, which runs were given which of them, and the files by which some get theirs.
//
// Values are sealed on disk; they are opened when a run is prepared that needs them, or its output is to be masked, and stay in memory from
// then on. A version that the center does not name any more is kept for a day, so that what was still owed by an older definition finds it,
// and as long as the journal has a run that was given it: its output may still have to be masked. A secret of the group counts before one
// of the runtime.
//
// Files are in memory (tmpfs): <folder>/<run>/<variable>, mode 0400. They go with the run.
//
// Lives on the loop. It talks to no center (secret_sync.h) and writes no journal.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cloudtask/core/sealed_box.h"
#include "cloudtask/task/types.h"
#include "node/kept_secret.h"
#include "node/masked_log.h"

namespace cloudtask::node {

// What the center says of a secret.
struct ToldSecret {
    std::int64_t version = 0;
    std::string group, name;
    std::string sealed;  // empty: this node has it, or is to ask again
};

// The node's key pair in this file, which is made at the first start. Errors: others may read it; it holds no key; io.
Result<KeyPair> open_node_keys(const std::string& path);

class NodeSecrets {
  public:
    // Of a node that is told none.
    NodeSecrets() = default;
    // `folder`: for files, in a folder of the system that is in memory.
    NodeSecrets(KeyPair keys, std::string folder);

    // What is on disk; before anything else.
    void load(const std::vector<KeptSecret>& kept);

    const std::string& public_key() const { return keys_.public_key; }
    // Versions that need not be sent again.
    std::vector<std::int64_t> have() const;
    bool empty() const { return kept_.empty(); }
    // What the answer changes, for the disk first.
    SecretChange compare(const std::vector<ToldSecret>& told, Instant now) const;
    void apply(const SecretChange& change);

    // All that the task names are there.
    bool knows(const task::Task& task) const;
    // The versions that a run of the task is given now; those that are not there are missing in it. Null if the task names none.
    std::shared_ptr<const task::SecretVersions> versions_for(const task::Task& task) const;

    // The journal has a run that was given these; until forget().
    void note(const std::string& run_id, std::shared_ptr<const task::SecretVersions> versions);
    void forget(const std::string& run_id);
    // What is to be starred in its output; null if it was given nothing.
    std::shared_ptr<const RunMask> mask_of(const std::string& run_id) const;

    // The value of one secret for a run that is being started, by the version that the run names. Error: why it cannot have it.
    Result<std::string> give_value(const task::Run& run, const std::string& name) const;
    // The variables of a program that is being started, by the versions that it names; its files are made. Error: the secret that it cannot
    // have, and why.
    Result<std::map<std::string, std::string>> give(const task::Task& task, const task::Run& run);
    // The run is over, or has not begun.
    void take_back(const std::string& run_id);
    // At start: only these runs go on.
    void tidy(const std::set<std::string>& run_ids);

  private:
    struct Value {
        std::string bytes;
        std::vector<std::string> masked;
    };
    using Place = std::pair<std::string, std::string>;  // group, name

    std::optional<std::int64_t> find(const std::string& group, const std::string& name) const;
    // Error: it is not there, or not this node's to open.
    Result<std::shared_ptr<const Value>> value_of(const std::string& name, std::int64_t version) const;
    // Of the version that the run was given.
    Result<std::shared_ptr<const Value>> value_for(const task::Run& run, const std::string& name) const;
    Result<> write_file(const std::string& run_id, const std::string& variable, std::string_view value);

    KeyPair keys_;
    std::string folder_;
    std::map<std::int64_t, KeptSecret> kept_;
    std::map<Place, std::set<std::int64_t>> versions_;
    mutable std::map<std::int64_t, std::shared_ptr<const Value>> opened_;
    std::unordered_map<std::string, std::shared_ptr<const task::SecretVersions>> runs_;  // in the journal
    std::set<std::string> with_files_;                                                   // run ids
};

}  // namespace cloudtask::node
