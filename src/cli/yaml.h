// YAML in, JSON out: reads YAML documents into the JSON that the codec validates, and remembers on which line each value stands.
//
// The types are those of the YAML 1.2 core schema; aliases are expanded within a bound; a key that stands twice is an error. Pure.
// yaml-cpp appears in this module's yaml.cpp and output.cpp only.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/json.h"

namespace cloudtask::cli {

struct YamlDocument {
    json::Document value;
    int line = 1;                      // where it begins
    std::map<std::string, int> lines;  // by JSON pointer; from 1

    // The line of the value at `pointer`, or of the nearest value around it.
    int line_of(std::string pointer) const;
};

struct YamlError {
    int line = 1;
    std::string problem;
};

// All documents of one text; empty ones are left out. The entries of a list are documents, too: so JSON, which is YAML, holds several.
tl::expected<std::vector<YamlDocument>, YamlError> read_yaml(const std::string& text);

// Whether `text`, written without quotes, is read back as that text (and not as a number, a boolean, null, or syntax).
bool is_plain_text(std::string_view text);

}  // namespace cloudtask::cli
