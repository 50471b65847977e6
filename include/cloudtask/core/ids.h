// Identifiers: UUID version 7 (RFC 9562, section 5.7), as lower-case text of 36 characters.
#pragma once

#include <string>
#include <string_view>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/random.h"

namespace cloudtask {

// A UUIDv7: 48 bits of Unix milliseconds, then 74 bits from `random`. Sorts by time of making.
std::string make_uuid(Instant now, Random& random);

// A UUIDv7 whose 74 "random" bits are a hash of `name`: the same (instant, name) gives the same id on every machine.
std::string make_named_uuid(Instant instant, std::string_view name);

bool is_uuid(std::string_view text);

// When the UUIDv7 was made, to the millisecond; Instant{} if it is no UUID.
Instant uuid_time(std::string_view uuid);

}  // namespace cloudtask
