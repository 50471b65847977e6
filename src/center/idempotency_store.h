// Idempotency keys: what a write was answered, so that a repeated request gets the same answer and changes nothing. Kept for a day. In the
// transaction of the write itself, so that a crash cannot separate the two. Throws SOCI's errors, which Store maps.
#pragma once

#include <optional>
#include <string>

#include "cloudtask/core/clock.h"
#include "cloudtask/http/message.h"

namespace soci {
class session;
}

namespace cloudtask::center {

inline constexpr Duration kIdempotencyLifetime = std::chrono::hours{24};

struct IdempotencyKey {
    std::string principal;  // keys of one person mean nothing to another
    std::string key;
    std::string fingerprint;  // of the request: the same key with another request is a mistake of the caller
};

// The kept answer; nothing if there is none. Error: unsupported (answered 422) when the key was used for another request.
Result<std::optional<http::Response>> find_answer(soci::session& sql, const IdempotencyKey& key, Instant now);

void keep_answer(soci::session& sql, const IdempotencyKey& key, const http::Response& answer, const std::string& body, Instant now);

// Erases up to `limit` keys that are older than a day; returns how many.
int erase_old_answers(soci::session& sql, Instant now, int limit);

}  // namespace cloudtask::center
