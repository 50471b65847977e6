// What ingest keeps beside runs: how far each incarnation's reports are applied, and the reports that never can be. SQL only.
//
// Any thread that holds a transaction of Store. Functions throw SOCI's errors, which Store maps.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cloudtask/core/clock.h"

namespace soci {
class session;
}

namespace cloudtask::center {

// So many dead letters are kept; the oldest go first.
inline constexpr std::int64_t kMaxDeadLetters = 10000;
// So much of a report is kept in one.
inline constexpr std::size_t kMaxDeadLetterBytes = 16 * 1024;

// The sequence of the last report that was applied; 0 when there is none.
std::int64_t read_cursor(soci::session& sql, std::string_view incarnation);
void write_cursor(soci::session& sql, std::string_view incarnation, std::string_view node_id, std::int64_t sequence, Instant now);

void add_dead_letter(soci::session& sql, std::string_view node_id, std::string_view problem, std::string_view report, Instant now);
long long count_dead_letters(soci::session& sql);

}  // namespace cloudtask::center
