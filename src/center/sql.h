// What the *_store.cpp files share: SOCI, instants as microseconds, and pages found by key. Not to be included by other files.
//
// Everything here throws SOCI's errors; Store maps them at the border of the transaction.
#pragma once

#include <list>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <soci/soci.h>

#include "center/listing.h"
#include "cloudtask/core/clock.h"

namespace cloudtask::center {

inline long long to_db(Instant instant) { return instant.time_since_epoch().count(); }
inline Instant from_db(long long microseconds) { return Instant{Duration{microseconds}}; }

// The least id that a run of a fire in this millisecond can have: ids are UUIDv7 of the fire time.
std::string least_run_id(Instant instant);

// SELECT <columns> FROM <table> WHERE <conditions> AND (key, id) beyond the cursor, in order, one row more than the page has.
class PageQuery {
  public:
    PageQuery(std::string columns, std::string table, const ListQuery& query, std::string_view id_column);

    // Adds a condition with one placeholder, ":<name>"; names are distinct.
    PageQuery& where(std::string condition, std::string name, std::string value);
    PageQuery& where(std::string condition, std::string name, long long value);
    PageQuery& where(std::string condition);

    // How many parameters there are, for names that are distinct.
    std::size_t parameters() const { return parameters_.size(); }

    // Prepares and runs; `define` binds the row's variables (statement.exchange(into(...))), `row` is called after each fetch and returns
    // the key and id of that row. At most query.limit rows are shown to `row`. Returns the cursor of the next page, or "".
    template <class Define, class Row>
    std::string run(soci::session& sql, Define define, Row row) {
        soci::statement statement(sql);
        define(statement);
        for (auto& parameter : parameters_) {
            std::visit([&](auto& value) { statement.exchange(soci::use(value, parameter.name)); }, parameter.value);
        }
        statement.alloc();
        statement.prepare(text());
        statement.define_and_bind();
        statement.execute(false);
        ListQuery::Position last;
        for (int rows = 0; statement.fetch(); ++rows) {
            if (rows == query_.limit) return make_cursor(query_, last);
            last = row();
        }
        return {};
    }

  private:
    struct Parameter {
        std::string name;
        std::variant<std::string, long long> value;
    };
    std::string text() const;

    std::string columns_, table_, conditions_, id_column_;
    const ListQuery& query_;
    std::list<Parameter> parameters_;  // a list: SOCI keeps pointers to the values
};

// A page of what has (id, runtime, name, document): the documents, by id or by name, those of one runtime or name if the query asks for
// that. Returns the cursor of the next page, or "".
std::string list_named(soci::session& sql, const std::string& table, const ListQuery& query, std::string_view id_column,
                       std::vector<std::string>& out);

}  // namespace cloudtask::center
