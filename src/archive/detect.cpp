// Which format a file has, by its first bytes and its name.
#include <array>
#include <cerrno>
#include <fstream>

#include "archive/entry_rules.h"
#include "cloudtask/archive/archive.h"

namespace cloudtask::archive {
namespace {

using std::string_view_literals::operator""sv;

struct Signature {
    std::size_t offset;
    std::string_view bytes;
    std::string_view name;
};

// What people upload by mistake; each is in the format's own specification, or in file(1)'s list.
constexpr std::array kOtherArchives = {
    Signature{0,
              "\xFD"
              "7zXZ\0"sv,
              "xz"},
    Signature{0, "BZh"sv, "bzip2"},
    Signature{0, "\x28\xB5\x2F\xFD"sv, "zstd"},
    Signature{0, "7z\xBC\xAF\x27\x1C"sv, "7-Zip"},
    Signature{0, "Rar!\x1A\x07"sv, "RAR"},
    Signature{257, "ustar"sv, "uncompressed tar"},
    Signature{0, "PK\x07\x08"sv, "split zip"},
};

bool has(std::string_view begin, const Signature& signature) {
    return begin.size() >= signature.offset && begin.substr(signature.offset).starts_with(signature.bytes);
}

bool ends_with(std::string_view name, std::string_view ending) {
    if (name.size() <= ending.size()) return false;
    const std::string_view last = name.substr(name.size() - ending.size());
    for (std::size_t i = 0; i < ending.size(); ++i) {
        const char c = last[i] >= 'A' && last[i] <= 'Z' ? static_cast<char>(last[i] - 'A' + 'a') : last[i];
        if (c != ending[i]) return false;
    }
    return true;
}

}  // namespace

std::string_view to_string(Format format) {
    switch (format) {
        case Format::tar_gz:
            return "tar.gz";
        case Format::zip:
            return "zip";
        case Format::script:
            return "script";
    }
    return "script";
}

Result<Format> detect(const std::string& path, std::string_view filename) {
    if (!filename.empty()) {
        if (const std::string fault = fault_of_file_name(filename); !fault.empty()) {
            return fail(Errc::invalid_argument, "the package's file name {}", fault);
        }
    }

    std::ifstream file(path, std::ios::binary);
    if (!file) return tl::unexpected(system_error(errno, "cannot open " + path));
    std::array<char, 512> buffer{};
    file.read(buffer.data(), buffer.size());
    if (file.bad()) return fail(Errc::io, "cannot read {}", path);
    const std::string_view begin{buffer.data(), static_cast<std::size_t>(file.gcount())};
    if (begin.empty()) return fail(Errc::invalid_argument, "the package is empty");

    const bool named_tar = ends_with(filename, ".tar.gz") || ends_with(filename, ".tgz");
    const bool named_zip = ends_with(filename, ".zip");
    const bool is_gzip = begin.starts_with("\x1F\x8B"sv);
    const bool is_zip = begin.starts_with("PK\x03\x04"sv) || begin.starts_with("PK\x05\x06"sv);

    if (is_gzip) {
        if (filename.empty() || named_tar) return Format::tar_gz;
        return fail(Errc::invalid_argument, "the content is gzip, but the name '{}' does not end in .tar.gz or .tgz", filename);
    }
    if (is_zip) {
        if (filename.empty() || named_zip) return Format::zip;
        return fail(Errc::invalid_argument, "the content is a zip archive, but the name '{}' does not end in .zip", filename);
    }
    if (named_tar) return fail(Errc::invalid_argument, "'{}' is not a gzip-compressed tar archive", filename);
    if (named_zip) return fail(Errc::invalid_argument, "'{}' is not a zip archive", filename);
    for (const Signature& signature : kOtherArchives) {
        if (has(begin, signature)) {
            return fail(Errc::invalid_argument, "the content is {}; a package is a .tar.gz, a .zip, or one script", signature.name);
        }
    }
    return Format::script;
}

}  // namespace cloudtask::archive
