// EventParser: a stream of server-sent events, in pieces as they come, to events (WHATWG HTML, section 9.2.6). Pure. Any one thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace cloudtask::http {

struct Event {
    std::string name;  // "message" when the stream names none
    std::string data;
    std::string id;  // the last id of the stream so far
};

class EventParser {
  public:
    // A line, or the data of one event, of more than `max_event_bytes` makes feed() return false.
    explicit EventParser(std::size_t max_event_bytes) : max_event_bytes_(max_event_bytes) {}

    // Appends the events that `bytes` completes to `out`. False: an event is too large, and the parser is of no more use.
    bool feed(std::string_view bytes, std::vector<Event>& out);

  private:
    void take_line(std::vector<Event>& out);

    std::size_t max_event_bytes_;
    std::string line_;
    bool after_cr_ = false;  // the last byte was CR: an LF now belongs to it
    bool at_start_ = true;   // a byte order mark may stand before the first line
    Event event_;
    bool has_data_ = false;
};

}  // namespace cloudtask::http
