// UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, version, 12 bits, variant, 62 bits.
#include "cloudtask/core/ids.h"

#include <array>

#include "cloudtask/core/hash.h"

namespace cloudtask {

namespace {

std::string format_uuid(Instant instant, std::array<std::uint8_t, 10> tail) {
    const auto milliseconds = static_cast<std::uint64_t>(std::chrono::floor<std::chrono::milliseconds>(instant).time_since_epoch().count());
    std::array<std::uint8_t, 16> bytes{};
    for (std::size_t i = 0; i < 6; ++i) bytes[i] = static_cast<std::uint8_t>(milliseconds >> (8 * (5 - i)));
    std::copy(tail.begin(), tail.end(), bytes.begin() + 6);
    bytes[6] = static_cast<std::uint8_t>((bytes[6] & 0x0f) | 0x70);  // version 7
    bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3f) | 0x80);  // variant 10
    std::string text;
    text.reserve(36);
    constexpr char digits[] = "0123456789abcdef";
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 0x0f];
    }
    return text;
}

}  // namespace

std::string make_uuid(Instant now, Random& random) {
    std::array<std::uint8_t, 10> tail{};
    random.fill(std::as_writable_bytes(std::span{tail}));
    return format_uuid(now, tail);
}

std::string make_named_uuid(Instant instant, std::string_view name) {
    // The first half of the hash of (name, instant to the microsecond): two fires within one millisecond differ.
    const std::uint64_t micros = static_cast<std::uint64_t>(instant.time_since_epoch().count());
    const std::uint64_t first = xxhash64(name, micros);
    const std::uint64_t second = xxhash64(name, ~micros);
    std::array<std::uint8_t, 10> tail{};
    for (std::size_t i = 0; i < 8; ++i) tail[i] = static_cast<std::uint8_t>(first >> (8 * i));
    tail[8] = static_cast<std::uint8_t>(second);
    tail[9] = static_cast<std::uint8_t>(second >> 8);
    return format_uuid(instant, tail);
}

bool is_uuid(std::string_view text) {
    if (text.size() != 36) return false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))) return false;
    }
    return true;
}

Instant uuid_time(std::string_view uuid) {
    if (!is_uuid(uuid)) return {};
    std::int64_t milliseconds = 0;
    for (const char digit : uuid.substr(0, 13)) {
        if (digit != '-') milliseconds = milliseconds * 16 + (digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    return Instant{std::chrono::milliseconds{milliseconds}};
}

}  // namespace cloudtask
