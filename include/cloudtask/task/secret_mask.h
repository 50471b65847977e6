// SecretMask: a stream of bytes with stars in place of every exact occurrence of the secrets that its run was given.
//
// A star for each byte, so that offsets in what is kept are those in what was written. Occurrences that overlap are covered together, also
// where one begins in one piece of the stream and ends in another. Pure; one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cloudtask::task {

class SecretMask {
  public:
    // Empty secrets count for nothing.
    explicit SecretMask(const std::vector<std::string>& secrets);

    // What is decided of the stream up to here. What may be the beginning of a secret waits for the next piece.
    // Takes a time that is linear in the bytes, for each secret of which a beginning is under way: many secrets that are not in the stream
    // cost next to nothing.
    std::string take(std::string_view bytes);
    // What waited: the stream ends here.
    std::string finish();
    // Bytes that wait.
    std::size_t held() const;
    // Whoever goes on with a stream, with a new mask, has it take so many of the bytes before once more, and drops so many of what comes
    // out: a secret may have begun there.
    std::size_t lookback() const;

  private:
    // Knuth, Morris and Pratt's search: how much of the secret the stream ends with.
    struct Search {
        std::string secret;
        std::vector<std::size_t> fallback;  // of each length matched: the next shorter beginning that the stream ends with as well
        std::size_t matched = 0;
        std::uint64_t starred_until = 0;  // in the stream: the end of its last occurrence

        explicit Search(std::string text);
        // Whether the secret ends with this byte.
        bool ends_with(char byte);
    };

    // The search goes on with the byte that `waiting_` ends with.
    void step(Search& search, char byte);

    std::vector<Search> searches_;          // by the first byte of their secret
    std::array<std::size_t, 257> first_{};  // for each byte, the index of the first search whose secret begins with it or a later one
    std::vector<std::size_t> under_way_;    // indices of those that have matched something
    std::uint64_t taken_ = 0;               // bytes of the stream
    std::string waiting_;                   // starred as far as it is known
};

}  // namespace cloudtask::task
