// Hashes and encodings: xxHash64 for placement, SHA-256 for content, hex and base64 for text. Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cloudtask/core/result.h"

namespace cloudtask {

std::uint64_t xxhash64(std::string_view data, std::uint64_t seed = 0);

// SHA-256 of a stream of bytes (FIPS 180-4).
class Sha256 {
  public:
    Sha256();
    ~Sha256();
    Sha256(Sha256&&) noexcept;
    Sha256& operator=(Sha256&&) noexcept;

    void update(std::string_view data);
    // The digest in 64 lower-case hexadecimal digits. Ends the stream: call once.
    std::string finish_hex();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view data);
bool is_sha256_hex(std::string_view text);

std::string to_hex(std::string_view bytes);
// RFC 4648 base64 with padding.
std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);

// RFC 4648 base64url without padding; for tokens and cursors.
std::string to_base64url(std::string_view bytes);
Result<std::string> from_base64url(std::string_view text);

}  // namespace cloudtask
