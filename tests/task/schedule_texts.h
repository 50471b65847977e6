// Schedules from their JSON and back, for tests: with what is wrong where they must be right, and what is right where they must be wrong.
#pragma once

#include <catch2/catch.hpp>

#include <optional>
#include <string>

#include "cloudtask/core/json.h"
#include "cloudtask/task/schedule.h"

namespace cloudtask::schedule_texts {

inline std::optional<task::Schedule> parsed(const std::string& text, Faults& faults) {
    const auto document = json::parse(text);
    INFO(text);
    REQUIRE(document);
    return task::Schedule::read(*document, "/s", faults);
}

inline task::Schedule valid(const std::string& text) {
    Faults faults;
    const auto schedule = parsed(text, faults);
    if (!schedule) FAIL(faults.summary() << " in " << text);
    return *schedule;
}

// What is written for what was read.
inline std::string canonical(const std::string& text) {
    json::Writer out;
    valid(text).write(out);
    return out.text();
}

// There is one fault; it is at `pointer`, its problem contains `part`, and it says what is allowed.
inline void check_fault(const std::string& text, const std::string& pointer, const std::string& part) {
    Faults faults;
    CAPTURE(text);
    CHECK_FALSE(parsed(text, faults));
    CAPTURE(faults.summary());
    REQUIRE(faults.list().size() == 1);
    CHECK(faults.list()[0].pointer == pointer);
    CHECK(faults.list()[0].problem.find(part) != std::string::npos);
    CHECK_FALSE(faults.list()[0].allowed.empty());
}

}  // namespace cloudtask::schedule_texts
