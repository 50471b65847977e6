// Output: results as aligned tables, JSON or YAML. Pure, but for the stream that it is given.
#pragma once

#include <iosfwd>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/json.h"

namespace cloudtask::cli {

enum class Format { table, json, yaml };

// Columns as wide as their widest cell; the last one is not padded. Cells are shown as they are, but for control characters, which
// could drive a terminal: those become '?'.
class Table {
  public:
    explicit Table(std::vector<std::string> heads) : heads_(std::move(heads)) {}
    void add(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
    // With `colours`, words that are states (FAILED, online, ...) are coloured.
    void print(std::ostream& out, bool colours) const;

  private:
    std::vector<std::string> heads_;
    std::vector<std::vector<std::string>> rows_;
};

// "12s ago", "3m ago", "5h ago", "2d ago", "in 4m"; "-" for an empty or unreadable time.
std::string short_time(const std::string& instant, Instant now);
// From one RFC 3339 time to another: "850ms", "12s", "3m20s"; "-" if one of them is missing.
std::string short_duration(const std::string& from, const std::string& to);

// Indented by two spaces, a newline at the end.
std::string pretty_json(const json::Value& value);

// Block style; texts that YAML would read as something else are quoted. A newline at the end.
std::string to_yaml(const json::Value& value);

}  // namespace cloudtask::cli
