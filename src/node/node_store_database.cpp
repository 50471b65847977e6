// SQLite: see node_store_database.h.
#include "node/node_store_database.h"

#include <sqlite3.h>

#include "cloudtask/core/log.h"

namespace cloudtask::node {

namespace {

// How long to wait for another process that holds the file, such as a node that is just ending.
constexpr int kBusyMilliseconds = 3000;

// locking_mode comes first: then WAL needs no shared memory, and the lock is held until the connection closes.
constexpr const char* kSettings =
    "PRAGMA locking_mode=EXCLUSIVE;"
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=FULL;"
    "PRAGMA temp_store=MEMORY;"
    "PRAGMA journal_size_limit=67108864;";

}  // namespace

Error database_error(int code, std::string_view path, std::string_view detail) {
    switch (code & 0xff) {
        case SQLITE_FULL:
            return {Errc::io, fmt::format("the disk is full: {} cannot grow; free some space on its file system", path)};
        case SQLITE_IOERR:
            return {Errc::io, fmt::format("{} cannot be read or written: {}; look at its disk", path, detail)};
        case SQLITE_CANTOPEN:
            return {Errc::io, fmt::format("{} cannot be opened: {}; does its folder exist?", path, detail)};
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB:
            return {Errc::corrupt, fmt::format("{} is damaged or no database of a node: {}", path, detail)};
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
            return {Errc::unavailable, fmt::format("{} is in use by another process: is another node running on this folder?", path)};
        case SQLITE_READONLY:
        case SQLITE_PERM:
        case SQLITE_AUTH:
            return {Errc::permission_denied, fmt::format("{} may not be written by this user", path)};
        default:
            return {Errc::internal, fmt::format("{}: {}", path, detail)};
    }
}

Database::~Database() {
    for (const auto& [sql, statement] : statements_) sqlite3_finalize(statement);
    if (handle_ != nullptr && sqlite3_close(handle_) != SQLITE_OK) log::error("{} was not closed", path_);
}

Result<> Database::open(const std::string& path) {
    path_ = path;
    const int opened = sqlite3_open_v2(path.c_str(), &handle_, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    if (opened != SQLITE_OK) return tl::unexpected(error(opened));
    sqlite3_extended_result_codes(handle_, 1);
    sqlite3_busy_timeout(handle_, kBusyMilliseconds);
    return execute(kSettings);
}

Result<> Database::execute(const char* script) {
    const int code = sqlite3_exec(handle_, script, nullptr, nullptr, nullptr);
    if (code != SQLITE_OK) return tl::unexpected(error(code));
    return {};
}

// A full disk may have ended the transaction already.
void Database::roll_back() {
    if (sqlite3_get_autocommit(handle_) != 0) return;
    if (const auto undone = execute("ROLLBACK"); !undone) log::error("{}", undone.error().message);
}

Error Database::error(int code) const {
    return database_error(code, path_, handle_ == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(handle_));
}

Query::Query(Database& database, const char* sql) : database_(database) {
    auto& kept = database.statements_[sql];
    if (kept == nullptr) check(sqlite3_prepare_v3(database.handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &kept, nullptr));
    statement_ = kept;
}

Query::~Query() { reset(); }

void Query::reset() {
    if (statement_ == nullptr) return;
    // It tells the error of the last step once more.
    static_cast<void>(sqlite3_reset(statement_));
    static_cast<void>(sqlite3_clear_bindings(statement_));
    bound_ = 0;
}

void Query::check(int code) {
    if (code != SQLITE_OK && outcome_) outcome_ = tl::unexpected(database_.error(code));
}

Query& Query::bind(std::int64_t value) {
    if (outcome_) check(sqlite3_bind_int64(statement_, ++bound_, value));
    return *this;
}

Query& Query::bind(std::string_view text) {
    // A null pointer would bind NULL.
    const char* bytes = text.data() == nullptr ? "" : text.data();
    if (outcome_) check(sqlite3_bind_text64(statement_, ++bound_, bytes, text.size(), SQLITE_TRANSIENT, SQLITE_UTF8));
    return *this;
}

Query& Query::bind_null() {
    if (outcome_) check(sqlite3_bind_null(statement_, ++bound_));
    return *this;
}

bool Query::next() {
    if (!outcome_) return false;
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) check(code);
    return code == SQLITE_ROW;
}

Result<> Query::finish() const { return outcome_; }

Result<> Query::run() {
    while (next()) {
    }
    const auto outcome = finish();
    reset();
    return outcome;
}

std::int64_t Query::integer(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Query::text(int column) const {
    const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    if (bytes == nullptr) return {};
    return {bytes, static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
}

bool Query::is_null(int column) const { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

}  // namespace cloudtask::node
