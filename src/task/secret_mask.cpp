// SecretMask: see its header. Pure; one thread.
#include "cloudtask/task/secret_mask.h"

#include <algorithm>
#include <utility>

namespace cloudtask::task {

SecretMask::Search::Search(std::string text) : secret(std::move(text)), fallback(secret.size() + 1, 0) {
    for (std::size_t length = 1, shorter = 0; length < secret.size(); ++length) {
        while (shorter > 0 && secret[length] != secret[shorter]) shorter = fallback[shorter];
        if (secret[length] == secret[shorter]) ++shorter;
        fallback[length + 1] = shorter;
    }
}

bool SecretMask::Search::ends_with(char byte) {
    while (matched > 0 && secret[matched] != byte) matched = fallback[matched];
    if (secret[matched] == byte) ++matched;
    if (matched < secret.size()) return false;
    matched = fallback[matched];
    return true;
}

SecretMask::SecretMask(const std::vector<std::string>& secrets) {
    for (const std::string& secret : secrets) {
        if (!secret.empty()) searches_.emplace_back(secret);
    }
}

std::string SecretMask::take(std::string_view bytes) {
    for (const char byte : bytes) {
        waiting_ += byte;
        for (Search& search : searches_) {
            if (search.ends_with(byte)) std::fill_n(waiting_.rbegin(), search.secret.size(), '*');
        }
    }
    std::string decided = waiting_.substr(0, waiting_.size() - held());
    waiting_.erase(0, decided.size());
    return decided;
}

std::string SecretMask::finish() {
    for (Search& search : searches_) search.matched = 0;
    return std::exchange(waiting_, {});
}

std::size_t SecretMask::held() const {
    std::size_t most = 0;
    for (const Search& search : searches_) most = std::max(most, search.matched);
    return most;
}

std::size_t SecretMask::lookback() const {
    std::size_t longest = 1;
    for (const Search& search : searches_) longest = std::max(longest, search.secret.size());
    return longest - 1;
}

}  // namespace cloudtask::task
