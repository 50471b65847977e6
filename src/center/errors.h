// The error codes of the center that core's Errc lacks, each with its HTTP status. Value types; any thread.
#pragma once

#include <system_error>

namespace cloudtask::center {

enum class CenterErrc {
    precondition_required = 428,  // a change that needs If-Match came without it (RFC 6585, section 3)
    too_many_attempts = 429,      // wait and try again (RFC 6585, section 4)
};

const std::error_category& center_category() noexcept;
std::error_code make_error_code(CenterErrc code) noexcept;

}  // namespace cloudtask::center

template <>
struct std::is_error_code_enum<cloudtask::center::CenterErrc> : std::true_type {};
