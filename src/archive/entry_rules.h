// The rules on what an archive may hold, apart from any archive library. Pure.
//
// Why the links are safe: an entry never lies behind a link, so the folder that a link stands in is a real one; a target climbs (..) only
// at its begin, from that folder and not above the top; from there on it only goes down, through names that are folders or links for which
// the same holds.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "cloudtask/archive/archive.h"

namespace cloudtask::archive {

enum class Kind { file, folder, symbolic_link, hard_link, other };

struct Entry {
    std::string name;  // as it stands in the archive
    Kind kind = Kind::file;
    std::string target;      // of a link
    std::uint64_t size = 0;  // of a file, as far as the archive declares it
    unsigned mode = 0;       // permission bits
    bool encrypted = false;
};

// What is wrong with a single file's name, as a sentence part ("holds a '/'"); empty if nothing is.
std::string fault_of_file_name(std::string_view name);

// Text from an archive, safe to show: cut at 100 bytes, with what is not printable ASCII replaced.
std::string printable(std::string_view text);

class EntryRules {
  public:
    // `packed_bytes`: the size of the archive.
    EntryRules(const Limits& limits, std::uint64_t packed_bytes) : limits_(limits), packed_bytes_(packed_bytes) {}

    // Takes the next entry and makes its name, and that of a hard link's target, a clean path: relative, without "." or empty parts. The
    // name is empty for the top folder itself, which needs nothing done.
    Result<> admit(Entry& entry);

    // Counts bytes that the archive did not declare.
    Result<> count(std::uint64_t bytes);

    // To be asked at the end. An archive without any file is refused.
    Result<Summary> finish(Format format) const;

  private:
    struct Known {
        Kind kind;
        std::uint64_t size;
    };
    Result<> check_symbolic_link(const Entry& entry) const;
    Result<std::string> clean(std::string_view name, std::string_view shown) const;
    Result<> note_parents(const std::string& path, const std::string& shown);

    const Limits limits_;
    const std::uint64_t packed_bytes_;
    std::map<std::string, Known, std::less<>> known_;
    std::uint64_t entries_ = 0, files_ = 0, bytes_ = 0;
};

}  // namespace cloudtask::archive
