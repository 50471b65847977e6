// SecretMask: a stream of bytes with stars in place of every exact occurrence of the secrets that its run was given.
//
// A star for each byte, so that offsets in what is kept are those in what was written. Occurrences that overlap are covered together, also
// where one begins in one piece of the stream and ends in another. Pure; one thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cloudtask::task {

class SecretMask {
  public:
    // Empty secrets count for nothing.
    explicit SecretMask(const std::vector<std::string>& secrets);

    // What is decided of the stream up to here. What may be the beginning of a secret waits for the next piece.
    // Takes a time that is linear in the bytes, for each secret.
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

        explicit Search(std::string text);
        // Whether the secret ends with this byte.
        bool ends_with(char byte);
    };

    std::vector<Search> searches_;
    std::string waiting_;  // starred as far as it is known
};

}  // namespace cloudtask::task
