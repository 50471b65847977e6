// Signatures by libsodium's HMAC: see signature.h. Pure; any thread.
#include "node/http/signature.h"

#include <fmt/format.h>
#include <sodium/crypto_auth_hmacsha256.h>

#include "cloudtask/core/hash.h"

namespace cloudtask::node {

std::string hmac_sha256(std::string_view key, std::string_view text) {
    const auto bytes = [](std::string_view view) { return reinterpret_cast<const unsigned char*>(view.data()); };
    crypto_auth_hmacsha256_state state;
    crypto_auth_hmacsha256_init(&state, bytes(key), key.size());
    crypto_auth_hmacsha256_update(&state, bytes(text), text.size());
    std::string out(crypto_auth_hmacsha256_BYTES, '\0');
    crypto_auth_hmacsha256_final(&state, reinterpret_cast<unsigned char*>(out.data()));
    return out;
}

std::string call_signature(std::string_view key, Instant now, std::string_view method, std::string_view url, std::string_view body) {
    const auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
    return fmt::format("t={},v1={}", seconds, to_hex(hmac_sha256(key, fmt::format("{}\n{}\n{}\n{}", seconds, method, url, body))));
}

}  // namespace cloudtask::node
