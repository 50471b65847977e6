// Sealed boxes: bytes that anybody can seal for the holder of a key, and only the holder can open (libsodium's crypto_box_seal: X25519 with
// a fresh key for each box, XSalsa20-Poly1305). What they do not tell is who sealed them. Pure but for randomness; any thread.
#pragma once

#include <string>
#include <string_view>

#include "cloudtask/core/result.h"

namespace cloudtask {

// Both of 32 bytes.
struct KeyPair {
    std::string public_key, private_key;
};

KeyPair make_key_pair();
// Error: invalid_argument, not a private key.
Result<KeyPair> key_pair_of(std::string_view private_key);

// Error: invalid_argument, not a public key.
Result<std::string> seal(std::string_view public_key, std::string_view bytes);
// Error: corrupt: it was sealed for another key, or is not as it was sealed.
Result<std::string> open_sealed(const KeyPair& keys, std::string_view sealed);

}  // namespace cloudtask
