// SQL of commands: see commands_store.h.
#include "center/commands_store.h"

#include "center/sql.h"

namespace cloudtask::center {

namespace {

std::vector<Command> select_commands(soci::session& sql, const std::string& rest, const std::vector<std::string>& values) {
    std::vector<Command> found;
    Command row;
    long long delivered = 0;
    soci::statement statement(sql);
    statement.exchange(soci::into(row.id));
    statement.exchange(soci::into(row.node_id));
    statement.exchange(soci::into(row.kind));
    statement.exchange(soci::into(row.run_id));
    statement.exchange(soci::into(row.document));
    statement.exchange(soci::into(row.state));
    statement.exchange(soci::into(delivered));
    for (const auto& value : values) statement.exchange(soci::use(value));
    statement.alloc();
    statement.prepare("SELECT id, node_id, kind, run_id, document, state, delivered FROM commands " + rest);
    statement.define_and_bind();
    statement.execute();
    while (statement.fetch()) {
        row.delivered = delivered == 0 ? std::nullopt : std::optional<Instant>(from_db(delivered));
        found.push_back(row);
    }
    return found;
}

std::optional<Command> first(std::vector<Command> found) {
    return found.empty() ? std::nullopt : std::optional<Command>(std::move(found.front()));
}

}  // namespace

void insert_command(soci::session& sql, const Command& command, Instant now) {
    const long long created = to_db(now);
    sql << "INSERT INTO commands (id, node_id, kind, run_id, document, state, created_at) VALUES (:id, :node, :kind, :run, :document, "
           "'open', :created)",
        soci::use(command.id), soci::use(command.node_id), soci::use(command.kind), soci::use(command.run_id), soci::use(command.document),
        soci::use(created);
}

std::optional<Command> find_command(soci::session& sql, std::string_view id) {
    return first(select_commands(sql, "WHERE id = :id", {std::string(id)}));
}

std::optional<Command> open_command(soci::session& sql, std::string_view run_id, std::string_view kind) {
    return first(select_commands(sql, "WHERE run_id = :run AND kind = :kind AND state = 'open'", {std::string(run_id), std::string(kind)}));
}

std::vector<Command> open_commands(soci::session& sql, std::string_view node_id, std::size_t limit) {
    return select_commands(sql, fmt::format("WHERE node_id = :node AND state = 'open' ORDER BY id LIMIT {}", limit),
                           {std::string(node_id)});
}

void mark_delivered(soci::session& sql, const std::vector<std::string>& ids, Instant now) {
    std::string id;
    const long long at = to_db(now);
    soci::statement statement = (sql.prepare << "UPDATE commands SET delivered = :at WHERE id = :id", soci::use(at), soci::use(id));
    for (const auto& each : ids) {
        id = each;
        statement.execute(true);
    }
}

bool close_command(soci::session& sql, std::string_view id, std::string_view state, std::string_view detail) {
    const std::string key(id), next(state), text(detail);
    soci::statement statement = (sql.prepare << "UPDATE commands SET state = :state, detail = :detail WHERE id = :id AND state = 'open'",
                                 soci::use(next), soci::use(text), soci::use(key));
    statement.execute(true);
    return statement.get_affected_rows() > 0;
}

void withdraw_commands(soci::session& sql, std::string_view run_id) {
    const std::string run(run_id);
    sql << "UPDATE commands SET state = 'withdrawn' WHERE run_id = :run AND state = 'open'", soci::use(run);
}

void withdraw_node_commands(soci::session& sql, std::string_view node_id, std::string_view kind) {
    const std::string node(node_id), what(kind);
    sql << "UPDATE commands SET state = 'withdrawn' WHERE node_id = :node AND kind = :kind AND state = 'open'", soci::use(node),
        soci::use(what);
}

bool has_open_command(soci::session& sql, std::string_view node_id, std::string_view kind) {
    return !select_commands(sql, "WHERE node_id = :node AND kind = :kind AND state = 'open' LIMIT 1",
                            {std::string(node_id), std::string(kind)})
                .empty();
}

long long count_open_commands(soci::session& sql) {
    long long count = 0;
    sql << "SELECT count(*) FROM commands WHERE state = 'open'", soci::into(count);
    return count;
}

}  // namespace cloudtask::center
