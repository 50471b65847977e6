// Reading and writing of list queries and cursors. Pure.
#include "center/listing.h"

#include <algorithm>
#include <charconv>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

namespace {

std::string names_of(const std::vector<SortField>& fields) {
    std::string text;
    for (const auto& field : fields) {
        if (!text.empty()) text += ", ";
        text += field.name;
    }
    return text;
}

std::optional<std::int64_t> read_integer(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return number;
}

bool choose_sort(std::string_view text, const ListSpec& spec, ListQuery& query) {
    query.descending = !text.empty() && text.front() == '-';
    if (query.descending) text.remove_prefix(1);
    const auto found = std::find_if(spec.sort.begin(), spec.sort.end(), [&](const SortField& field) { return field.name == text; });
    if (found == spec.sort.end()) return false;
    query.sort = *found;
    return true;
}

std::string sort_text(const ListQuery& query) { return (query.descending ? "-" : "") + std::string{query.sort.name}; }

// Cursors come back from outside: whatever is not exactly what make_cursor() wrote for this sort is refused.
bool read_cursor(const std::string& text, ListQuery& query) {
    const auto bytes = from_base64url(text);
    if (!bytes) return false;
    const auto document = json::parse(*bytes, {.max_bytes = 4096, .max_depth = 2});
    if (!document || !document->IsArray() || document->Size() != 3) return false;
    for (const auto& part : document->GetArray()) {
        if (!part.IsString()) return false;
    }
    const auto text_of = [&](rapidjson::SizeType i) { return std::string{(*document)[i].GetString(), (*document)[i].GetStringLength()}; };
    if (text_of(0) != sort_text(query)) return false;
    ListQuery::Position position{text_of(1), text_of(2)};
    if (query.sort.integer && !read_integer(position.key)) return false;
    query.after = std::move(position);
    return true;
}

}  // namespace

std::optional<ListQuery> read_list_query(const std::map<std::string, std::string>& parameters, const ListSpec& spec, Faults& faults) {
    ListQuery query;
    const std::size_t faults_before = faults.list().size();
    choose_sort(spec.default_sort, spec, query);
    if (const auto sort = parameters.find("sort"); sort != parameters.end() && !choose_sort(sort->second, spec, query)) {
        faults.add("/sort", "is not a field that this list can be sorted by", names_of(spec.sort) + "; with - in front for descending");
    }
    for (const auto& [name, value] : parameters) {
        if (name == "sort") continue;
        if (name == "limit") {
            const auto limit = read_integer(value);
            if (!limit || *limit < 1 || *limit > ListQuery::kMaxLimit) {
                faults.add("/limit", "is not a number of items", "1 to " + std::to_string(ListQuery::kMaxLimit));
            } else {
                query.limit = static_cast<int>(*limit);
            }
        } else if (name == "cursor") {
            if (!read_cursor(value, query))
                faults.add("/cursor", "is not a cursor of this list in this order", "the `next` of the page before");
        } else if (std::find(spec.filters.begin(), spec.filters.end(), name) != spec.filters.end()) {
            query.filters[name] = value;
        } else {
            std::string allowed = "limit, cursor, sort";
            for (const auto filter : spec.filters) allowed.append(", ").append(filter);
            faults.add(pointer_to("", name), "is not a parameter of this list", allowed);
        }
    }
    if (faults.list().size() != faults_before) return std::nullopt;
    return query;
}

std::string make_cursor(const ListQuery& query, const ListQuery::Position& last) {
    json::Writer out;
    out.begin_array().value(sort_text(query)).value(last.key).value(last.id).end_array();
    return to_base64url(out.text());
}

std::string list_body(const std::vector<std::string>& items, const std::string& next) {
    json::Writer out;
    out.begin_object().key("items").begin_array();
    for (const auto& item : items) out.raw(item);
    out.end_array();
    if (!next.empty()) out.member("next", next);
    out.end_object();
    return out.text();
}

std::optional<bool> read_flag_filter(const ListQuery& query, const std::string& name, Faults& faults) {
    const std::string* text = query.filter(name);
    if (text == nullptr) return std::nullopt;
    if (*text == "true") return true;
    if (*text == "false") return false;
    faults.add(pointer_to("", name), "is not a truth value", "true or false");
    return std::nullopt;
}

}  // namespace cloudtask::center
