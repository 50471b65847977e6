// Packages as files: which format an upload has, whether it is safe, and unpacking it. Used by the center (checks uploads) and the node
// (unpacks them), so that both refuse the same.
//
// An upload is a `.tar.gz`, a `.zip`, or one script. Everything in an archive is hostile until shown otherwise. Refused, with a sentence
// that names the entry: absolute names, `..`, names with control characters or broken UTF-8, links that lead outside or that another entry
// goes through, devices, pipes and sockets, two entries for one name, encrypted entries, nothing at all, and whatever passes the Limits
// (bombs). setuid, setgid and sticky bits, owners, ACLs and extended attributes are dropped.
//
// Blocking; any thread. Nothing of libarchive shows.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cloudtask/core/result.h"

namespace cloudtask::archive {

enum class Format { tar_gz, zip, script };
std::string_view to_string(Format format);  // "tar.gz", "zip", "script": task::Package's format

struct Limits {
    std::uint64_t max_bytes = 4ULL << 30;  // of all files, unpacked
    std::uint64_t max_entries = 100'000;
    std::uint64_t max_ratio = 250;  // unpacked to packed; counts only beyond ratio_from bytes, as small texts pack very well
    std::uint64_t ratio_from = 16ULL << 20;
    std::size_t max_depth = 32;   // folders in a name
    std::size_t max_name = 1024;  // bytes of a whole name
};

struct Summary {
    Format format = Format::script;
    std::uint64_t entries = 0;  // files, folders and links
    std::uint64_t bytes = 0;    // of all files, unpacked
};

// Tells the format from the content, and holds the name against it: an archive that is not named so, or a name that promises one, is
// refused, and so are archives of other formats. Any other file that is not empty is a script (or program). An empty `filename` means that
// only the content counts. Errors: Errc::invalid_argument, io.
Result<Format> detect(const std::string& path, std::string_view filename);

// Reads the whole archive without writing anything. Errors: Errc::invalid_argument (unsafe, damaged), too_large (limits), io.
Result<Summary> inspect(const std::string& path, std::string_view filename, const Limits& limits = {});

// Unpacks into `destination`, which must not exist or be an empty folder. A script becomes one executable file under `filename`
// ("script" if that is empty). On an error what was unpacked is left for the caller to remove. Errors as inspect().
Result<Summary> unpack(const std::string& path, std::string_view filename, const std::string& destination, const Limits& limits = {});

}  // namespace cloudtask::archive
