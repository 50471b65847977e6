// EventParser: server-sent events from pieces of a stream. Pure. Any one thread.
#include "http/event_parser.h"

#include <utility>

namespace cloudtask::http {

bool EventParser::feed(std::string_view bytes, std::vector<Event>& out) {
    while (!bytes.empty()) {
        if (std::exchange(after_cr_, false) && bytes[0] == '\n') {
            bytes.remove_prefix(1);
            continue;
        }
        const auto end = bytes.find_first_of("\r\n");
        line_.append(bytes.substr(0, end));
        if (line_.size() + event_.data.size() > max_event_bytes_) return false;
        if (end == std::string_view::npos) return true;
        after_cr_ = bytes[end] == '\r';
        bytes.remove_prefix(end + 1);
        take_line(out);
        line_.clear();
    }
    return true;
}

void EventParser::take_line(std::vector<Event>& out) {
    std::string_view line = line_;
    if (std::exchange(at_start_, false) && line.substr(0, 3) == "\xEF\xBB\xBF") line.remove_prefix(3);
    if (line.empty()) {
        if (has_data_) {
            if (event_.name.empty()) event_.name = "message";
            out.push_back(event_);
        }
        event_.name.clear();
        event_.data.clear();
        has_data_ = false;
        return;
    }
    const auto colon = line.find(':');
    if (colon == 0) return;  // a comment: keep-alive
    const std::string_view field = line.substr(0, colon);
    std::string_view value = colon == std::string_view::npos ? std::string_view{} : line.substr(colon + 1);
    if (!value.empty() && value[0] == ' ') value.remove_prefix(1);
    if (field == "event") {
        event_.name = value;
    } else if (field == "data") {
        if (has_data_) event_.data += '\n';
        event_.data += value;
        has_data_ = true;
    } else if (field == "id" && value.find('\0') == std::string_view::npos) {
        event_.id = value;
    }
}

}  // namespace cloudtask::http
