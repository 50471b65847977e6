// Sums of the ledger: see ledger_report.h.
#include "center/ledger_report.h"

#include <algorithm>

#include "center/surroundings.h"
#include "cloudtask/core/json.h"
#include "cloudtask/core/units.h"

namespace cloudtask::center {

namespace {

constexpr int kTasksPerPage = 100;

bool remarkable(const LedgerSum::Counts& counts) {
    return counts.unexpected > 0 || counts.of(FireVerdict::unexplained) > 0 || counts.of(FireVerdict::awaited) > 0;
}

void write_counts(json::Writer& out, const LedgerSum::Counts& counts) {
    out.key("counts").begin_object();
    for (std::size_t i = 0; i < kFireVerdicts; ++i) {
        out.member(to_string(static_cast<FireVerdict>(i)), counts.by_verdict[i]);
    }
    out.end_object();
}

void write_fires(json::Writer& out, std::string_view name, const std::vector<LedgerSum::Fire>& fires) {
    out.key(name).begin_array();
    for (const auto& fire : fires) {
        out.begin_object().member("task_id", fire.task_id).member("runtime", fire.runtime).member("group", fire.group);
        out.member("task_name", fire.name).member("fire_time", fire.time);
        if (!fire.piece.empty()) out.member("piece", fire.piece);
        if (!fire.note.empty()) out.member("reason", fire.note);
        out.end_object();
    }
    out.end_array();
}

}  // namespace

LedgerAccount::LedgerAccount(LedgerRequest request, std::shared_ptr<const ClusterView> cluster, Instant now)
    : request_(std::move(request)), cluster_(std::move(cluster)), now_(now), budget_(request_.max_fires, request_.over) {}

// The ledger of one piece of the task that is at hand; it stays where it is.
struct LedgerAccount::PieceLedger {
    LedgerPiece piece;
    LedgerSum::TaskRow& row;
    Surroundings around;
    const Covers& covers;
    std::map<std::int64_t, std::optional<Instant>> overtaken = {};  // by version
    std::optional<TaskLedger> ledger = {};
};

const Surroundings& LedgerAccount::around(soci::session& sql, const std::string& runtime, const std::string& node_id) {
    auto of = around_.find(runtime);
    if (of == around_.end()) of = around_.emplace(runtime, Around{read_nodes(sql, runtime, earliest(), now_), {}}).first;
    Around& all = of->second;
    const auto known = all.by_node.find(node_id);
    if (known != all.by_node.end()) return known->second;
    return all.by_node.emplace(node_id, look_around(all.nodes, *cluster_, runtime, request_.rules, now_, node_id)).first->second;
}

std::vector<LedgerPiece> LedgerAccount::pieces_of(soci::session& sql, Definition definition) const {
    const auto nodes = is_broadcast(definition) ? nodes_of(sql, *cluster_, definition.runtime) : std::vector<ring::Member>{};
    return ledger_pieces(std::move(definition), nodes);
}

// Where the interval of any task may begin.
Instant LedgerAccount::earliest() const { return request_.from - (request_.back_by_tolerance ? LedgerRequest::kFarthestBack : Duration{}); }

LedgerAccount::Interval LedgerAccount::interval_of(const Definition& definition) const {
    if (!request_.back_by_tolerance || definition.versions.empty()) return {request_.from, request_.to};
    Duration least = LedgerRequest::kFarthestBack, most{};
    for (const auto& version : definition.versions) {
        const Duration tolerance = std::clamp(version.tolerance, Duration{}, LedgerRequest::kFarthestBack);
        least = std::min(least, tolerance);
        most = std::max(most, tolerance);
    }
    return {request_.from - most, request_.to - least};
}

void LedgerAccount::list(std::vector<LedgerSum::Fire>& fires, const PieceLedger& of, Instant time, std::string note) const {
    const LedgerSum::TaskRow& row = of.row;
    if (fires.size() >= LedgerSum::kMaxFires) return;
    fires.push_back({row.id, row.runtime, row.group, row.name, time, piece_name(of.piece), std::move(note)});
}

void LedgerAccount::count(const PieceLedger& of, Instant time, const Judgement& judgement) {
    ++of.row.counts.due;
    ++of.row.counts.by_verdict[static_cast<std::size_t>(judgement.verdict)];
    if (!judgement.reason.empty()) {
        const std::pair key{judgement.verdict, judgement.reason};
        if (sum_.reasons.contains(key) || sum_.reasons.size() < LedgerSum::kMaxReasons) {
            ++sum_.reasons[key];
        } else {
            ++sum_.reasons[{judgement.verdict, "other"}];
        }
    }
    if (judgement.verdict == FireVerdict::unexplained) list(sum_.unexplained, of, time, {});
    if (judgement.verdict == FireVerdict::awaited) list(sum_.awaited, of, time, judgement.reason);
}

void LedgerAccount::add(LedgerSum::TaskRow row) {
    if (row.counts.due == 0 && row.counts.unexpected == 0) return;
    ++sum_.tasks;
    sum_.counts.due += row.counts.due;
    sum_.counts.unexpected += row.counts.unexpected;
    for (std::size_t i = 0; i < kFireVerdicts; ++i) sum_.counts.by_verdict[i] += row.counts.by_verdict[i];
    const std::size_t room = remarkable(row.counts) ? 2 * LedgerSum::kMaxRows : LedgerSum::kMaxRows;
    if (sum_.rows.size() < room) sum_.rows.push_back(std::move(row));
}

void LedgerAccount::list_unreadable(const Definition& definition, const Interval& interval) {
    const auto tenures = tenures_of(definition);
    for (std::size_t i = 0; i < tenures.size() && sum_.unreadable.size() < LedgerSum::kMaxUnreadable; ++i) {
        const DefinitionVersion& version = definition.versions[i];
        const Instant from = std::max(tenures[i].after, interval.from), to = std::min(tenures[i].until, interval.to);
        if (version.problem.empty() || from >= to) continue;
        sum_.unreadable.push_back(
            {definition.task_id, definition.runtime, definition.group, definition.name, version.version, from, to, version.problem});
    }
}

Error LedgerAccount::spent() const {
    if (budget_.late()) return {make_error_code(Errc::timeout), {}};
    return {make_error_code(Errc::too_large),
            fmt::format("there are more than {} fires in that interval; ask for a shorter one, or for one task, group or runtime",
                        request_.max_fires)};
}

Result<> LedgerAccount::account(soci::session& sql, const std::string& task_id) {
    // A change explains also fires before it: those that were due and not started yet.
    const auto definition = read_definition(sql, task_id, earliest(), std::max(request_.to, now_));
    const bool other_group = !request_.scope.group.empty() && definition.group != request_.scope.group;
    if (definition.versions.empty() || other_group) return {};
    if (!budget_.has_time()) return tl::unexpected<Error>(spent());

    LedgerSum::TaskRow row{task_id, definition.runtime, definition.group, definition.name, definition.deleted_at.has_value(), {}};
    const Interval interval = interval_of(definition);
    list_unreadable(definition, interval);
    const auto covers = read_covers(sql, task_id, interval.from, interval.to);
    static const Covers kNoCovers;
    std::map<std::string, PieceLedger> ledgers;  // by piece
    const auto begin = [&](LedgerPiece piece) -> PieceLedger& {
        const std::string id = piece.id;
        const auto covered = covers.find(id);
        const Covers& of_piece = covered == covers.end() ? kNoCovers : covered->second;
        const Surroundings& surroundings = around(sql, definition.runtime, piece.node.id);
        PieceLedger& mine = ledgers.try_emplace(id, PieceLedger{std::move(piece), row, surroundings, of_piece}).first->second;
        mine.around.unowned = unowned(*cluster_, mine.piece);
        mine.ledger.emplace(
            TaskLedger::Parts{.definition = mine.piece.definition,
                              .from = interval.from,
                              .to = interval.to,
                              .covers = mine.covers,
                              .surroundings = mine.around,
                              .overtaken_until =
                                  [&, id](std::int64_t version) {
                                      const auto known = mine.overtaken.find(version);
                                      if (known != mine.overtaken.end()) return known->second;
                                      const auto last = last_fire_before_version(sql, task_id, id, version, interval.from, now_);
                                      return mine.overtaken.emplace(version, last).first->second;
                                  },
                              .fire = [this, &mine](Instant time, const Judgement& judgement) { count(mine, time, judgement); },
                              .unexpected =
                                  [this, &mine](const FireRecord& first) {
                                      ++mine.row.counts.unexpected;
                                      list(sum_.unexpected, mine, first.fire_time,
                                           fmt::format("{} by version {}", task::to_string(first.state), first.task_version));
                                  },
                              .budget = budget_});
        return mine;
    };
    for (auto& piece : pieces_of(sql, definition)) begin(std::move(piece));
    visit_fire_records(sql, task_id, interval.from, interval.to, [&](FireRecord record) {
        const auto known = ledgers.find(record.piece);
        PieceLedger& mine = known != ledgers.end() ? known->second : begin(unknown_piece(definition, record.piece));
        mine.ledger->take(std::move(record));
        return !budget_.exhausted();
    });
    for (auto& [id, mine] : ledgers) mine.ledger->finish();
    add(std::move(row));
    if (budget_.exhausted()) return tl::unexpected<Error>(spent());
    return {};
}

Result<bool> LedgerAccount::next_page(Store& store, int tasks) {
    bool more = false;
    const auto page = [&](soci::session& sql) -> Result<> {
        const auto ids = ledger_tasks(sql, request_.scope, earliest() - request_.rules.after_change, last_, tasks);
        for (const auto& id : ids) {
            if (auto accounted = account(sql, id); !accounted) return accounted;
            last_ = id;
        }
        more = ids.size() == static_cast<std::size_t>(tasks);
        return {};
    };
    const auto read = store.read(page, request_.over);
    if (!read) return propagate(read);
    return more;
}

Result<LedgerSum> make_ledger(Store& store, std::shared_ptr<const ClusterView> cluster, Instant now, const LedgerRequest& request) {
    LedgerAccount account(request, std::move(cluster), now);
    for (;;) {
        const auto more = account.next_page(store, kTasksPerPage);
        if (!more) return propagate(more);
        if (!*more) return account.sum();
    }
}

std::string ledger_json(const LedgerRequest& request, const LedgerSum& sum, Instant now) {
    json::Writer out;
    out.begin_object().member("from", request.from).member("to", request.to).member("as_of", now);
    out.member("late", format_duration(request.rules.late)).member("grace", format_duration(request.rules.grace));
    out.member("due", sum.counts.due);
    write_counts(out, sum.counts);
    out.member("unexpected", sum.counts.unexpected);
    out.key("reasons").begin_array();
    for (const auto& [key, count] : sum.reasons) {
        out.begin_object().member("verdict", to_string(key.first)).member("reason", key.second).member("count", count).end_object();
    }
    out.end_array().member("task_count", sum.tasks).key("tasks").begin_array();
    for (const auto& row : sum.rows) {
        out.begin_object().member("id", row.id).member("runtime", row.runtime).member("group", row.group).member("name", row.name);
        out.member("deleted", row.deleted).member("due", row.counts.due);
        write_counts(out, row.counts);
        out.member("unexpected", row.counts.unexpected).end_object();
    }
    out.end_array();
    write_fires(out, "unexplained_fires", sum.unexplained);
    write_fires(out, "unexpected_fires", sum.unexpected);
    write_fires(out, "awaited_fires", sum.awaited);
    out.key("unreadable").begin_array();
    for (const auto& each : sum.unreadable) {
        out.begin_object().member("task_id", each.task_id).member("runtime", each.runtime).member("group", each.group);
        out.member("task_name", each.name).member("version", each.version).member("from", each.from).member("to", each.to);
        out.member("problem", each.problem).end_object();
    }
    out.end_array();
    out.end_object();
    return out.text();
}

}  // namespace cloudtask::center
