// Who was away, and whose reports may be under way: see surroundings.h.
#include "center/surroundings.h"

#include <algorithm>

#include "center/sql.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

namespace {

// A node asks for commands at least this often; one that is not heard of for longer does not report either.
constexpr Duration kContactEvery = std::chrono::seconds{90};
// Between a fire and its report's arrival, while nothing is wrong.
constexpr Duration kReportTakes = std::chrono::seconds{10};
// A node whose last report came this recently, and told of something this old, is sending what has gathered.
constexpr Duration kSending = std::chrono::seconds{30};

Instant end_of(const Absence& absence) { return absence.until.value_or(Instant::max()); }

// The same, in order and apart.
std::vector<Absence> apart(std::vector<Absence> absences) {
    std::sort(absences.begin(), absences.end(), [](const Absence& a, const Absence& b) { return a.since < b.since; });
    std::vector<Absence> merged;
    for (const auto& each : absences) {
        if (merged.empty() || end_of(merged.back()) < each.since) {
            merged.push_back(each);
        } else if (end_of(merged.back()) < end_of(each)) {
            merged.back().until = each.until;
        }
    }
    return merged;
}

// Of two that are in order and apart: one walk along both.
std::vector<Absence> intersection(const std::vector<Absence>& a, const std::vector<Absence>& b) {
    std::vector<Absence> both;
    for (auto x = a.begin(), y = b.begin(); x != a.end() && y != b.end();) {
        const Instant since = std::max(x->since, y->since), until = std::min(end_of(*x), end_of(*y));
        if (since < until) both.push_back({since, until == Instant::max() ? std::nullopt : std::optional(until)});
        (end_of(*x) < end_of(*y) ? x : y)++;
    }
    return both;
}

// `there`: it is registered, though it may be cordoned, which is an absence, too, but one in which it tells what it has to tell.
void add_silent(Surroundings& around, const NodeContact& node, const std::vector<NodeAbsence>& absences, bool gone, bool there) {
    const Duration grace = around.rules.grace;
    bool open = false;
    for (const auto& absence : absences) {
        if (absence.node_id != node.id) continue;
        open = open || !absence.until;
        // Back for so short that it may not have told all.
        const bool counts = absence.until ? *absence.until + grace > around.now : !there;
        if (counts) around.silent.push_back({node.name, absence.last_seen - kReportTakes, absence.since + kReportTakes});
    }
    const bool seen = node.contact > node.registered_at;
    if (gone && !open && seen) around.silent.push_back({node.name, node.contact - kReportTakes});
    if (!gone && !open && node.contact + kContactEvery < around.now) around.silent.push_back({node.name, node.contact - kReportTakes});
    // What it has told of comes in order: what it still has is later than that.
    if (node.pending > 0) around.silent.push_back({node.name, std::max(node.reported_until, node.registered_at) - kReportTakes});
    if (node.reported_at + kSending > around.now && node.reported_until + kSending < node.reported_at) {
        around.silent.push_back({node.name, node.reported_until - kReportTakes});
    }
}

}  // namespace

LedgerRules ledger_rules(const Options& options) {
    LedgerRules rules;
    rules.grace = options.ledger_grace;
    return rules;
}

std::vector<Absence> all_absent(const std::vector<std::vector<Absence>>& absences) {
    std::vector<Absence> all{{Instant::min(), std::nullopt}};
    for (const auto& each : absences) all = intersection(all, apart(each));
    return all;
}

std::vector<ring::Member> nodes_of(soci::session& sql, const ClusterView& cluster, const std::string& runtime) {
    std::vector<ring::Member> nodes;
    std::string id, name, document;
    soci::statement statement = (sql.prepare << "SELECT id, name, document FROM nodes WHERE runtime = :runtime ORDER BY name",
                                 soci::into(id), soci::into(name), soci::into(document), soci::use(runtime));
    statement.execute();
    const auto view = cluster.runtimes.find(runtime);
    while (statement.fetch()) {
        ring::Member node{.id = id, .incarnation = {}, .name = name};
        if (const auto said = json::parse(document)) {
            Faults faults;
            json::ObjectReader{*said, "", faults}.read("labels", node.labels);
        }
        if (view != cluster.runtimes.end()) {
            if (const auto live = view->second.nodes.find(id); live != view->second.nodes.end()) node.labels = live->second.member.labels;
        }
        nodes.push_back(std::move(node));
    }
    return nodes;
}

NodesAround read_nodes(soci::session& sql, const std::string& runtime, Instant from, Instant now) {
    return {node_contacts(sql, runtime), node_absences(sql, runtime, from, now)};
}

Surroundings look_around(const NodesAround& all, const ClusterView& cluster, const std::string& runtime, const LedgerRules& rules,
                         Instant now, const std::string& only) {
    Surroundings around;
    around.now = now;
    around.rules = rules;
    const auto& absences = all.absences;
    std::vector<std::vector<Absence>> by_node;
    for (const auto& node : all.nodes) {
        if (!only.empty() && node.id != only) continue;
        std::vector<Absence> away{{Instant::min(), node.registered_at}};
        for (const auto& absence : absences) {
            if (absence.node_id == node.id) away.push_back({std::min(absence.last_seen, absence.since), absence.until});
        }
        by_node.push_back(std::move(away));
        add_silent(around, node, absences, cluster.gone(runtime, node.id), cluster.connected && cluster.online(runtime, node.id));
    }
    around.without_nodes = all_absent(by_node);
    for (const auto& absence : absences) {
        if (absence.node_id.empty()) around.without_nodes.push_back({absence.since, absence.until});
    }
    return around;
}

bool unowned(const ClusterView& cluster, const LedgerPiece& piece) {
    const Definition& definition = piece.definition;
    const auto runtime = cluster.runtimes.find(definition.runtime);
    if (definition.deleted_at || definition.versions.empty() || !cluster.connected || runtime == cluster.runtimes.end()) return false;
    if (!runtime->second.complete || !runtime->second.ring) return false;
    const DefinitionVersion& last = definition.versions.back();
    const ring::Placement anywhere{last.targets, last.labels}, here{{task::kNodeIdMark + piece.node.id}, last.labels};
    return runtime->second.ring->owner(definition.task_id, piece.node.id.empty() ? anywhere : here) == nullptr;
}

}  // namespace cloudtask::center
