// SecretMask: see its header. Pure; one thread.
#include "cloudtask/task/secret_mask.h"

#include <algorithm>
#include <numeric>
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
    const auto first_byte = [](const Search& search) { return static_cast<unsigned char>(search.secret.front()); };
    for (const std::string& secret : secrets) {
        if (!secret.empty()) searches_.emplace_back(secret);
    }
    std::sort(searches_.begin(), searches_.end(), [&](const Search& a, const Search& b) { return first_byte(a) < first_byte(b); });
    for (const Search& search : searches_) ++first_.at(first_byte(search) + 1U);
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
}

void SecretMask::step(Search& search, char byte) {
    if (!search.ends_with(byte)) return;
    // Of occurrences that overlap, what the former covered is starred already.
    const std::uint64_t count = std::min<std::uint64_t>(search.secret.size(), taken_ - search.starred_until);
    std::fill_n(waiting_.rbegin(), count, '*');
    search.starred_until = taken_;
}

std::string SecretMask::take(std::string_view bytes) {
    for (const char byte : bytes) {
        waiting_ += byte;
        ++taken_;
        std::erase_if(under_way_, [&](std::size_t index) {
            step(searches_[index], byte);
            return searches_[index].matched == 0;
        });
        const auto first = first_.begin() + static_cast<unsigned char>(byte);
        for (std::size_t index = *first; index < *(first + 1); ++index) {
            if (searches_[index].matched > 0) continue;
            step(searches_[index], byte);
            if (searches_[index].matched > 0) under_way_.push_back(index);
        }
    }
    std::string decided = waiting_.substr(0, waiting_.size() - held());
    waiting_.erase(0, decided.size());
    return decided;
}

std::string SecretMask::finish() {
    for (const std::size_t index : std::exchange(under_way_, {})) searches_[index].matched = 0;
    return std::exchange(waiting_, {});
}

std::size_t SecretMask::held() const {
    std::size_t most = 0;
    for (const std::size_t index : under_way_) most = std::max(most, searches_[index].matched);
    return most;
}

std::size_t SecretMask::lookback() const {
    std::size_t longest = 1;
    for (const Search& search : searches_) longest = std::max(longest, search.secret.size());
    return longest - 1;
}

}  // namespace cloudtask::task
