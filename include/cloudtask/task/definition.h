// What of a resource's JSON is its definition, and what of it only the server writes; and what differs between two definitions. Pure.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/json.h"
#include "cloudtask/core/json_diff.h"

namespace cloudtask::task {

// Members that the API adds to a runtime, group, calendar or task. Who sends them back is not refused: they are ignored.
inline constexpr std::array<std::string_view, 17> kServerMembers = {
    "id",       "version", "revision", "created_revision", "created_at", "updated_at", "effective_from",  "effective_revision",  "state",
    "last_run", "running", "owner",    "next_fire",        "canary",     "calendars",  "exclusive_group", "inherited_parameters"};

// Removes them; the order of the others stays.
void keep_definition(json::Value& resource);

// What differs between the definitions of two resources of one kind.
std::vector<json::Difference> compare_definitions(const json::Value& before, const json::Value& after);

// As members of a list: {"pointer", "before", "after"}, with the values themselves.
void write(json::Writer& out, const std::vector<json::Difference>& differences);

// One of them for people: `time_limit "1h" -> "2h"`. Long values are cut.
std::string describe(const json::Difference& difference, std::size_t longest_value);
// The first of them, and how many more there are, in one line.
std::string summarise(const std::vector<json::Difference>& differences);

}  // namespace cloudtask::task
