// The text of one server-sent event (WHATWG HTML, section 9.2.6). Pure. Any thread.
#pragma once

#include <string>
#include <string_view>

namespace cloudtask::http {

// `event` and `id` may be empty; line breaks and NULs in them are left out. Line breaks of any kind in `data` become lines of data.
std::string format_event(std::string_view event, std::string_view data, std::string_view id);

}  // namespace cloudtask::http
