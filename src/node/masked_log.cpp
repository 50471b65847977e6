// Masked log views: see masked_log.h.
#include "node/masked_log.h"

#include <algorithm>

#include "cloudtask/task/secret_mask.h"
#include "cloudtask/task/secrets.h"

namespace cloudtask::node {

namespace {

// A stretch of the view that is one piece of what the child wrote.
struct Stretch {
    std::uint64_t begin = 0, end = 0;           // in the view
    bool begins_cut = false, ends_cut = false;  // what came before or follows is gone
};

void star(std::string& text, std::size_t from, std::size_t until) {
    for (std::size_t i = from; i < until && i < text.size(); ++i) {
        if (text[i] != '\n') text[i] = '*';
    }
}

// How much of the end of `text` may be the beginning of a secret. Of each only as much is looked at as it is long: a value of many lines is
// many short texts beside the one long one.
std::size_t begun_secret(const std::vector<std::string>& secrets, std::string_view text) {
    std::size_t most = 0;
    for (const auto& secret : secrets) {
        if (secret.size() <= most + 1) continue;
        task::SecretMask mask({secret});
        mask.take(text.substr(text.size() - std::min(text.size(), secret.size() - 1)));
        most = std::max(most, mask.held());
    }
    return most;
}

// How much of the beginning of `text` may be the end of a secret.
std::size_t end_of_secret(const std::vector<std::string>& secrets, std::string_view text) {
    std::vector<std::string> backwards = secrets;
    for (auto& secret : backwards) std::reverse(secret.begin(), secret.end());
    return begun_secret(backwards, std::string(text.rbegin(), text.rend()));
}

// [offset, until) of the view, which lie in the stretch.
Result<std::string> read_stretch(const std::string& path, const LogShape& shape, const Stretch& stretch, std::uint64_t offset,
                                 std::uint64_t until, const RunMask& mask) {
    task::SecretMask masking(mask.texts);
    const std::uint64_t around = masking.lookback();
    const std::uint64_t from = offset - std::min(around, offset - stretch.begin);
    const std::uint64_t to = std::min(until + around, stretch.end);
    const auto bytes = read_log(path, shape, from, to - from);
    if (!bytes) return propagate(bytes);
    std::string masked = masking.take(*bytes);
    const std::size_t under_way = masking.held();
    masked += masking.finish();
    if (stretch.ends_cut && to == stretch.end) star(masked, masked.size() - under_way, masked.size());
    if (stretch.begins_cut && from == stretch.begin) {
        star(masked, 0, end_of_secret(mask.texts, std::string_view(*bytes).substr(0, around)));
    }
    if (mask.everything) star(masked, 0, masked.size());
    if (masked.size() <= offset - from) return std::string{};
    return masked.substr(offset - from, until - offset);
}

}  // namespace

std::vector<std::string> masked_texts(std::string_view value) {
    std::vector<std::string> texts{std::string(value)};
    const auto add = [&](std::string_view text) {
        if (text.size() >= task::kShortestSecret && std::find(texts.begin(), texts.end(), text) == texts.end()) texts.emplace_back(text);
    };
    add(value.substr(0, value.find_last_not_of("\r\n") + 1));
    for (std::size_t at = 0; at < value.size();) {
        const std::size_t end = std::min(value.find('\n', at), value.size());
        std::string_view line = value.substr(at, end - at);
        if (line.ends_with('\r')) line.remove_suffix(1);
        add(line);
        at = end + 1;
    }
    return texts;
}

Result<std::string> read_masked_log(const std::string& path, const LogShape& shape, std::uint64_t offset, std::size_t max,
                                    const RunMask& mask) {
    const std::uint64_t end = std::min<std::uint64_t>(shape.available(), offset + max);
    const bool cut = shape.final && shape.cut();
    const std::uint64_t head = cut ? shape.head() : shape.available();
    std::string out;
    if (offset < std::min(end, head)) {
        auto read = read_stretch(path, shape, {0, head, false, cut}, offset, std::min(end, head), mask);
        if (!read || !cut || end <= head) return read;
        out = std::move(*read);
    }
    if (!cut) return out;
    const std::uint64_t tail = head + shape.marker().size();
    if (offset < tail && end > head) {
        auto marker = read_log(path, shape, std::max(offset, head), std::min(end, tail) - std::max(offset, head));
        if (!marker) return marker;
        out += *marker;
    }
    if (end > tail) {
        auto read = read_stretch(path, shape, {tail, shape.available(), true, false}, std::max(offset, tail), end, mask);
        if (!read) return read;
        out += *read;
    }
    return out;
}

std::uint64_t undecided(const std::string& path, const LogShape& shape, const RunMask& mask) {
    std::uint64_t longest = 1;
    for (const auto& text : mask.texts) longest = std::max<std::uint64_t>(longest, text.size());
    const std::uint64_t available = shape.available(), around = std::min(longest - 1, available);
    const auto bytes = read_log(path, shape, available - around, around);
    return bytes ? begun_secret(mask.texts, *bytes) : around;
}

}  // namespace cloudtask::node
