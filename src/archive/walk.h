// One pass over a package, entry by entry, each checked before the receiver sees it.
#pragma once

#include <string>
#include <string_view>

#include "archive/entry_rules.h"
#include "cloudtask/archive/archive.h"

namespace cloudtask::archive {

// Gets what is in the package, in its order. The names are clean (EntryRules::admit). An error ends the walk.
class Receiver {
  public:
    virtual ~Receiver() = default;
    virtual Result<> entry(const Entry& entry) = 0;
    // Bytes of the last entry, a file. Blocks come in order; what lies between them is zero.
    virtual Result<> data(std::uint64_t offset, std::string_view bytes) = 0;
    // The last entry is whole and has this many bytes.
    virtual Result<> end_of_file(std::uint64_t size) = 0;
};

Result<Summary> walk(const std::string& path, std::string_view filename, const Limits& limits, Receiver& receiver);

}  // namespace cloudtask::archive
