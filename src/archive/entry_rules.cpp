// The rules on archive entries. Pure; nothing here knows an archive library or the disk.
#include "archive/entry_rules.h"

#include <algorithm>
#include <vector>

#include "cloudtask/core/units.h"

namespace cloudtask::archive {
namespace {

constexpr std::size_t kLongestPart = 255;  // NAME_MAX of Linux's file systems

std::vector<std::string_view> parts_of(std::string_view path) {
    std::vector<std::string_view> parts;
    while (!path.empty()) {
        const std::string_view part = path.substr(0, path.find('/'));
        if (!part.empty() && part != ".") parts.push_back(part);
        path.remove_prefix(std::min(part.size() + 1, path.size()));
    }
    return parts;
}

bool has_control_character(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

// RFC 3629: shortest forms only, no surrogates, nothing beyond U+10FFFF.
bool is_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const std::size_t length = lead < 0x80                   ? 1
                                   : lead >= 0xC2 && lead < 0xE0 ? 2
                                   : (lead & 0xF0) == 0xE0       ? 3
                                   : lead >= 0xF0 && lead < 0xF5 ? 4
                                                                 : 0;
        if (length == 0 || i + length > text.size()) return false;
        std::uint32_t point = length == 1 ? lead : lead & (0xFFU >> (length + 1));
        for (std::size_t k = 1; k < length; ++k) {
            const auto next = static_cast<unsigned char>(text[i + k]);
            if ((next & 0xC0) != 0x80) return false;
            point = point << 6 | (next & 0x3FU);
        }
        if ((length == 3 && (point < 0x800 || (point >= 0xD800 && point < 0xE000))) ||
            (length == 4 && (point < 0x10000 || point > 0x10FFFF))) {
            return false;
        }
        i += length;
    }
    return true;
}

// What is wrong with a path as a text, wherever it leads.
std::string fault_of_text(std::string_view text) {
    if (text.empty()) return "is empty";
    if (has_control_character(text)) return "holds a control character";
    if (!is_utf8(text)) return "is not UTF-8";
    // On Windows these lead elsewhere.
    if (text.find('\\') != std::string_view::npos) return "holds a backslash";
    if (text.size() >= 2 && text[1] == ':' && ((text[0] | 0x20) >= 'a' && (text[0] | 0x20) <= 'z')) return "begins with a drive letter";
    return {};
}

}  // namespace

std::string printable(std::string_view text) {
    std::string shown{text.substr(0, 100)};
    std::replace_if(shown.begin(), shown.end(), [](char c) { return c < 0x20 || c >= 0x7F; }, '?');
    return text.size() > 100 ? shown + "..." : shown;
}

std::string fault_of_file_name(std::string_view name) {
    if (std::string fault = fault_of_text(name); !fault.empty()) return fault;
    if (name.find('/') != std::string_view::npos) return "holds a '/'";
    if (name == "." || name == "..") return "is a folder's";
    if (name.size() > kLongestPart) return fmt::format("is longer than {} bytes", kLongestPart);
    return {};
}

Result<std::string> EntryRules::clean(std::string_view name, std::string_view shown) const {
    if (const std::string fault = fault_of_text(name); !fault.empty()) {
        return fail(Errc::invalid_argument, "a name in the archive {}: '{}'", fault, shown);
    }
    if (name.front() == '/') return fail(Errc::invalid_argument, "'{}' in the archive is an absolute path", shown);
    if (name.size() > limits_.max_name) return fail(Errc::invalid_argument, "a name in the archive is too long: '{}'", shown);
    const std::vector<std::string_view> parts = parts_of(name);
    if (parts.size() > limits_.max_depth) {
        return fail(Errc::invalid_argument, "'{}' in the archive lies more than {} folders deep", shown, limits_.max_depth);
    }
    std::string path;
    for (const std::string_view part : parts) {
        if (part == "..") return fail(Errc::invalid_argument, "'{}' in the archive climbs with '..'", shown);
        if (part.size() > kLongestPart) return fail(Errc::invalid_argument, "a name in the archive is too long: '{}'", shown);
        if (!path.empty()) path += '/';
        path += part;
    }
    return path;
}

Result<> EntryRules::note_parents(const std::string& path, const std::string& shown) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
        const auto [parent, added] = known_.try_emplace(path.substr(0, slash), Known{Kind::folder, 0});
        if (!added && parent->second.kind != Kind::folder) {
            return fail(Errc::invalid_argument, "'{}' in the archive lies behind '{}', which is not a folder", shown,
                        printable(parent->first));
        }
    }
    return {};
}

Result<> EntryRules::check_symbolic_link(const Entry& entry) const {
    const std::string shown = printable(entry.name), shown_target = printable(entry.target);
    if (const std::string fault = fault_of_text(entry.target); !fault.empty()) {
        return fail(Errc::invalid_argument, "the target of the link '{}' {}", shown, fault);
    }
    if (entry.target.front() == '/' || entry.target.size() > limits_.max_name) {
        return fail(Errc::invalid_argument, "the link '{}' leads outside the archive ('{}')", shown, shown_target);
    }
    auto depth = std::count(entry.name.begin(), entry.name.end(), '/');
    bool down = false;
    for (const std::string_view part : parts_of(entry.target)) {
        if (part != "..") {
            down = true;
        } else if (down) {
            return fail(Errc::invalid_argument, "the link '{}' climbs in the middle of its target ('{}')", shown, shown_target);
        } else if (--depth < 0) {
            return fail(Errc::invalid_argument, "the link '{}' leads outside the archive ('{}')", shown, shown_target);
        }
    }
    return {};
}

Result<> EntryRules::admit(Entry& entry) {
    const std::string shown = printable(entry.name);
    if (++entries_ > limits_.max_entries) return fail(Errc::too_large, "the archive holds more than {} entries", limits_.max_entries);
    if (entry.encrypted) return fail(Errc::invalid_argument, "'{}' in the archive is encrypted", shown);
    if (entry.kind == Kind::other) {
        return fail(Errc::invalid_argument, "'{}' in the archive is a device, pipe or socket", shown);
    }

    Result<std::string> path = clean(entry.name, shown);
    if (!path) return propagate(path);
    if (path->empty()) {
        if (entry.kind != Kind::folder) return fail(Errc::invalid_argument, "'{}' in the archive is no name for a file", shown);
        entry.name.clear();
        return {};
    }
    if (Result<> parents = note_parents(*path, shown); !parents) return parents;
    entry.name = std::move(*path);

    std::uint64_t size = 0;
    if (entry.kind == Kind::file) {
        size = entry.size;
    } else if (entry.kind == Kind::symbolic_link) {
        if (Result<> link = check_symbolic_link(entry); !link) return link;
    } else if (entry.kind == Kind::hard_link) {
        Result<std::string> target = clean(entry.target, printable(entry.target));
        if (!target) return propagate(target);
        const auto known = known_.find(*target);
        if (known == known_.end() || (known->second.kind != Kind::file && known->second.kind != Kind::hard_link)) {
            return fail(Errc::invalid_argument, "the hard link '{}' names no file before it in the archive ('{}')", shown,
                        printable(entry.target));
        }
        entry.target = std::move(*target);
        // A run gets a copy of its own of each, so each counts.
        size = known->second.size;
    }

    const auto [known, added] = known_.try_emplace(entry.name, Known{entry.kind, size});
    if (!added && (known->second.kind != Kind::folder || entry.kind != Kind::folder)) {
        return fail(Errc::invalid_argument, "'{}' is in the archive twice", shown);
    }
    if (entry.kind != Kind::folder) ++files_;
    return count(size);
}

Result<> EntryRules::count(std::uint64_t bytes) {
    // No sum here can overflow: what is beyond the limit ends the walk.
    if (bytes > limits_.max_bytes || bytes_ + bytes > limits_.max_bytes) {
        return fail(Errc::too_large, "the archive unpacks to more than {}", format_size(limits_.max_bytes));
    }
    bytes_ += bytes;
    if (bytes_ > limits_.ratio_from && bytes_ / limits_.max_ratio > packed_bytes_) {
        return fail(Errc::too_large, "the archive unpacks to more than {} times its size", limits_.max_ratio);
    }
    return {};
}

Result<Summary> EntryRules::finish(Format format) const {
    if (files_ == 0) return fail(Errc::invalid_argument, "the archive holds no file");
    return Summary{format, entries_, bytes_};
}

}  // namespace cloudtask::archive
