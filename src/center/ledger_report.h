// The ledger over many tasks: sums by verdict and reason, and what is not accounted for. Worker threads; each page of tasks is one read
// transaction, so that nothing is held for long.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "center/cluster_view.h"
#include "center/ledger_pieces.h"
#include "center/ledger_store.h"
#include "center/store.h"
#include "center/surroundings.h"

namespace cloudtask::center {

struct LedgerRequest {
    static constexpr std::uint64_t kMaxFires = 1'000'000;
    static constexpr Duration kMaxInterval = std::chrono::hours{24 * 92};
    static constexpr Duration kFarthestBack = std::chrono::hours{24 * 7};

    Instant from{}, to{};
    LedgerScope scope;
    LedgerRules rules;
    std::uint64_t max_fires = kMaxFires;
    // For gauges: of each task the fires whose misfire tolerance ended in [from, to), which were due earlier by it, kFarthestBack at most.
    bool back_by_tolerance = false;
    std::function<bool()> over;  // the time is up; asked now and then, on the thread that works. Empty: there is time
};

struct LedgerSum {
    static constexpr std::size_t kMaxRows = 1000;   // of tasks
    static constexpr std::size_t kMaxFires = 1000;  // of each list
    static constexpr std::size_t kMaxReasons = 100;
    static constexpr std::size_t kMaxUnreadable = 1000;

    struct Counts {
        std::array<std::uint64_t, kFireVerdicts> by_verdict{};
        std::uint64_t due = 0, unexpected = 0;
        std::uint64_t of(FireVerdict verdict) const { return by_verdict[static_cast<std::size_t>(verdict)]; }
    };
    struct TaskRow {
        std::string id, runtime, group, name;
        bool deleted = false;
        Counts counts;
    };
    struct Fire {
        std::string task_id, runtime, group, name;
        Instant time{};
        std::string piece, note;  // piece: "shard 3", "node node-1"; empty: of a single task
    };
    // A version of a definition that cannot be read, and the part of the interval for which it is not known what was due.
    struct Unreadable {
        std::string task_id, runtime, group, name;
        std::int64_t version = 0;
        Instant from{}, to{};
        std::string problem;
    };
    Counts counts;
    std::map<std::pair<FireVerdict, std::string>, std::uint64_t> reasons;
    std::uint64_t tasks = 0;    // that had a fire, or a run of one, in the interval
    std::vector<TaskRow> rows;  // the first, and of the others those with a fire in one of the lists
    std::vector<Fire> unexplained, unexpected, awaited;
    std::vector<Unreadable> unreadable;
};

class LedgerAccount {
  public:
    LedgerAccount(LedgerRequest request, std::shared_ptr<const ClusterView> cluster, Instant now);

    // Accounts for the next tasks, `tasks` at most. False: that was all. Errors: too_large: more fires than the request allows; timeout:
    // the request's time is up; the store's.
    Result<bool> next_page(Store& store, int tasks);
    const LedgerSum& sum() const { return sum_; }
    Instant now() const { return now_; }

  private:
    Result<> account(soci::session& sql, const std::string& task_id);
    struct Interval {
        Instant from{}, to{};
    };
    Interval interval_of(const Definition& definition) const;
    Instant earliest() const;
    struct PieceLedger;
    // What is known of a runtime's nodes, and of each of them for itself ("": of all together).
    struct Around {
        NodesAround nodes;
        std::map<std::string, Surroundings> by_node;
    };
    const Surroundings& around(soci::session& sql, const std::string& runtime, const std::string& node_id);
    std::vector<LedgerPiece> pieces_of(soci::session& sql, Definition definition) const;
    void count(const PieceLedger& of, Instant time, const Judgement& judgement);
    void list(std::vector<LedgerSum::Fire>& fires, const PieceLedger& of, Instant time, std::string note) const;
    void add(LedgerSum::TaskRow row);
    void list_unreadable(const Definition& definition, const Interval& interval);
    Error spent() const;

    LedgerRequest request_;
    std::shared_ptr<const ClusterView> cluster_;
    Instant now_;
    std::map<std::string, Around> around_;  // by runtime
    std::string last_;                      // id of the last task
    LedgerBudget budget_;
    LedgerSum sum_;
};

// All of it.
Result<LedgerSum> make_ledger(Store& store, std::shared_ptr<const ClusterView> cluster, Instant now, const LedgerRequest& request);

// As docs/wire.md gives it.
std::string ledger_json(const LedgerRequest& request, const LedgerSum& sum, Instant now);

}  // namespace cloudtask::center
