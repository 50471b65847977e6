// Listing: how lists are asked for: limit, cursor, sort and filters out of a query string, against what a resource declares. Pure.
//
// Pages are found by key ("the 50 after this one"), never by OFFSET: the cost of a page does not grow with its number, and rows that come
// or go in between neither repeat nor hide others.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/faults.h"

namespace cloudtask::center {

struct SortField {
    std::string_view name;    // as the API calls it
    std::string_view column;  // as the table does
    bool integer = false;     // the column holds numbers (instants)
};

struct ListSpec {
    std::string_view id_column;     // unique; breaks ties
    std::vector<SortField> sort;    // only these; each (column, id) should have an index
    std::string_view default_sort;  // a field, with '-' in front for descending
    std::vector<std::string_view> filters;
};

struct ListQuery {
    static constexpr int kDefaultLimit = 50;
    static constexpr int kMaxLimit = 200;

    int limit = kDefaultLimit;
    SortField sort;
    bool descending = false;
    struct Position {
        std::string key;  // of the last row of the page before; a number as text if the field is an integer
        std::string id;
    };
    std::optional<Position> after;
    std::map<std::string, std::string> filters;  // those that were given

    const std::string* filter(const std::string& name) const {
        const auto found = filters.find(name);
        return found == filters.end() ? nullptr : &found->second;
    }
};

// Faults name the parameter ("/limit"); unknown parameters are faults too.
std::optional<ListQuery> read_list_query(const std::map<std::string, std::string>& parameters, const ListSpec& spec, Faults& faults);

// The opaque `next` for a page whose last row has this key and id.
std::string make_cursor(const ListQuery& query, const ListQuery::Position& last);

// {"items": [...], "next": "..."} of items that are JSON already.
std::string list_body(const std::vector<std::string>& items, const std::string& next);

// A filter's text as a boolean: "true" or "false".
std::optional<bool> read_flag_filter(const ListQuery& query, const std::string& name, Faults& faults);

}  // namespace cloudtask::center
