// What the ledger knows of a runtime apart from its runs: who was away, and whose reports may still be under way. Within a transaction.
#pragma once

#include <string>

#include "center/cluster_view.h"
#include "center/config.h"
#include "center/ledger_pieces.h"
#include "center/ledger_store.h"

namespace cloudtask::center {

// The rules by the configuration.
LedgerRules ledger_rules(const Options& options);

// What there is to know of a runtime's nodes, read once.
struct NodesAround {
    std::vector<NodeContact> nodes;
    std::vector<NodeAbsence> absences;
};
NodesAround read_nodes(soci::session& sql, const std::string& runtime, Instant from, Instant now);

// For fires in [from, now]. A node that left the history (it was deleted) is not waited for. `only`: the id of the node whose business the
// fires are; empty: any may take them.
Surroundings look_around(const NodesAround& around, const ClusterView& cluster, const std::string& runtime, const LedgerRules& rules,
                         Instant now, const std::string& only = {});

// The runtime's nodes that have joined, with the labels that they have now, or said when they joined.
std::vector<ring::Member> nodes_of(soci::session& sql, const ClusterView& cluster, const std::string& runtime);

// Whether no node of its runtime can take the task, or its piece, now, as ZooKeeper says.
bool unowned(const ClusterView& cluster, const LedgerPiece& piece);

// When all of these were absent at once: the intersection of their absences, each in order of time.
std::vector<Absence> all_absent(const std::vector<std::vector<Absence>>& absences);

}  // namespace cloudtask::center
