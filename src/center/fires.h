// Fires as a whole: what became of each fire of a task in all of its pieces, by the history. Worker threads, within a transaction.
//
// Which fires were due, and why one has no run, is the ledger's (ledger.h, why.h).
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "center/api_routes.h"
#include "center/ledger.h"
#include "center/runs_store.h"

namespace cloudtask::center {

// pending: nothing has begun. incomplete: some pieces succeeded, and others were skipped. failed: a piece has failed for good, whatever the
// others do.
enum class FireState { pending, running, succeeded, failed, skipped, incomplete };
std::string_view to_string(FireState state);

// A piece's part in a fire: its telling attempt, and how many there are. No run: nobody has told of it yet, or `skipped` says why there is
// none.
struct FirePart {
    std::optional<std::int64_t> shard;
    std::optional<task::Run> run;
    std::int64_t attempts = 0;
    std::string skipped;
};

struct WholeFire {
    Instant time{};
    std::int64_t task_version = 0;
    task::Mode mode = task::Mode::single;
    std::vector<FirePart> parts;  // by shard, or by the node's name
};

FireState state_of(const WholeFire& fire);

// Puts the runs of one fire together. `shards`: of the version that fired; 0: as many as there are runs of. `covers`: entries of other
// fires that stand for this one, by piece.
WholeFire whole_fire(std::vector<task::Run> runs, task::Mode mode, std::int64_t shards, const std::map<std::string, Covers>& covers);

// GET /api/v1/tasks/{id}/fires: the newest first.
Result<http::Response> get_fires(Call& call);

}  // namespace cloudtask::center
