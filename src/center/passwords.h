// Passwords as Argon2id hashes (RFC 9106) through libsodium. Any thread; each call takes PasswordCost's memory while it runs.
#pragma once

#include <cstdint>
#include <string>

#include "cloudtask/core/result.h"

namespace cloudtask::center {

// libsodium's "interactive" limits; tests take less.
struct PasswordCost {
    std::uint64_t operations = 2;
    std::size_t memory_bytes = 64ULL << 20;
};

// The cheapest cost that libsodium takes, for tests.
PasswordCost cheapest_password_cost();

// The hash with its salt and cost, as crypto_pwhash_str writes it. Errors: unavailable (no memory).
Result<std::string> hash_password(const std::string& password, const PasswordCost& cost);

bool verify_password(const std::string& hash, const std::string& password);

// Why a password is not accepted; empty if it is. 8 to 256 bytes, no control characters.
std::string password_problem(const std::string& password);

}  // namespace cloudtask::center
