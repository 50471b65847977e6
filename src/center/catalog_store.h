// What nodes read of the definitions: the changes of their runtime since a revision, in order. SQL only.
//
// Any thread that holds a transaction of Store. Functions throw SOCI's errors, which Store maps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/ring/allocation.h"

namespace soci {
class session;
}

namespace cloudtask::center {

// So many tasks are in one answer (more only if one revision changed more), and about so many bytes of their documents.
inline constexpr int kCatalogPage = 500;
inline constexpr std::size_t kCatalogPageBytes = 32U << 20;
// So many superseded versions of one task are told of, the newest: it was changed more often only by mistake.
inline constexpr std::size_t kVersionsTold = 200;

struct CatalogPage {
    struct Deleted {
        std::string id;
        Instant at{};
    };
    std::int64_t revision = 0;       // what to ask with next
    bool full = false;               // `since` means nothing here: what the answer's pages do not name is gone
    std::vector<std::string> tasks;  // documents; the versions of one task beside each other, oldest first
    std::vector<Deleted> deleted;
    bool more = false;
};

// With each task that was changed or deleted since come its versions that were in force within task::kSupersededKept before `now`: also
// those of before `since`, as a node that is taking in a catalog page by page may have got past them.
CatalogPage read_catalog(soci::session& sql, std::string_view runtime, std::int64_t since, Instant now, int page = kCatalogPage);

// The highest epoch of the runtime that was ever noted; {} if there is none.
ring::Memory read_past(soci::session& sql, std::string_view runtime);
// An epoch is seen in force. Nothing changes if a higher one was noted.
void note_epoch(soci::session& sql, std::string_view runtime, const ring::Memory& seen);

struct RuntimeRevision {
    std::string runtime;
    std::int64_t revision = 0;
};
// The newest revision of each runtime's tasks, and none below what was lost; 0 for one that never had any.
std::vector<RuntimeRevision> runtime_revisions(soci::session& sql);

// ZooKeeper names a revision that this database has not given: it was restored from a backup. Its next revisions are beyond that one, so
// that no revision ever means two things, and nodes that know one of those that are lost are told everything. False, and nothing is
// changed, if it has given it.
// Nodes may have been told of up to kUnpublished more than ZooKeeper was.
inline constexpr std::int64_t kUnpublished = 10'000;
bool pass_lost_revisions(soci::session& sql, std::int64_t published);

}  // namespace cloudtask::center
