// Faults: every fault of one input, collected, so that a person mends a definition in one go.
#pragma once

#include <string>
#include <vector>

#include "cloudtask/core/result.h"

namespace cloudtask {

struct Fault {
    std::string pointer;  // RFC 6901 JSON pointer to the faulty value; "" is the whole document
    std::string problem;  // what is wrong, as a sentence part: "is not a zone of the IANA database"
    std::string allowed;  // what would be right: "an IANA zone name such as Europe/Berlin"; may be empty

    friend bool operator==(const Fault&, const Fault&) = default;
};

class Faults {
  public:
    void add(std::string pointer, std::string problem, std::string allowed = {});
    bool empty() const { return list_.empty(); }
    const std::vector<Fault>& list() const { return list_; }

    // All faults in one sentence, for logs and the command line.
    std::string summary() const;

  private:
    std::vector<Fault> list_;
};

// Appends one token to a JSON pointer, escaped as RFC 6901 asks (~ as ~0, / as ~1).
std::string pointer_to(std::string_view parent, std::string_view member);
std::string pointer_to(std::string_view parent, std::size_t index);

}  // namespace cloudtask
