// Policies of a task that are values of their own: when a run has succeeded, and when it is tried again. What each of them means to a user
// is in docs/policies.md; their JSON is in task/codec.h with the task's.
//
// Pure data and pure functions: no I/O, no clock, no randomness. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"

namespace cloudtask::task {

enum class RunState;

// A set of exit codes, as inclusive ranges.
class ExitCodes {
  public:
    struct Range {
        std::int64_t first = 0, last = 0;
        friend bool operator==(const Range&, const Range&) = default;
    };
    // "0", "75-78". Errors: invalid_argument, with what would be right.
    static Result<Range> parse(std::string_view text);
    static std::string to_string(const Range& range);

    ExitCodes() = default;
    explicit ExitCodes(std::vector<Range> ranges) : ranges_(std::move(ranges)) {}

    bool contains(std::int64_t code) const;
    bool empty() const { return ranges_.empty(); }
    const std::vector<Range>& ranges() const { return ranges_; }
    friend bool operator==(const ExitCodes&, const ExitCodes&) = default;

  private:
    std::vector<Range> ranges_;
};

// A pattern that the end of a run's output is held against.
struct OutputRule {
    bool standard_error = false;  // else standard output
    std::string pattern;          // a regular expression as RE2 has it; ^ and $ stand for the ends of lines
    bool matches = true;          // the output has to match; false: it must not
    friend bool operator==(const OutputRule&, const OutputRule&) = default;
};

// So much of the end of a stream is looked at.
inline constexpr std::size_t kOutputLookedAt = 64 << 10;

// When a run that exited by itself has succeeded. Without a rule: with exit code 0.
struct SuccessRule {
    ExitCodes exit_codes{{{0, 0}}};
    std::optional<OutputRule> output;
    friend bool operator==(const SuccessRule&, const SuccessRule&) = default;
};

// Whether the pattern can be used at all. Errors: invalid_argument, with what is wrong in it.
Result<> check_pattern(std::string_view pattern);

// Why a run that exited with this code is no success; empty if it is one. `tail`: the end of the stream that the rule looks at.
std::string why_no_success(const SuccessRule& rule, std::int64_t exit_code, std::string_view tail);

// Further attempts of a run that did not succeed.
struct Retry {
    std::int64_t attempts = 3;                  // in all, the first one included
    Duration delay = std::chrono::seconds{10};  // from the end of the first attempt to the second
    double factor = 2;                          // each further delay is so many times as long as the one before it
    Duration max_delay = std::chrono::hours{1};
    double jitter = 0;                                   // up to this part of a delay is added to it
    bool failed = true, timed_out = true, lost = false;  // what is tried again
    ExitCodes exit_codes;                                // of what failed, only these; empty: any, and what did not exit by itself
    bool elsewhere = false;                              // each on another node than the one before it, if one can take it
    friend bool operator==(const Retry&, const Retry&) = default;
};

// Whether an attempt that ended so asks for another one, were there one left.
bool asks_for_retry(const Retry& retry, RunState state, std::optional<std::int64_t> exit_code);

// How long to wait after the `made`th attempt (from 1). The jitter follows from the id of the run that ended.
Duration retry_delay(const Retry& retry, std::int64_t made, std::string_view run_id);

}  // namespace cloudtask::task
