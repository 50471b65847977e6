// PageQuery: the text of a page's SELECT, and pages of what has a name in a runtime; and the ids of runs by time.
#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "center/sql.h"

namespace cloudtask::center {

std::string least_run_id(Instant instant) {
    const auto milliseconds = std::chrono::floor<std::chrono::milliseconds>(instant).time_since_epoch().count();
    const auto text = fmt::format("{:012x}", static_cast<std::uint64_t>(std::max<std::int64_t>(milliseconds, 0)));
    return text.substr(0, 8) + "-" + text.substr(8);
}

PageQuery::PageQuery(std::string columns, std::string table, const ListQuery& query, std::string_view id_column)
    : columns_(std::move(columns)), table_(std::move(table)), id_column_(id_column), query_(query) {
    if (!query.after) return;
    const std::string beyond = query.descending ? "<" : ">";
    if (query.sort.column == id_column_) {
        where(id_column_ + " " + beyond + " :after_id", "after_id", query.after->id);
        return;
    }
    // A row value: SQLite walks the index (column, id) from there.
    const std::string condition = "(" + std::string{query.sort.column} + ", " + id_column_ + ") " + beyond + " (:after_key, :after_id)";
    if (query.sort.integer) {
        long long number = 0;
        std::from_chars(query.after->key.data(), query.after->key.data() + query.after->key.size(), number);
        where(condition, "after_key", number);
    } else {
        where(condition, "after_key", query.after->key);
    }
    parameters_.push_back({"after_id", query.after->id});
}

PageQuery& PageQuery::where(std::string condition, std::string name, std::string value) {
    where(std::move(condition));
    parameters_.push_back({std::move(name), std::move(value)});
    return *this;
}

PageQuery& PageQuery::where(std::string condition, std::string name, long long value) {
    where(std::move(condition));
    parameters_.push_back({std::move(name), value});
    return *this;
}

PageQuery& PageQuery::where(std::string condition) {
    conditions_ += (conditions_.empty() ? " WHERE " : " AND ") + condition;
    return *this;
}

std::string PageQuery::text() const {
    const std::string order = query_.descending ? " DESC" : "";
    std::string by = std::string{query_.sort.column} + order;
    if (query_.sort.column != id_column_) by += ", " + id_column_ + order;
    return "SELECT " + columns_ + " FROM " + table_ + conditions_ + " ORDER BY " + by + " LIMIT " + std::to_string(query_.limit + 1);
}

std::string list_named(soci::session& sql, const std::string& table, const ListQuery& query, std::string_view id_column,
                       std::vector<std::string>& out) {
    PageQuery page("id, name, document", table, query, id_column);
    if (const auto* runtime = query.filter("runtime")) page.where("runtime = :f_runtime", "f_runtime", *runtime);
    if (const auto* name = query.filter("name")) page.where("name = :f_name", "f_name", *name);
    std::string id, name, document;
    return page.run(
        sql,
        [&](soci::statement& statement) {
            statement.exchange(soci::into(id));
            statement.exchange(soci::into(name));
            statement.exchange(soci::into(document));
        },
        [&] {
            out.push_back(document);
            return ListQuery::Position{query.sort.column == "name" ? name : "", id};
        });
}

}  // namespace cloudtask::center
