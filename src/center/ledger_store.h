// What the ledger reads: versions of definitions, runs of fires, who was away; and the writing of who is away. Functions that take a
// session throw SOCI's errors, which Store maps.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "center/ledger.h"
#include "cloudtask/core/result.h"

namespace soci {
class session;
}

namespace cloudtask::center {

struct LedgerScope {
    std::string task_id, runtime, group;  // empty: any
};

// Ids of the scope's tasks behind `beyond`, in order, `limit` at most; with those that were deleted after `since`. Of a deleted task the
// group is not looked at: see the last version of its definition.
std::vector<std::string> ledger_tasks(soci::session& sql, const LedgerScope& scope, Instant since, const std::string& beyond, int limit);

// The versions that bear on [from, to): the one in force at `from`, and all later ones saved before `to`. No versions: there was no such
// task before `to`. One that cannot be read says why in its `problem`.
Definition read_definition(soci::session& sql, const std::string& task_id, Instant from, Instant to);

// Entries that cover fires in [from, to), by piece.
std::map<std::string, Covers> read_covers(soci::session& sql, const std::string& task_id, Instant from, Instant to);

// The runs of fires in [from, to) (and in the milliseconds that these lie in), in order of that millisecond. Ends early when `visit` says
// false.
void visit_fire_records(soci::session& sql, const std::string& task_id, Instant from, Instant to,
                        const std::function<bool(FireRecord record)>& visit);

// The latest fire of the piece in [from, to) that was dealt with by a version from before `version`'s effective_from was set: those that
// share it fire the same.
std::optional<Instant> last_fire_before_version(soci::session& sql, const std::string& task_id, const std::string& piece,
                                                std::int64_t version, Instant from, Instant to);

struct NodeContact {
    std::string id, name;
    Instant registered_at{}, contact{};  // contact: when it last spoke to the center
    Instant reported_until{}, reported_at{};
    std::int64_t pending = 0;  // reports that it said it still has
};
std::vector<NodeContact> node_contacts(soci::session& sql, const std::string& runtime);

struct NodeAbsence {
    std::string node_id;  // "": the center was without ZooKeeper
    Instant since{}, last_seen{};
    std::optional<Instant> until;
};
// Absences of the runtime's nodes, and of ZooKeeper, that touch [from, to].
std::vector<NodeAbsence> node_absences(soci::session& sql, const std::string& runtime, Instant from, Instant to);

// What the center sees in ZooKeeper now: opens and closes absences. The nodes of `runtime` that are there; the others that have joined are
// not.
void note_presence(soci::session& sql, const std::string& runtime, const std::set<std::string>& present, Instant now);
void note_zookeeper(soci::session& sql, bool connected, Instant now);
// Absences that ended before this are forgotten.
void forget_absences(soci::session& sql, Instant before);
// The reports of a batch told of instants up to `until`.
void note_reported(soci::session& sql, const std::string& node_id, Instant until, Instant now);
// So many reports wait in the node's outbox, as it says.
void note_pending(soci::session& sql, const std::string& node_id, std::int64_t pending);

}  // namespace cloudtask::center
