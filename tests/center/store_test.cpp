// Store: transactions, snapshots, schema versions, and what becomes of database errors.
#include "center/store.h"

#include <filesystem>
#include <fstream>
#include <thread>

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/migrations.h"

using namespace cloudtask;
using center::Store;
using center::TemporaryFolder;

namespace {

std::unique_ptr<Store> open_store(const TemporaryFolder& folder) {
    auto store = Store::open(folder.file("center.db"));
    REQUIRE(store);
    return std::move(*store);
}

std::string meta(Store& store, const std::string& key) {
    std::string value;
    REQUIRE(store.read([&](soci::session& sql) -> Result<> {
        sql << "SELECT value FROM meta WHERE key = :key", soci::use(key), soci::into(value);
        return {};
    }));
    return value;
}

Result<> set_meta(soci::session& sql, const std::string& key, const std::string& value) {
    sql << "INSERT INTO meta (key, value) VALUES (:key, :value)", soci::use(key), soci::use(value);
    return {};
}

}  // namespace

TEST_CASE("what is committed is there after the store is opened again") {
    TemporaryFolder folder;
    {
        auto store = open_store(folder);
        REQUIRE(store->write([](soci::session& sql) { return set_meta(sql, "a", "1"); }));
    }
    CHECK(meta(*open_store(folder), "a") == "1");
}

TEST_CASE("a transaction that returns an error, or throws, changes nothing, and the next one works") {
    TemporaryFolder folder;
    auto store = open_store(folder);
    const auto refused = store->write([](soci::session& sql) -> Result<> {
        (void)set_meta(sql, "a", "1");
        return fail(Errc::conflict, "no");
    });
    REQUIRE_FALSE(refused);
    CHECK(refused.error().is(Errc::conflict));
    CHECK_THROWS(store->write([](soci::session& sql) -> Result<> {
        (void)set_meta(sql, "a", "1");
        throw std::runtime_error("broken");
    }));
    CHECK(meta(*store, "a").empty());
    CHECK(store->write([](soci::session& sql) { return set_meta(sql, "a", "2"); }));
    CHECK(meta(*store, "a") == "2");
}

TEST_CASE("an error of the database comes back as unavailable, and names no statement") {
    TemporaryFolder folder;
    auto store = open_store(folder);
    const auto broken = store->write([](soci::session& sql) -> Result<> {
        sql << "INSERT INTO no_such_table VALUES (1)";
        return {};
    });
    REQUIRE_FALSE(broken);
    CHECK(broken.error().is(Errc::unavailable));
    CHECK(broken.error().message.find("no_such_table") == std::string::npos);
}

TEST_CASE("a full disk comes back as io, and what was there stays") {
    TemporaryFolder folder;
    auto store = open_store(folder);
    REQUIRE(store->write([](soci::session& sql) { return set_meta(sql, "a", "1"); }));
    // SQLite's own bound on pages gives SQLITE_FULL, as a full disk does.
    const auto full = store->write([](soci::session& sql) -> Result<> {
        long long pages = 0;
        sql << "PRAGMA page_count", soci::into(pages);
        sql << "PRAGMA max_page_count = " + std::to_string(pages), soci::into(pages);
        return set_meta(sql, "b", std::string(1 << 20, 'x'));
    });
    REQUIRE_FALSE(full);
    CHECK(full.error().is(Errc::io));
    CHECK(meta(*store, "a") == "1");
    CHECK(meta(*store, "b").empty());
}

TEST_CASE("foreign keys hold") {
    TemporaryFolder folder;
    auto store = open_store(folder);
    CHECK_FALSE(store->write([](soci::session& sql) -> Result<> {
        sql << "INSERT INTO task_groups (id, runtime, name, document, version, created_at, updated_at) VALUES ('g', 'nowhere', 'n', '{}', "
               "1, 0, 0)";
        return {};
    }));
}

TEST_CASE("a reader sees one snapshot while a writer commits, and cannot write") {
    TemporaryFolder folder;
    auto store = open_store(folder);
    long long before = -1, after = -1;
    REQUIRE(store->read([&](soci::session& sql) -> Result<> {
        sql << "SELECT count(*) FROM meta", soci::into(before);
        std::thread writer([&] { (void)store->write([](soci::session& other) { return set_meta(other, "a", "1"); }); });
        writer.join();
        sql << "SELECT count(*) FROM meta", soci::into(after);
        return {};
    }));
    CHECK(before == after);
    CHECK(meta(*store, "a") == "1");
    CHECK_FALSE(store->read([](soci::session& sql) { return set_meta(sql, "b", "1"); }));
}

TEST_CASE("writers take turns: no increment is lost") {
    TemporaryFolder folder;
    auto store = open_store(folder);
    REQUIRE(store->write([](soci::session& sql) { return set_meta(sql, "n", "0"); }));
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 25; ++i) {
                (void)store->write([](soci::session& sql) -> Result<> {
                    long long n = 0;
                    sql << "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'n'", soci::into(n);
                    const std::string next = std::to_string(n + 1);
                    sql << "UPDATE meta SET value = :n WHERE key = 'n'", soci::use(next);
                    return {};
                });
            }
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(meta(*store, "n") == "100");
}

TEST_CASE("the schema is brought forward once, and a newer one is refused") {
    TemporaryFolder folder;
    int version = -1;
    REQUIRE(open_store(folder)->read([&](soci::session& sql) -> Result<> {
        sql << "PRAGMA user_version", soci::into(version);
        return {};
    }));
    CHECK(version == static_cast<int>(center::migrations().size()));
    REQUIRE(open_store(folder)->write([](soci::session& sql) -> Result<> {
        sql << "PRAGMA user_version = 1000";
        return {};
    }));
    const auto newer = Store::open(folder.file("center.db"));
    REQUIRE_FALSE(newer);
    CHECK(newer.error().is(Errc::unsupported));
    CHECK(newer.error().message.find("newer") != std::string::npos);
}

TEST_CASE("a file that is no database is refused and left as it is") {
    TemporaryFolder folder;
    std::ofstream(folder.file("center.db")) << std::string(8192, 'x');
    REQUIRE_FALSE(Store::open(folder.file("center.db")));
    CHECK(std::filesystem::file_size(folder.file("center.db")) == 8192);
}

TEST_CASE("check reads and writes") {
    TemporaryFolder folder;
    auto store = open_store(folder);
    CHECK(store->check());
    CHECK(store->check());
}
