// Faults and the JSON pointers (RFC 6901) that they name.
#include "cloudtask/core/faults.h"

namespace cloudtask {

void Faults::add(std::string pointer, std::string problem, std::string allowed) {
    list_.push_back({std::move(pointer), std::move(problem), std::move(allowed)});
}

std::string Faults::summary() const {
    std::string text;
    for (const auto& fault : list_) {
        if (!text.empty()) text += "; ";
        text += fault.pointer.empty() ? "the document" : fault.pointer;
        text += " " + fault.problem;
        if (!fault.allowed.empty()) text += " (allowed: " + fault.allowed + ")";
    }
    return text;
}

std::string pointer_to(std::string_view parent, std::string_view member) {
    std::string pointer{parent};
    pointer += '/';
    for (const char c : member) {
        if (c == '~') {
            pointer += "~0";
        } else if (c == '/') {
            pointer += "~1";
        } else {
            pointer += c;
        }
    }
    return pointer;
}

std::string pointer_to(std::string_view parent, std::size_t index) { return fmt::format("{}/{}", parent, index); }

}  // namespace cloudtask
