// The tables users and user_tokens.
#include "center/user_store.h"

#include "center/sql.h"

namespace cloudtask::center {

namespace {

constexpr const char* kUserColumns =
    "users.id, users.name, users.role, users.email, users.password_hash, users.version, users.created_at, users.updated_at";

// The variables that one row is read into.
struct UserRow {
    User user;
    long long version = 0, created_at = 0, updated_at = 0;

    template <class Statement>
    void bind(Statement& statement) {
        statement.exchange(soci::into(user.id));
        statement.exchange(soci::into(user.name));
        statement.exchange(soci::into(user.role));
        statement.exchange(soci::into(user.email));
        statement.exchange(soci::into(user.password_hash));
        statement.exchange(soci::into(version));
        statement.exchange(soci::into(created_at));
        statement.exchange(soci::into(updated_at));
    }
    User take() const {
        User taken = user;
        taken.version = version;
        taken.created_at = from_db(created_at);
        taken.updated_at = from_db(updated_at);
        return taken;
    }
};

std::optional<User> find_user_by(soci::session& sql, const std::string& condition, const std::string& value) {
    UserRow row;
    soci::statement statement(sql);
    row.bind(statement);
    statement.exchange(soci::use(value));
    statement.alloc();
    statement.prepare(std::string("SELECT ") + kUserColumns + " FROM users WHERE " + condition);
    statement.define_and_bind();
    if (!statement.execute(true)) return std::nullopt;
    return row.take();
}

}  // namespace

const ListSpec kUserList{
    .id_column = "id", .sort = {{"name", "name"}, {"created_at", "id"}}, .default_sort = "name", .filters = {"name", "role"}};

std::optional<User> find_user(soci::session& sql, const std::string& id) { return find_user_by(sql, "users.id = :id", id); }
std::optional<User> find_user_by_name(soci::session& sql, const std::string& name) { return find_user_by(sql, "users.name = :name", name); }

void insert_user(soci::session& sql, const User& user) {
    const long long version = user.version, created_at = to_db(user.created_at), updated_at = to_db(user.updated_at);
    sql << "INSERT INTO users (id, name, role, email, password_hash, version, created_at, updated_at) "
           "VALUES (:id, :name, :role, :email, :hash, :version, :created, :updated)",
        soci::use(user.id), soci::use(user.name), soci::use(user.role), soci::use(user.email), soci::use(user.password_hash),
        soci::use(version), soci::use(created_at), soci::use(updated_at);
}

void update_user(soci::session& sql, const User& user) {
    const long long version = user.version, updated_at = to_db(user.updated_at);
    sql << "UPDATE users SET name = :name, role = :role, email = :email, password_hash = :hash, version = :version, updated_at = :updated "
           "WHERE id = :id",
        soci::use(user.name), soci::use(user.role), soci::use(user.email), soci::use(user.password_hash), soci::use(version),
        soci::use(updated_at), soci::use(user.id);
}

void erase_user(soci::session& sql, const std::string& id) { sql << "DELETE FROM users WHERE id = :id", soci::use(id); }

bool any_user(soci::session& sql) {
    std::string id;
    sql << "SELECT id FROM users LIMIT 1", soci::into(id);
    return sql.got_data();
}

int count_admins(soci::session& sql) {
    int count = 0;
    sql << "SELECT count(*) FROM (SELECT 1 FROM users WHERE role = 'admin' LIMIT 2)", soci::into(count);
    return count;
}

std::string list_users(soci::session& sql, const ListQuery& query, std::vector<User>& out) {
    PageQuery page(kUserColumns, "users", query, kUserList.id_column);
    if (const auto* name = query.filter("name")) page.where("name = :f_name", "f_name", *name);
    if (const auto* role = query.filter("role")) page.where("role = :f_role", "f_role", *role);
    UserRow row;
    return page.run(
        sql, [&](soci::statement& statement) { row.bind(statement); },
        [&] {
            out.push_back(row.take());
            return ListQuery::Position{query.sort.name == "name" ? row.user.name : "", row.user.id};
        });
}

void insert_user_token(soci::session& sql, const std::string& token_hash, const std::string& user_id, Instant created_at,
                       Instant expires_at) {
    const long long created = to_db(created_at), expires = to_db(expires_at);
    sql << "INSERT INTO user_tokens (token_hash, user_id, created_at, expires_at) VALUES (:hash, :user, :created, :expires)",
        soci::use(token_hash), soci::use(user_id), soci::use(created), soci::use(expires);
}

std::optional<User> find_user_of_token(soci::session& sql, const std::string& token_hash, Instant now) {
    UserRow row;
    const long long at = to_db(now);
    soci::statement statement(sql);
    row.bind(statement);
    statement.exchange(soci::use(token_hash));
    statement.exchange(soci::use(at));
    statement.alloc();
    statement.prepare(std::string("SELECT ") + kUserColumns +
                      " FROM user_tokens JOIN users ON users.id = user_tokens.user_id WHERE token_hash = :hash AND expires_at > :now");
    statement.define_and_bind();
    if (!statement.execute(true)) return std::nullopt;
    return row.take();
}

void erase_user_token(soci::session& sql, const std::string& token_hash) {
    sql << "DELETE FROM user_tokens WHERE token_hash = :hash", soci::use(token_hash);
}

void erase_tokens_of_user(soci::session& sql, const std::string& user_id) {
    sql << "DELETE FROM user_tokens WHERE user_id = :user", soci::use(user_id);
}

int erase_expired_user_tokens(soci::session& sql, Instant now, int limit) {
    const long long at = to_db(now);
    soci::statement erase =
        (sql.prepare << "DELETE FROM user_tokens WHERE token_hash IN (SELECT token_hash FROM user_tokens WHERE expires_at <= :now "
                        "ORDER BY expires_at LIMIT :limit)",
         soci::use(at), soci::use(limit));
    erase.execute(true);
    return static_cast<int>(erase.get_affected_rows());
}

}  // namespace cloudtask::center
