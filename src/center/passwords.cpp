// Argon2id through libsodium's crypto_pwhash_str.
#include "center/passwords.h"

#include <array>

#include <sodium.h>

#include "cloudtask/core/check.h"

namespace cloudtask::center {

namespace {

constexpr std::size_t kMinLength = 8;
constexpr std::size_t kMaxLength = 256;

void need_sodium() { CLOUDTASK_CHECK(sodium_init() >= 0, "libsodium cannot be initialised"); }

}  // namespace

PasswordCost cheapest_password_cost() { return {crypto_pwhash_OPSLIMIT_MIN, crypto_pwhash_MEMLIMIT_MIN}; }

Result<std::string> hash_password(const std::string& password, const PasswordCost& cost) {
    need_sodium();
    std::array<char, crypto_pwhash_STRBYTES> hash{};
    if (crypto_pwhash_str_alg(hash.data(), password.data(), password.size(), cost.operations, cost.memory_bytes,
                              crypto_pwhash_ALG_ARGON2ID13) != 0) {
        return fail(Errc::unavailable, "not enough memory to hash a password now, try again later");
    }
    return std::string{hash.data()};
}

bool verify_password(const std::string& hash, const std::string& password) {
    need_sodium();
    // crypto_pwhash_str_verify reads a buffer of the full size.
    std::array<char, crypto_pwhash_STRBYTES> padded{};
    if (hash.size() >= padded.size()) return false;
    hash.copy(padded.data(), hash.size());
    return crypto_pwhash_str_verify(padded.data(), password.data(), password.size()) == 0;
}

std::string password_problem(const std::string& password) {
    if (password.size() < kMinLength || password.size() > kMaxLength) return "must have 8 to 256 characters";
    for (const char c : password) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) return "must not hold control characters";
    }
    return {};
}

}  // namespace cloudtask::center
