// UTF-8 repair of a stream: see utf8_stream.h. Well-formed sequences are those of The Unicode Standard, table 3-7.
#include "center/utf8_stream.h"

#include <utility>

namespace cloudtask::center {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

struct Step {
    std::size_t length;  // bytes that belong together
    enum class Kind { character, broken, unfinished } kind;
};

// The sequence at the beginning of `bytes`, which is not empty.
Step next_sequence(std::string_view bytes) {
    const auto lead = static_cast<unsigned char>(bytes[0]);
    if (lead < 0x80) return {1, Step::Kind::character};
    std::size_t length = 0;
    unsigned char low = 0x80, high = 0xBF;  // bounds of the second byte
    if (lead >= 0xC2 && lead <= 0xDF) {
        length = 2;
    } else if (lead >= 0xE0 && lead <= 0xEF) {
        length = 3;
        if (lead == 0xE0) low = 0xA0;
        if (lead == 0xED) high = 0x9F;  // no surrogates
    } else if (lead >= 0xF0 && lead <= 0xF4) {
        length = 4;
        if (lead == 0xF0) low = 0x90;
        if (lead == 0xF4) high = 0x8F;  // U+10FFFF is the last
    } else {
        return {1, Step::Kind::broken};
    }
    for (std::size_t at = 1; at < length; ++at) {
        if (at == bytes.size()) return {at, Step::Kind::unfinished};
        const auto byte = static_cast<unsigned char>(bytes[at]);
        if (byte < low || byte > high) return {at, Step::Kind::broken};
        low = 0x80;
        high = 0xBF;
    }
    return {length, Step::Kind::character};
}

}  // namespace

std::string Utf8Stream::take(std::string_view bytes) {
    std::string joined;
    if (!rest_.empty()) {
        joined = std::exchange(rest_, {});
        joined.append(bytes);
        bytes = joined;
    }
    std::string text;
    text.reserve(bytes.size());
    while (!bytes.empty()) {
        const auto [length, kind] = next_sequence(bytes);
        if (kind == Step::Kind::unfinished) {
            rest_ = bytes;
            break;
        }
        text.append(kind == Step::Kind::character ? bytes.substr(0, length) : kReplacement);
        bytes.remove_prefix(length);
    }
    return text;
}

std::string Utf8Stream::finish() { return std::exchange(rest_, {}).empty() ? std::string{} : std::string(kReplacement); }

}  // namespace cloudtask::center
