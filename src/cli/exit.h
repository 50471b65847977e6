// Exit codes of the program, as error codes: an Error that carries one says by itself how the program ends. Pure.
#pragma once

#include "cloudtask/core/result.h"

namespace cloudtask::cli {

// Documented in docs/cli.md; scripts depend on the numbers.
enum class Exit {
    ok = 0,
    failed = 1,       // the center refused, or what was asked for failed
    usage = 2,        // the command line is wrong
    unreachable = 3,  // no answer from the center
    denied = 4,       // not logged in, or not allowed
    not_found = 5,
    conflict = 6,  // it exists already, or somebody else changed it first
};

const std::error_category& exit_category() noexcept;
std::error_code make_error_code(Exit code) noexcept;

// How the program ends on `error`: its Exit if it carries one, else the Exit that fits its code.
Exit exit_for(const Error& error);

}  // namespace cloudtask::cli

template <>
struct std::is_error_code_enum<cloudtask::cli::Exit> : std::true_type {};
