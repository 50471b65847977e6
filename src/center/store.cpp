// Store over SOCI and SQLite: one writing connection behind a mutex, a few reading ones that wait for each other only when all are in use.
//
// Any thread but the loop. Knows transactions and error codes; the rows are the business of the *_store.cpp files.
#include "center/store.h"

#include <array>
#include <condition_variable>
#include <mutex>
#include <vector>

#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>

#include "center/migrations.h"
#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

constexpr std::size_t kReaders = 4;
constexpr int kCacheKib = 16 * 1024;
constexpr int kStepsBetweenLooks = 2'000;  // of SQLite's machine: far less than a millisecond

// The primary result codes of sqlite3.h that tell "the disk" from "the rest"; its macros are shared with SOCI's copy of that header.
Error map_error(const soci::soci_error& caught) {
    const auto* stopped = dynamic_cast<const soci::sqlite3_soci_error*>(&caught);
    if (stopped != nullptr && (stopped->result() & 0xff) == SQLITE_INTERRUPT) return {make_error_code(Errc::timeout), "it took too long"};
    // Without SOCI's context, which holds statements with their values: hashes of passwords and tokens, people's definitions.
    log::error("database: {}", caught.get_error_message());
    if (const auto* sqlite = dynamic_cast<const soci::sqlite3_soci_error*>(&caught)) {
        const int primary = sqlite->result() & 0xff;
        if (primary == SQLITE_FULL || primary == SQLITE_IOERR) {
            return {make_error_code(Errc::io), "the disk of the database is full or broken; nothing was changed"};
        }
    }
    return {make_error_code(Errc::unavailable), "the database cannot be used now, try again later; the center's log says more"};
}

// Runs a text of several statements; SOCI itself prepares only the first of them.
void execute_script(soci::session& sql, std::string_view script) {
    auto* backend = static_cast<soci::sqlite3_session_backend*>(sql.get_backend());
    char* message = nullptr;
    const std::string text{script};
    const int code = sqlite_api::sqlite3_exec(backend->conn_, text.c_str(), nullptr, nullptr, &message);
    if (code != SQLITE_OK) {
        std::string problem = message != nullptr ? message : "unknown error";
        sqlite_api::sqlite3_free(message);
        throw soci::sqlite3_soci_error(problem, code);
    }
}

void configure(soci::session& sql, bool reader) {
    execute_script(
        sql, fmt::format("PRAGMA busy_timeout=5000; PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL; PRAGMA cache_size=-{};", kCacheKib));
    if (reader) {
        execute_script(sql, "PRAGMA query_only=ON");
        return;
    }
    std::string mode;
    sql << "PRAGMA journal_mode=WAL", soci::into(mode);
    if (mode != "wal") throw soci::soci_error("this file system does not allow SQLite's write-ahead log");
}

void connect(soci::session& sql, const std::string& path) {
    std::string quoted;
    for (const char c : path) {
        if (c == '"') throw soci::soci_error("the path of the database holds a quotation mark");
        quoted += c;
    }
    sql.open(soci::sqlite3, "db=\"" + quoted + "\" timeout=5");
}

// Ends a transaction that is not to be kept. After a full disk SQLite has rolled back by itself, and says so with an error.
void roll_back(soci::session& sql) noexcept {
    try {
        sql << "ROLLBACK";
    } catch (const std::exception& e) {
        log::debug("rollback: {}", e.what());
    }
}

// While it lives, statements of the session end with an error once `over` says so.
class Watched {
  public:
    Watched(soci::session& sql, const std::function<bool()>& over)
        : connection_(static_cast<soci::sqlite3_session_backend*>(sql.get_backend())->conn_), over_(over) {
        sqlite_api::sqlite3_progress_handler(connection_, kStepsBetweenLooks, &Watched::look, this);
    }
    ~Watched() { sqlite_api::sqlite3_progress_handler(connection_, 0, nullptr, nullptr); }
    Watched(const Watched&) = delete;
    Watched& operator=(const Watched&) = delete;

  private:
    static int look(void* self) { return static_cast<Watched*>(self)->over_() ? 1 : 0; }

    sqlite_api::sqlite3* connection_;
    const std::function<bool()>& over_;
};

Result<> migrate(soci::session& sql) {
    int version = 0;
    sql << "PRAGMA user_version", soci::into(version);
    const auto& steps = migrations();
    if (version < 0 || static_cast<std::size_t>(version) > steps.size()) {
        return fail(Errc::unsupported, "the database has schema {}, this program knows schemas up to {}: it was written by a newer release",
                    version, steps.size());
    }
    for (std::size_t next = static_cast<std::size_t>(version); next < steps.size(); ++next) {
        sql << "BEGIN IMMEDIATE";
        try {
            execute_script(sql, steps[next]);
            execute_script(sql, fmt::format("PRAGMA user_version={}", next + 1));
            sql << "COMMIT";
        } catch (...) {
            roll_back(sql);
            throw;
        }
        log::info("database schema is now {}", next + 1);
    }
    return {};
}

}  // namespace

struct Store::Impl {
    std::mutex write_mutex;
    soci::session writer;  // guarded by write_mutex

    std::mutex read_mutex;
    std::condition_variable reader_free;
    std::array<soci::session, kReaders> readers;
    std::vector<soci::session*> idle;  // guarded by read_mutex

    soci::session& take_reader() {
        std::unique_lock lock(read_mutex);
        reader_free.wait(lock, [this] { return !idle.empty(); });
        soci::session* taken = idle.back();
        idle.pop_back();
        return *taken;
    }

    void give_back(soci::session& reader) {
        {
            std::lock_guard lock(read_mutex);
            idle.push_back(&reader);
        }
        reader_free.notify_one();
    }

    static Result<> transaction(soci::session& sql, const char* begin, const std::function<Result<>(soci::session&)>& body) {
        bool open = false;
        try {
            sql << begin;
            open = true;
            Result<> outcome = body(sql);
            if (!outcome) {
                roll_back(sql);
                return outcome;
            }
            sql << "COMMIT";
            return {};
        } catch (const soci::soci_error& e) {
            if (open) roll_back(sql);
            return tl::unexpected<Error>(map_error(e));
        } catch (...) {
            if (open) roll_back(sql);
            throw;
        }
    }
};

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;

Result<std::unique_ptr<Store>> Store::open(const std::string& path) {
    auto impl = std::make_unique<Impl>();
    try {
        connect(impl->writer, path);
        configure(impl->writer, false);
        if (auto migrated = migrate(impl->writer); !migrated) return propagate(migrated);
        for (auto& reader : impl->readers) {
            connect(reader, path);
            configure(reader, true);
            impl->idle.push_back(&reader);
        }
    } catch (const soci::soci_error& e) {
        Error error = map_error(e);
        error.message = fmt::format("cannot open the database {}: {}", path, e.get_error_message());
        return tl::unexpected<Error>(std::move(error));
    }
    return std::unique_ptr<Store>(new Store(std::move(impl)));
}

Result<> Store::read(const std::function<Result<>(soci::session&)>& body) {
    struct Borrowed {
        Impl& impl;
        soci::session& sql;
        ~Borrowed() { impl.give_back(sql); }
    } borrowed{*impl_, impl_->take_reader()};
    return Impl::transaction(borrowed.sql, "BEGIN", body);
}

Result<> Store::read(const std::function<Result<>(soci::session&)>& body, const std::function<bool()>& over) {
    if (!over) return read(body);
    return read([&](soci::session& sql) {
        const Watched watched(sql, over);
        return body(sql);
    });
}

Result<> Store::write(const std::function<Result<>(soci::session&)>& body) {
    std::lock_guard lock(impl_->write_mutex);
    return Impl::transaction(impl_->writer, "BEGIN IMMEDIATE", body);
}

Result<> Store::check() {
    auto written = write([](soci::session& sql) -> Result<> {
        sql << "INSERT INTO meta (key, value) VALUES ('checked', '1') ON CONFLICT (key) DO UPDATE SET value = CAST(value AS INTEGER) % "
               "1000000 + 1";
        return {};
    });
    if (!written) return written;
    return read([](soci::session& sql) -> Result<> {
        std::string value;
        sql << "SELECT value FROM meta WHERE key = 'checked'", soci::into(value);
        if (!sql.got_data()) return fail(Errc::corrupt, "the database lost the row that was just written");
        return {};
    });
}

}  // namespace cloudtask::center
