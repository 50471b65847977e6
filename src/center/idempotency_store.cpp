// The table idempotency_keys.
#include "center/idempotency_store.h"

#include "center/sql.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

namespace {

std::string headers_to_text(const http::Headers& headers) {
    json::Writer out;
    out.begin_object();
    for (const auto& [name, value] : headers.list()) out.member(name, value);
    out.end_object();
    return out.text();
}

http::Headers headers_from_text(const std::string& text) {
    http::Headers headers;
    const auto document = json::parse(text);
    if (!document || !document->IsObject()) return headers;
    for (const auto& member : document->GetObject()) {
        if (member.value.IsString()) headers.set(member.name.GetString(), member.value.GetString());
    }
    return headers;
}

}  // namespace

Result<std::optional<http::Response>> find_answer(soci::session& sql, const IdempotencyKey& key, Instant now) {
    std::string fingerprint, headers, body;
    int status = 0;
    const long long oldest = to_db(now - kIdempotencyLifetime);
    sql << "SELECT request_hash, status, headers, body FROM idempotency_keys WHERE principal = :principal AND key = :key AND created_at > "
           ":oldest",
        soci::use(key.principal), soci::use(key.key), soci::use(oldest), soci::into(fingerprint), soci::into(status), soci::into(headers),
        soci::into(body);
    if (!sql.got_data()) return std::optional<http::Response>{};
    if (fingerprint != key.fingerprint) {
        return fail(Errc::unsupported, "this Idempotency-Key was used for another request; use a new key for each new request");
    }
    http::Response answer;
    answer.status = status;
    answer.headers = headers_from_text(headers);
    answer.headers.set("Idempotency-Replayed", "true");
    answer.body = body;
    return std::optional<http::Response>{std::move(answer)};
}

void keep_answer(soci::session& sql, const IdempotencyKey& key, const http::Response& answer, const std::string& body, Instant now) {
    const std::string headers = headers_to_text(answer.headers);
    const long long at = to_db(now);
    sql << "INSERT INTO idempotency_keys (principal, key, request_hash, status, headers, body, created_at) "
           "VALUES (:principal, :key, :hash, :status, :headers, :body, :at) ON CONFLICT (principal, key) DO UPDATE SET "
           "request_hash = excluded.request_hash, status = excluded.status, headers = excluded.headers, body = excluded.body, "
           "created_at = excluded.created_at",
        soci::use(key.principal), soci::use(key.key), soci::use(key.fingerprint), soci::use(answer.status), soci::use(headers),
        soci::use(body), soci::use(at);
}

int erase_old_answers(soci::session& sql, Instant now, int limit) {
    const long long oldest = to_db(now - kIdempotencyLifetime);
    soci::statement erase =
        (sql.prepare << "DELETE FROM idempotency_keys WHERE (principal, key) IN (SELECT principal, key FROM idempotency_keys "
                        "WHERE created_at <= :oldest ORDER BY created_at LIMIT :limit)",
         soci::use(oldest), soci::use(limit));
    erase.execute(true);
    return static_cast<int>(erase.get_affected_rows());
}

}  // namespace cloudtask::center
