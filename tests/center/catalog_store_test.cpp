// Which versions of a task are told to nodes with its changes.
#include "center/catalog_store.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <functional>
#include <map>

#include "api_fixture.h"
#include "center/task_store.h"
#include "cloudtask/core/random.h"
#include "cloudtask/task/codec.h"
#include "tests/support/sanitized.h"

using namespace cloudtask;
using namespace cloudtask::center;
using namespace std::chrono_literals;

namespace {

struct CatalogWorld : ApiFixture {
    CatalogWorld() { make_group(); }

    CatalogPage page(std::int64_t since, int size = kCatalogPage) {
        CatalogPage read;
        REQUIRE(store->read([&](soci::session& sql) -> Result<> {
            read = read_catalog(sql, "demo", since, clock.now(), size);
            return {};
        }));
        return read;
    }
    void edit(const std::string& id, int version, const std::string& more) {
        const auto answer = put("/api/v1/tasks/" + id, std::to_string(version), task_definition("a", more));
        INFO(answer.body);
        REQUIRE(answer.status == 200);
    }
    void every(const std::string& id, int version, int minutes) {
        edit(id, version, fmt::format(R"(,"schedules":[{{"every":"{}m"}}])", minutes));
    }
};

task::Task read_document(const std::string& document) {
    const auto parsed = json::parse(document);
    REQUIRE(parsed);
    auto task = task::read_task(*parsed);
    INFO(document);
    REQUIRE(task);
    return *task;
}

// "2 3 4": the versions of the page's tasks, in its order.
std::string versions_of(const CatalogPage& page) {
    std::string text;
    for (const auto& document : page.tasks) text += fmt::format("{}{}", text.empty() ? "" : " ", read_document(document).version);
    return text;
}

// Tasks as the store has them, made without the API, and all that is known of them.
struct PlainTasks : CatalogWorld {
    struct Known {
        std::vector<task::Task> versions;
        std::int64_t revision = 0;
        std::optional<Instant> deleted_at;
    };
    std::vector<Known> all;
    std::int64_t revision = 0;
    std::string group_id = [this] {
        const auto groups = get("/api/v1/groups").json();
        return std::string(groups["items"][0]["id"].GetString());
    }();

    void write(const std::function<void(soci::session&)>& body) {
        REQUIRE(store->write([&](soci::session& sql) -> Result<> {
            revision = next_revision(sql);
            body(sql);
            return {};
        }));
    }
    void create(const std::string& name) {
        task::Task task;
        task.id = fmt::format("018f3c2e-0000-7000-8000-{:012x}", all.size());
        task.runtime = "demo";
        task.group = "reports";
        task.name = name;
        task.shell = "date";
        task.created_at = task.updated_at = task.effective_from = clock.now();
        write([&](soci::session& sql) {
            task.revision = task.created_revision = revision;
            insert_task(sql, task, group_id, {"root"});
        });
        all.push_back({{task}, revision, {}});
    }
    void change(std::size_t index, const std::function<void(task::Task&)>& how) {
        Known& known = all[index];
        task::Task next = known.versions.back();
        ++next.version;
        next.updated_at = clock.now();
        how(next);
        write([&](soci::session& sql) {
            next.revision = revision;
            update_task_row(sql, next, group_id, {"root"});
        });
        known.versions.push_back(next);
        known.revision = revision;
    }
    void erase(std::size_t index) {
        Known& known = all[index];
        write([&](soci::session& sql) { erase_task(sql, known.versions.back(), revision, "root", clock.now()); });
        known.revision = revision;
        known.deleted_at = clock.now();
    }
    // The documents that a node is told, whatever the pages.
    std::vector<std::string> expected(std::int64_t since) const {
        std::map<std::int64_t, const Known*> changed;
        for (const auto& known : all) {
            if (known.revision > since) changed[known.revision] = &known;
        }
        std::vector<std::string> documents;
        for (const auto& [at, known] : changed) {
            for (auto version = known->versions.begin(); version != known->versions.end(); ++version) {
                Instant end = known->deleted_at.value_or(Instant::max());
                for (auto later = version + 1; later != known->versions.end(); ++later) end = std::min(end, task::tenure_end(*later));
                const bool current = !known->deleted_at && version + 1 == known->versions.end();
                const bool told = end > task::tenure_end(*version) && end >= clock.now() - task::kSupersededKept;
                if (current || told) documents.push_back(task::to_json(*version));
            }
        }
        return documents;
    }
};

}  // namespace

TEST_CASE("a task comes with the versions that it superseded, for a while", "[catalog]") {
    CatalogWorld w;
    const auto id = w.make_task("a");
    w.clock.advance(1min);
    CHECK(versions_of(w.page(0)) == "1");
    w.every(id, 1, 7);
    CHECK(versions_of(w.page(0)) == "1 2");
    CHECK(versions_of(w.page(1)) == "1 2");
    CHECK(versions_of(w.page(2)).empty());
    w.clock.advance(1min);

    SECTION("of those that were never in force only what changed where or when it fires") {
        w.edit(id, 2, R"(,"schedules":[{"every":"7m"}],"description":"other words")");
        w.edit(id, 3, R"(,"schedules":[{"every":"7m"}],"description":"still other words")");
        CHECK(versions_of(w.page(0)) == "1 2 4");
    }
    SECTION("a disabled one too: it ended the one before") {
        REQUIRE(w.post("/api/v1/tasks/" + id + "/disable", {}, {{"If-Match", "\"2\""}}).status == 200);
        w.clock.advance(1min);
        REQUIRE(w.post("/api/v1/tasks/" + id + "/enable", {}, {{"If-Match", "\"3\""}}).status == 200);
        CHECK(versions_of(w.page(0)) == "1 2 3 4");
    }
    SECTION("none that ended long ago") {
        w.clock.advance(task::kSupersededKept - 1min);
        CHECK(versions_of(w.page(0)) == "1 2");
        w.clock.advance(1us);
        CHECK(versions_of(w.page(0)) == "2");
        w.every(id, 2, 8);
        CHECK(versions_of(w.page(0)) == "2 3");  // that was in force until now
    }
    SECTION("those of a deleted task come with its deletion") {
        REQUIRE(w.erase("/api/v1/tasks/" + id).status == 204);
        auto page = w.page(0);
        CHECK(versions_of(page) == "1 2");
        REQUIRE(page.deleted.size() == 1);
        CHECK(page.deleted[0].id == id);
        CHECK(page.deleted[0].at == w.clock.now());
        CHECK(versions_of(w.page(2)) == "1 2");
        w.clock.advance(task::kSupersededKept);
        CHECK(versions_of(w.page(0)) == "2");
        w.clock.advance(1us);
        page = w.page(0);
        CHECK(page.tasks.empty());
        CHECK(page.deleted.size() == 1);
    }
}

TEST_CASE("the versions of a task stay in one page, and a page does not grow without bound", "[catalog]") {
    CatalogWorld w;
    const auto id = w.make_task("a");
    w.make_task("b");
    w.make_task("c");
    w.clock.advance(1min);
    w.every(id, 1, 7);
    auto page = w.page(0, 2);
    CHECK(versions_of(page) == "1 1");  // b and c
    CHECK(page.more);
    page = w.page(page.revision, 2);
    CHECK(versions_of(page) == "1 2");
    CHECK_FALSE(page.more);

    for (int version = 2; version < 230; ++version) {
        w.clock.advance(1s);
        w.every(id, version, version % 50 + 1);
    }
    page = w.page(0);
    CHECK(page.tasks.size() == 2 + kVersionsTold + 1);
    CHECK(read_document(page.tasks.back()).version == 230);
    CHECK(read_document(page.tasks[2]).version == 230 - static_cast<int>(kVersionsTold));
}

TEST_CASE("big definitions make small pages", "[catalog]") {
    if (kSanitized) return;  // much work of one thread
    PlainTasks w;
    for (int task = 0; task < 4; ++task) {
        w.create("big" + std::to_string(task));
        for (int version = 1; version < 190; ++version) {
            w.clock.advance(100ms);
            w.change(w.all.size() - 1, [&](task::Task& next) {
                next.description.assign(60'000, 'x');
                next.effective_from = w.clock.now();
            });
        }
    }
    std::int64_t since = 0;
    std::vector<std::size_t> counts;
    for (bool more = true; more;) {
        const auto page = w.page(since);
        since = page.revision;
        more = page.more;
        counts.push_back(page.tasks.size());
    }
    CHECK(counts == std::vector<std::size_t>{570, 190});
}

TEST_CASE("whatever was edited when, a page tells what was in force in the last minutes", "[catalog]") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        INFO("seed " << seed);
        SeededRandom random(seed);
        PlainTasks w;
        for (int i = 0; i < 5; ++i) w.create(fmt::format("task-{}", i));
        for (int step = 0; step < 60; ++step) {
            w.clock.advance(std::chrono::seconds{random.below(random.below(5) == 0 ? 700 : 60)});
            const std::size_t index = random.below(w.all.size());
            if (w.all[index].deleted_at) continue;
            const Instant now = w.clock.now();
            const auto kind = random.below(12);
            if (kind == 0) {
                w.erase(index);
            } else {
                w.change(index, [&](task::Task& next) {
                    if (kind < 3) next.effective_from = std::max(next.effective_from, now + 5s);
                    if (kind >= 3 && kind < 6) next.effective_from = std::max(next.effective_from, now);
                    if (kind >= 6 && kind < 9 && !next.enabled) next.effective_from = std::max(next.effective_from, now);
                    if (kind >= 6 && kind < 9) next.enabled = !next.enabled;
                    next.description = std::to_string(step);
                });
            }
            const auto since = static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(w.revision) + 1));
            std::vector<std::string> told;
            std::map<std::string, Instant> deleted;
            CatalogPage page;
            page.revision = since;
            do {
                page = w.page(page.revision, 1 + static_cast<int>(random.below(3)));
                told.insert(told.end(), page.tasks.begin(), page.tasks.end());
                for (const auto& each : page.deleted) deleted[each.id] = each.at;
            } while (page.more);
            CHECK(told == w.expected(since));
            for (const auto& each : w.all) {
                if (!each.deleted_at || each.revision <= since) continue;
                CHECK(deleted.at(each.versions.front().id) == *each.deleted_at);
            }
        }
    }
}

TEST_CASE("after it was restored from a backup the database goes on beyond what nodes were told", "[catalog]") {
    PlainTasks w;
    for (const char* name : {"a", "b", "c"}) w.create(name);
    const std::int64_t known = w.revision;
    bool passed = false;
    const auto pass = [&](std::int64_t published) { w.write([&](soci::session& sql) { passed = pass_lost_revisions(sql, published); }); };
    // write() takes a revision of its own.
    pass(known + 20);
    const std::int64_t last_lost = known + 20 + kUnpublished;
    CHECK(passed);
    CHECK_FALSE(w.page(known).full);
    for (const std::int64_t lost : {known + 2, known + 20, last_lost}) CHECK(w.page(lost).full);
    CHECK(w.page(known).revision == last_lost + 1);
    CHECK_FALSE(w.page(last_lost + 1).full);
    pass(known + 20);
    CHECK_FALSE(passed);

    w.create("d");
    CHECK(w.revision > last_lost + 1);
    CHECK(w.page(last_lost + 1).tasks.size() == 1);
    // A full answer is read to its end.
    CatalogPage page = w.page(known + 20, 1);
    std::size_t tasks = page.tasks.size();
    for (int pages = 1; page.more && pages < 10; ++pages) {
        page = w.page(page.revision, 1);
        CHECK_FALSE(page.full);
        tasks += page.tasks.size();
    }
    CHECK(tasks == 4);
    REQUIRE(w.store->read([&](soci::session& sql) -> Result<> {
        CHECK(runtime_revisions(sql).at(0).revision > last_lost);
        return {};
    }));
}
