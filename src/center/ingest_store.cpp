// SQL of cursors and dead letters: see ingest_store.h.
#include "center/ingest_store.h"

#include "center/sql.h"

namespace cloudtask::center {

std::int64_t read_cursor(soci::session& sql, std::string_view incarnation) {
    const std::string key(incarnation);
    long long sequence = 0;
    sql << "SELECT sequence FROM ingest_cursors WHERE incarnation = :incarnation", soci::use(key), soci::into(sequence);
    return sql.got_data() ? sequence : 0;
}

void write_cursor(soci::session& sql, std::string_view incarnation, std::string_view node_id, std::int64_t sequence, Instant now) {
    const std::string key(incarnation), node(node_id);
    const long long value = sequence, at = to_db(now);
    sql << "INSERT INTO ingest_cursors (incarnation, node_id, sequence, updated_at) VALUES (:incarnation, :node, :sequence, :at) "
           "ON CONFLICT (incarnation) DO UPDATE SET sequence = excluded.sequence, updated_at = excluded.updated_at",
        soci::use(key), soci::use(node), soci::use(value), soci::use(at);
}

void add_dead_letter(soci::session& sql, std::string_view node_id, std::string_view problem, std::string_view report, Instant now) {
    const std::string node(node_id), why(problem), text(report.substr(0, kMaxDeadLetterBytes));
    const long long at = to_db(now), kept = kMaxDeadLetters;
    sql << "INSERT INTO dead_letters (node_id, received_at, problem, report) VALUES (:node, :at, :problem, :report)", soci::use(node),
        soci::use(at), soci::use(why), soci::use(text);
    sql << "DELETE FROM dead_letters WHERE id <= (SELECT max(id) FROM dead_letters) - :kept", soci::use(kept);
}

long long count_dead_letters(soci::session& sql) {
    long long count = 0;
    sql << "SELECT count(*) FROM dead_letters", soci::into(count);
    return count;
}

}  // namespace cloudtask::center
