// LogFollower: prints a run's output while it is written, until the run has ended. A dropped connection is taken up again where the
// output broke off: nothing is printed twice and nothing is left out.
//
// One thread; blocks.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "cli/center.h"

namespace cloudtask::cli {

class LogFollower {
  public:
    // `stream`: stdout or stderr. `from`: the byte to begin with.
    LogFollower(Center& center, std::string run_id, std::string stream, std::uint64_t from, std::ostream& out);

    // Follows to the end. Returns the run's last state as the center tells it ("SUCCEEDED"). An error after kGiveUp without an answer.
    Result<std::string> follow();

    static constexpr Duration kGiveUp = std::chrono::minutes{2};

  private:
    bool on_event(const std::string& event, const std::string& data, const std::string& id);
    void on_log(const std::string& data, const std::string& id);

    Center& center_;
    std::string run_id_, stream_;
    std::ostream& out_;

    // Where the next connection begins, and how many bytes of text behind it are printed already. Bytes that are not UTF-8 come
    // replaced, so that the length of a text does not always tell where its bytes end; then the whole piece is asked for again.
    std::uint64_t from_;
    std::size_t printed_ = 0;
    std::size_t to_skip_ = 0;  // of what this connection brings

    std::string end_state_;
    bool ended_ = false;
    bool progress_ = false;  // an event came since the last connect
};

}  // namespace cloudtask::cli
