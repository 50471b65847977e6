// The error model: Result<T>, Error, and the error codes that every module may use.
//
// A function that can fail for a reason outside the program returns Result<T>. Exceptions are for failed start-up only; a
// foreign library's exceptions are caught in the file that wraps it. Impossible states stop the process (core/check.h).
//
// Thread safety: value types; no shared state.
#pragma once

#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <tl/expected.hpp>

namespace cloudtask {

// What kind of thing went wrong; enough for a caller to choose between retry, report and give up.
enum class Errc {
    invalid_argument = 1,  // the input is wrong; the same call will fail again
    not_found,
    already_exists,
    conflict,       // the current state does not allow it
    stale_version,  // somebody else changed it first
    unauthenticated,
    permission_denied,
    too_large,
    unavailable,  // try again later
    timeout,
    cancelled,
    io,
    corrupt,  // what was read back is not what was written
    unsupported,
    internal,
};

const std::error_category& core_category() noexcept;
std::error_code make_error_code(Errc code) noexcept;

// A code for programs and a sentence for people. The sentence names the thing that failed and what would help.
struct Error {
    std::error_code code;
    std::string message;

    bool is(std::error_code other) const { return code == other; }
};

}  // namespace cloudtask

template <>
struct std::is_error_code_enum<cloudtask::Errc> : std::true_type {};

namespace cloudtask {

template <class T = void>
using Result = tl::expected<T, Error>;

// Makes the failing side of any Result: `return fail(Errc::not_found, "no task {}", id);`
template <class... Args>
[[nodiscard]] tl::unexpected<Error> fail(std::error_code code, fmt::format_string<Args...> format, Args&&... args) {
    return tl::unexpected<Error>(Error{code, fmt::format(format, std::forward<Args>(args)...)});
}

// Hands the error of one Result on as the error of another: `if (!r) return propagate(r);`
template <class T>
[[nodiscard]] tl::unexpected<Error> propagate(const Result<T>& failed) {
    return tl::unexpected<Error>(failed.error());
}

// The error for a failed system call: `errno`'s code, and a sentence that begins with `what`.
[[nodiscard]] Error system_error(int error_number, std::string_view what);

}  // namespace cloudtask
