// The policies' functions: see policies.h. Pure; any thread.
#include "cloudtask/task/policies.h"

#include <fmt/format.h>
#include <re2/re2.h>

#include <algorithm>
#include <charconv>

#include "cloudtask/core/hash.h"
#include "cloudtask/task/types.h"

namespace cloudtask::task {

namespace {

constexpr std::int64_t kHighestExitCode = 255;  // wait(2): eight bits
// The node judges on its event loop: even where RE2 falls back to following all states, 64 KiB of output take it a fraction of a second.
constexpr int kPatternProgram = 1500;
constexpr std::int64_t kPatternMemory = std::int64_t{1} << 20;  // bytes, for the pattern's program and its automata

std::optional<std::int64_t> read_exit_code(std::string_view text) {
    std::int64_t code = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), code);
    if (error != std::errc{} || end != text.data() + text.size() || code < 0 || code > kHighestExitCode) return std::nullopt;
    return code;
}

RE2::Options pattern_options() {
    RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kPatternMemory);
    return options;
}

std::string for_lines(std::string_view pattern) { return fmt::format("(?m){}", pattern); }

}  // namespace

Result<ExitCodes::Range> ExitCodes::parse(std::string_view text) {
    const std::size_t dash = text.find('-');
    const auto first = read_exit_code(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : read_exit_code(text.substr(dash + 1));
    if (first && last && *first <= *last) return Range{*first, *last};
    return fail(Errc::invalid_argument, "'{}' is neither an exit code from 0 to {} nor a range such as 75-78", text.substr(0, 64),
                kHighestExitCode);
}

std::string ExitCodes::to_string(const Range& range) {
    return range.first == range.last ? fmt::format("{}", range.first) : fmt::format("{}-{}", range.first, range.last);
}

bool ExitCodes::contains(std::int64_t code) const {
    return std::any_of(ranges_.begin(), ranges_.end(), [code](const Range& range) { return code >= range.first && code <= range.last; });
}

Result<> check_pattern(std::string_view pattern) {
    const RE2 compiled(for_lines(pattern), pattern_options());
    if (compiled.ok() && compiled.ProgramSize() > kPatternProgram) {
        return fail(Errc::invalid_argument, "is too large: it compiles to {} steps, {} is the most", compiled.ProgramSize(),
                    kPatternProgram);
    }
    if (compiled.ok()) return {};
    return fail(Errc::invalid_argument, "is not a regular expression: {}", compiled.error());
}

std::string why_no_success(const SuccessRule& rule, std::int64_t exit_code, std::string_view tail) {
    if (!rule.exit_codes.contains(exit_code)) return fmt::format("it exited with {}", exit_code);
    if (!rule.output) return {};
    const RE2 compiled(for_lines(rule.output->pattern), pattern_options());
    const bool matches = compiled.ok() && RE2::PartialMatch(re2::StringPiece(tail.data(), tail.size()), compiled);
    if (compiled.ok() && matches == rule.output->matches) return {};
    return fmt::format("the end of its {} {} '{}'", rule.output->standard_error ? "stderr" : "stdout",
                       matches ? "matches" : "does not match", rule.output->pattern);
}

bool asks_for_retry(const Retry& retry, RunState state, std::optional<std::int64_t> exit_code) {
    switch (state) {
        case RunState::failed:
            return retry.failed && (retry.exit_codes.empty() || (exit_code && retry.exit_codes.contains(*exit_code)));
        case RunState::timed_out:
            return retry.timed_out;
        case RunState::lost:
            return retry.lost;
        default:
            return false;
    }
}

Duration retry_delay(const Retry& retry, std::int64_t made, std::string_view run_id) {
    const auto longest = static_cast<double>(retry.max_delay.count());
    auto delay = std::min(static_cast<double>(retry.delay.count()), longest);
    for (std::int64_t n = 1; n < made && delay < longest; ++n) {
        const double next = std::min(delay * retry.factor, longest);
        if (next <= delay) break;
        delay = next;
    }
    constexpr std::uint64_t kSteps = 1 << 20;
    const double share = static_cast<double>(xxhash64(run_id) % kSteps) / static_cast<double>(kSteps);
    return Duration{static_cast<Duration::rep>(delay * (1 + retry.jitter * share))};
}

}  // namespace cloudtask::task
