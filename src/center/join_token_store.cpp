// The table join_tokens.
#include "center/join_token_store.h"

#include "center/sql.h"

namespace cloudtask::center {

namespace {

constexpr const char* kJoinTokenColumns = "id, token_hash, runtime, description, created_by, created_at, expires_at";

struct JoinTokenColumns {
    JoinToken token;
    long long created_at = 0, expires_at = 0;

    void bind(soci::statement& statement) {
        statement.exchange(soci::into(token.id));
        statement.exchange(soci::into(token.token_hash));
        statement.exchange(soci::into(token.runtime));
        statement.exchange(soci::into(token.description));
        statement.exchange(soci::into(token.created_by));
        statement.exchange(soci::into(created_at));
        statement.exchange(soci::into(expires_at));
    }
    JoinToken take() const {
        JoinToken taken = token;
        taken.created_at = from_db(created_at);
        taken.expires_at = from_db(expires_at);
        return taken;
    }
};

std::optional<JoinToken> find_join_token_by(soci::session& sql, const std::string& condition, const std::string& value) {
    JoinTokenColumns row;
    soci::statement statement(sql);
    row.bind(statement);
    statement.exchange(soci::use(value));
    statement.alloc();
    statement.prepare(std::string("SELECT ") + kJoinTokenColumns + " FROM join_tokens WHERE " + condition);
    statement.define_and_bind();
    if (!statement.execute(true)) return std::nullopt;
    return row.take();
}

}  // namespace

const ListSpec kJoinTokenList{.id_column = "id", .sort = {{"created_at", "id"}}, .default_sort = "-created_at", .filters = {"runtime"}};

std::optional<JoinToken> find_join_token(soci::session& sql, const std::string& id) { return find_join_token_by(sql, "id = :id", id); }

std::optional<JoinToken> find_valid_join_token(soci::session& sql, const std::string& token_hash, Instant now) {
    auto token = find_join_token_by(sql, "token_hash = :hash", token_hash);
    if (token && token->expires_at <= now) return std::nullopt;
    return token;
}

void insert_join_token(soci::session& sql, const JoinToken& token) {
    const long long created_at = to_db(token.created_at), expires_at = to_db(token.expires_at);
    sql << "INSERT INTO join_tokens (id, token_hash, runtime, description, created_by, created_at, expires_at) "
           "VALUES (:id, :hash, :runtime, :description, :by, :created, :expires)",
        soci::use(token.id), soci::use(token.token_hash), soci::use(token.runtime), soci::use(token.description),
        soci::use(token.created_by), soci::use(created_at), soci::use(expires_at);
}

void erase_join_token(soci::session& sql, const std::string& id) { sql << "DELETE FROM join_tokens WHERE id = :id", soci::use(id); }

std::string list_join_tokens(soci::session& sql, const ListQuery& query, std::vector<JoinToken>& out) {
    PageQuery page(kJoinTokenColumns, "join_tokens", query, kJoinTokenList.id_column);
    if (const auto* runtime = query.filter("runtime")) page.where("runtime = :f_runtime", "f_runtime", *runtime);
    JoinTokenColumns row;
    return page.run(
        sql, [&](soci::statement& statement) { row.bind(statement); },
        [&] {
            out.push_back(row.take());
            return ListQuery::Position{"", row.token.id};
        });
}

}  // namespace cloudtask::center
