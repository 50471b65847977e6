// Store: the center's database. Opens it, brings its schema forward, and runs transactions; knows nothing of what the rows mean.
//
// Threads: any thread but the loop (calls block). Readers run side by side (SQLite WAL), writers one after another. The SQL itself is
// in the files named *_store.cpp, which get a soci::session; no other file includes SOCI.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cloudtask/core/result.h"

namespace soci {
class session;
}

namespace cloudtask::center {

class Store {
  public:
    // Opens <path>, makes it if absent, and migrates its schema forward. Errors: not a database, a newer schema, disk.
    static Result<std::unique_ptr<Store>> open(const std::string& path);
    ~Store();

    // Runs `body` in a read transaction (one consistent snapshot). A database error, thrown by SOCI, comes back as Errc::unavailable:
    // callers answer 503, and never take it for "nothing there".
    Result<> read(const std::function<Result<>(soci::session&)>& body);

    // The same, for what may take long: `over` is asked every few thousand steps of a statement, on this thread; once it says true, the
    // statement ends there. Error: timeout. Empty: there is no end.
    Result<> read(const std::function<Result<>(soci::session&)>& body, const std::function<bool()>& over);

    // Runs `body` in a write transaction (BEGIN IMMEDIATE); commits when it returns a value, rolls back when it returns an error or throws.
    // What it returns is durable (synchronous=FULL). A full disk comes back as Errc::io.
    Result<> write(const std::function<Result<>(soci::session&)>& body);

    // A consistent copy for /readyz: can the database be read and written?
    Result<> check();

  private:
    struct Impl;
    explicit Store(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
