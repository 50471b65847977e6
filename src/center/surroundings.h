// What the ledger knows of a runtime apart from its runs: who was away, and whose reports may still be under way. Within a transaction.
#pragma once

#include <string>

#include "center/cluster_view.h"
#include "center/config.h"
#include "center/ledger.h"
#include "center/ledger_store.h"

namespace cloudtask::center {

// The rules by the configuration.
LedgerRules ledger_rules(const Options& options);

// For fires in [from, now]. A node that left the history (it was deleted) is not waited for.
Surroundings look_around(soci::session& sql, const ClusterView& cluster, const std::string& runtime, const LedgerRules& rules, Instant from,
                         Instant now);

// Whether no node of its runtime can take the task now, as ZooKeeper says.
bool unowned(const ClusterView& cluster, const Definition& definition);

// When all of these were absent at once: the intersection of their absences, each in order of time.
std::vector<Absence> all_absent(const std::vector<std::vector<Absence>>& absences);

}  // namespace cloudtask::center
