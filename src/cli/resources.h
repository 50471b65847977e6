// Resources: the kinds of things that the center keeps: their paths, how a person names one of them, and their tables. What `get`,
// `delete` and `task` share.
//
// One thread.
#pragma once

#include <string>
#include <vector>

#include "cli/center.h"
#include "cli/output.h"

namespace cloudtask::cli {

struct Resource {
    std::string plural;                // "tasks": as in the path and after `get`
    std::string singular;              // "task": after `delete`
    std::vector<std::string> filters;  // the options of `get` that this list takes
    std::vector<std::string> heads;    // of its table
    std::vector<std::string> (*cells)(const json::Value& item, Instant now);
    std::string (*name)(const json::Value& item);  // what --quiet prints, and other commands take
};

const std::vector<Resource>& resources();
// By plural or singular; null if there is none.
const Resource* find_resource(const std::string& word);

// The one that a person means: by id or SHA-256, by name (runtimes, users), RUNTIME/NAME (groups, calendars, nodes), RUNTIME/GROUP/NAME
// (tasks). Exit::not_found, or Exit::usage for a name of the wrong shape.
Result<json::Document> resolve(Center& center, const Resource& resource, const std::string& reference);

// The path of a resource that resolve() gave.
std::string path_of(const Resource& resource, const json::Value& item);

void print_table(std::ostream& out, const Resource& resource, const json::Value& items, Instant now, bool colours);

}  // namespace cloudtask::cli
