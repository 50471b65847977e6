// Zone: an IANA time zone, for turning instants into local times and back. Wraps cctz, which reads the system's tzdata.
//
// Immutable, cheap to copy; any thread. Loading a zone for the first time in a process reads its file; after that it is in memory for
// the life of the process, so a tzdata update counts from the next start on.
#pragma once

#include <cctz/civil_time.h>
#include <cctz/time_zone.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace cloudtask::task {

using LocalTime = cctz::civil_second;
using SysSeconds = std::chrono::sys_seconds;

class Zone {
  public:
    // Nothing if `name` is not a zone of the IANA database. Only IANA names count: no paths, no "localtime", no "posix/..." copies.
    static std::optional<Zone> load(std::string_view name);

    // The rules of the file at `path`, under that name.
    static std::optional<Zone> load_file(std::string name, const std::string& path);

    // Whether the IANA database may have a zone of that name.
    static bool is_name(std::string_view name);

    const std::string& name() const { return name_; }

    LocalTime local(SysSeconds instant) const { return zone_.lookup(instant).cs; }

    // "+01:00": the offset from UTC at `instant`, with seconds only where it has some.
    std::string offset_text(SysSeconds instant) const;

    // "CEST", as tzdata has it; some zones have their offset for it ("+03").
    std::string abbreviation(SysSeconds instant) const { return zone_.lookup(instant).abbr; }

    // The instants that show one local time on the wall.
    struct Instants {
        bool repeated = false;    // by an overlap: there are two, `instant` and `second`
        bool skipped = false;     // by a gap: there is none
        SysSeconds instant{};     // of a skipped local time: the first valid instant after the gap
        SysSeconds second{};      // as `instant` unless repeated
        SysSeconds transition{};  // of a repeated or skipped local time: when the offset changes
    };
    Instants instants(LocalTime local) const;

    // The next change of the offset after `instant` (exclusive): when, and what the wall shows from then on.
    struct Transition {
        SysSeconds at{};
        LocalTime shows;
    };
    std::optional<Transition> next_transition(SysSeconds instant) const;

  private:
    Zone(std::string name, cctz::time_zone zone) : name_(std::move(name)), zone_(zone) {}

    std::string name_;
    cctz::time_zone zone_;
};

}  // namespace cloudtask::task
