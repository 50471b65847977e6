// Database and Query: the plain SQLite C API with Result for errors, for the files of NodeStore only.
//
// One connection, held exclusively: a second process that opens the same file is told so. Statements are prepared once and kept. Used from
// one thread at a time; blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "cloudtask/core/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace cloudtask::node {

// What a result code of SQLite means to the caller, in a sentence that names the file and what would help.
Error database_error(int code, std::string_view path, std::string_view detail);

class Database {
  public:
    Database() = default;
    ~Database();
    Database(const Database&) = delete;
    Database& operator=(const Database&) = delete;

    // Opens or makes the file: WAL, synchronous=FULL. Errors: unavailable (another process has it), corrupt (no database), io,
    // permission_denied.
    Result<> open(const std::string& path);

    // Runs one or more statements that answer nothing.
    Result<> execute(const char* script);

    // Runs `body` in one transaction; an error of `body` or of the commit undoes all of it.
    template <class Body>
    Result<> transaction(Body body) {
        if (const auto begun = execute("BEGIN IMMEDIATE"); !begun) return begun;
        Result<> done = body();
        if (done) done = execute("COMMIT");
        if (!done) roll_back();
        return done;
    }

    const std::string& path() const { return path_; }

  private:
    friend class Query;
    void roll_back();
    Error error(int code) const;

    sqlite3* handle_ = nullptr;
    std::string path_;
    std::unordered_map<const char*, sqlite3_stmt*> statements_;  // by the literal that they were made of
};

// One use of a statement: bind in order, then next() for each row or run() for none. An error makes next() false, and finish() tells it.
class Query {
  public:
    // `sql` is a literal: its address names the prepared statement. One Query of a literal at a time.
    Query(Database& database, const char* sql);
    ~Query();
    Query(const Query&) = delete;
    Query& operator=(const Query&) = delete;

    Query& bind(std::int64_t value);
    Query& bind(std::uint64_t value) { return bind(static_cast<std::int64_t>(value)); }
    Query& bind(std::string_view text);
    Query& bind_null();

    // Goes to the next row; false at the end or at an error.
    bool next();
    // The outcome, after next() was false.
    Result<> finish() const;
    // For statements without rows.
    Result<> run();
    // Makes the statement ready for other values.
    void reset();

    std::int64_t integer(int column) const;
    std::uint64_t size(int column) const { return static_cast<std::uint64_t>(integer(column)); }
    std::string text(int column) const;
    bool is_null(int column) const;

  private:
    void check(int code);

    Database& database_;
    sqlite3_stmt* statement_ = nullptr;
    int bound_ = 0;
    Result<> outcome_;
};

}  // namespace cloudtask::node
