// Small text rules that HTTP's grammar needs: ASCII case, trimming, UTF-8. Pure. Any thread.
#pragma once

#include <string_view>

namespace cloudtask::http {

// ASCII only: what RFC 9110, section 5.1, asks of header names.
bool equal_ignoring_case(std::string_view a, std::string_view b);

// Without spaces and tabs at both ends.
std::string_view trim(std::string_view text);

// Well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF).
bool is_utf8(std::string_view text);

}  // namespace cloudtask::http
