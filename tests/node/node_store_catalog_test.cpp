// The catalog replica's superseded versions: which are kept, until when they were in force, and when they are let go.
#include <algorithm>
#include <map>
#include <tuple>

#include "cloudtask/core/random.h"
#include "cloudtask/task/networks.h"
#include "node/node_store.h"
#include "node/node_store_database.h"
#include "tests/node/node_store_support.h"
#include "tests/support/sanitized.h"

namespace cloudtask::node::test {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Instant at(int second) { return kNoon + seconds{second}; }

// A version that takes effect when it is saved.
task::Task version_of(int number, std::int64_t version, Instant saved, bool enabled = true) {
    task::Task task = task_named(number, version);
    task.version = task.revision = version;
    task.enabled = enabled;
    task.updated_at = task.effective_from = saved;
    return task;
}

using Owing = std::tuple<std::string, std::int64_t, Instant>;  // task, version, until

// As whoever fires tasks understands a catalog: each enabled version ends by the least of what comes after it.
std::vector<Owing> owing(const NodeStore::Catalog& catalog, Instant from = Instant{}) {
    std::map<std::string, std::vector<task::Task>> tasks;
    for (const auto& task : catalog.tasks) tasks[task.id].push_back(task);
    std::vector<Owing> found;
    for (const auto& [id, versions] : tasks) {
        const auto deleted =
            std::find_if(catalog.deleted.begin(), catalog.deleted.end(), [&id = id](const auto& each) { return each.id == id; });
        const bool gone = deleted != catalog.deleted.end();
        Instant end = gone ? deleted->at : Instant::max();
        for (auto version = versions.rbegin(); version != versions.rend(); ++version) {
            if (version != versions.rbegin()) CHECK(version->version < (version - 1)->version);
            const Instant begins = task::tenure_end(*version);
            const bool current = !gone && version == versions.rbegin();
            if (!current && version->enabled && end > begins && end >= from) found.emplace_back(version->name, version->version, end);
            end = std::min(end, begins);
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

struct Replica {
    TempFolder folder;
    std::string path = folder / "node.db";
    std::unique_ptr<NodeStore> store = open_store(path);
    std::int64_t revision = 0;

    void apply(std::vector<task::Task> tasks, std::vector<DeletedTask> deleted = {}, bool full = false) {
        CatalogChange change;
        change.revision = ++revision;
        change.full = full;
        change.tasks = std::move(tasks);
        change.deleted = std::move(deleted);
        const auto applied = store->apply_catalog(change);
        if (!applied) FAIL(applied.error().message);
    }
    NodeStore::Catalog catalog() {
        store.reset();
        store = open_store(path);
        return *store->load_catalog();
    }
    std::vector<Owing> owed() { return owing(catalog()); }
    // As many as there are, whether or not anybody can tell.
    std::int64_t rows() {
        store.reset();
        std::int64_t count = 0;
        {
            Database database;
            REQUIRE(database.open(path));
            Query query(database, "SELECT count(*) FROM superseded");
            REQUIRE(query.next());
            count = query.integer(0);
        }
        store = open_store(path);
        return count;
    }
};

TEST_CASE("a version that is superseded is kept with its end") {
    Replica f;
    f.apply({version_of(1, 1, at(0))});
    CHECK(f.owed().empty());
    f.apply({version_of(1, 2, at(60))});
    CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}});
    CHECK(f.catalog().tasks.size() == 2);
    CHECK(f.catalog().tasks.back().version == 2);

    SECTION("versions that come together are taken in order") {
        f.apply({version_of(1, 3, at(70)), version_of(1, 4, at(80))});
        CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}, {"task-1", 2, at(70)}, {"task-1", 3, at(80)}});
    }
    SECTION("a change that leaves the fires as they are supersedes nothing") {
        task::Task described = version_of(1, 3, at(60));
        described.updated_at = at(90);
        described.description = "another";
        f.apply({described});
        CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}});
        CHECK(f.catalog().tasks.back().description == "another");
    }
    SECTION("one that never was in force stays if it moved the task: it says by which revision that was") {
        task::Task moved = version_of(1, 3, at(105)), described = version_of(1, 4, at(105));
        moved.revision = moved.effective_revision = described.effective_revision = 7;
        described.revision = 8;
        f.apply({moved});
        f.apply({described});
        described.revision = 9;
        described.version = 5;
        f.apply({described});
        std::vector<std::int64_t> versions;
        for (const auto& task : f.catalog().tasks) versions.push_back(task.version);
        CHECK(versions == std::vector<std::int64_t>{1, 2, 3, 5});
    }
    SECTION("it ends when the task is disabled, also if that was while the next version was ahead") {
        task::Task moved = version_of(1, 3, at(105));
        moved.updated_at = at(100);
        task::Task disabled = version_of(1, 4, at(105), false);
        disabled.updated_at = at(102);
        task::Task enabled = version_of(1, 5, at(110));
        SECTION("one by one") {
            f.apply({moved});
            CHECK(f.owed().back() == Owing{"task-1", 2, at(105)});
            f.apply({disabled});
            CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}, {"task-1", 2, at(102)}});
            f.apply({enabled});
        }
        SECTION("at once") { f.apply({moved, disabled, enabled}); }
        CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}, {"task-1", 2, at(102)}});
    }
    SECTION("it ends when the task is deleted") {
        f.apply({}, {{id_of(1), at(90)}});
        const auto catalog = f.catalog();
        CHECK(owing(catalog) == std::vector<Owing>{{"task-1", 1, at(60)}, {"task-1", 2, at(90)}});
        REQUIRE(catalog.deleted.size() == 1);
        CHECK(catalog.deleted[0].at == at(90));
        CHECK(*f.store->catalog_empty());
        // Said again, by a full answer too.
        f.apply({}, {{id_of(1), at(90)}});
        f.apply({version_of(1, 1, at(0)), version_of(1, 2, at(60))}, {{id_of(1), at(90)}}, true);
        CHECK(f.owed() == owing(catalog));
    }
    SECTION("of a deleted task that was disabled before, nothing is owed from then on") {
        f.apply({version_of(1, 3, at(70), false)});
        f.apply({}, {{id_of(1), at(90)}});
        CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}, {"task-1", 2, at(70)}});
    }
    SECTION("it is let go after a while, when something else changes") {
        f.apply({version_of(2, 1, at(60) + task::kSupersededKept)});
        CHECK(f.rows() == 1);
        f.apply({version_of(2, 1, at(61) + task::kSupersededKept)});
        CHECK(f.rows() == 0);
        CHECK(f.catalog().tasks.size() == 2);
    }
}

TEST_CASE("full answers repeat what is known, and end what they do not name") {
    Replica f;
    const std::vector<task::Task> all{version_of(1, 1, at(0)), version_of(1, 2, at(60)), version_of(1, 3, at(90)), version_of(2, 1, at(0))};
    f.apply(all, {}, true);
    const std::vector<Owing> expected{{"task-1", 1, at(60)}, {"task-1", 2, at(90)}};
    CHECK(f.owed() == expected);
    f.apply(all, {}, true);
    CHECK(f.owed() == expected);

    SECTION("what was not known of the past is added") {
        Replica other;
        other.apply({all[2]});
        other.apply(all, {}, true);
        CHECK(other.owed() == expected);
        CHECK(other.catalog().tasks.back().version == 1);  // of task 2
    }
    SECTION("a task that is not named ends with the newest news, as no time is told") {
        f.apply({version_of(3, 1, at(100))}, {}, true);
        auto left = expected;
        left.insert(left.end(), {{"task-1", 3, at(100)}, {"task-2", 1, at(100)}});
        CHECK(f.owed() == left);
        CHECK(f.catalog().deleted.size() == 2);
    }
    SECTION("a center that knows nothing at all is owed nothing") {
        f.apply({}, {}, true);
        CHECK(f.owed().empty());
        CHECK(*f.store->catalog_empty());
    }
    SECTION("a center that was restored from a backup has the last word") {
        f.apply({all[0], all[1], all[3]}, {}, true);
        CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}});
        task::Task again = version_of(1, 2, at(60));
        again.description = "of the same version";
        f.apply({again});
        CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}});
        CHECK(f.catalog().tasks.size() == 3);
    }
}

TEST_CASE("a database of before there were superseded versions is brought forward") {
    Replica f;
    f.apply({version_of(1, 1, at(0))});
    f.store.reset();
    {
        Database database;
        REQUIRE(database.open(f.path));
        REQUIRE(database.execute("DROP TABLE superseded"));
        REQUIRE(database.execute("DROP TABLE runtime"));
        REQUIRE(database.execute("DROP TABLE secrets"));
        REQUIRE(database.execute("ALTER TABLE journal DROP COLUMN task"));
        REQUIRE(database.execute("ALTER TABLE journal DROP COLUMN retry"));
        REQUIRE(database.execute("PRAGMA user_version = 5"));
    }
    f.store = open_store(f.path);
    f.apply({version_of(1, 2, at(60))});
    CHECK(f.owed() == std::vector<Owing>{{"task-1", 1, at(60)}});
}

TEST_CASE("the networks of the runtime are kept as the last answer had them") {
    Replica f;
    CHECK(f.catalog().networks == nullptr);
    CatalogChange change;
    change.revision = 1;
    change.networks = std::make_shared<const task::NetworkRules>(std::vector<task::Network>{*task::Network::parse("10.1.0.0/16")},
                                                                 std::vector<task::Network>{});
    REQUIRE(f.store->apply_catalog(change));
    f.store.reset();
    f.store = open_store(f.path);
    REQUIRE(f.catalog().networks);
    CHECK(*f.catalog().networks == *change.networks);
    change.networks.reset();
    REQUIRE(f.store->apply_catalog(change));
    CHECK(f.catalog().networks == nullptr);
}

// A center, and what its catalog route answers, by the plainest means.
class PlainCenter {
  public:
    struct Known {
        std::vector<task::Task> versions;
        std::int64_t revision = 0;
        std::optional<Instant> deleted_at;
    };

    explicit PlainCenter(Random& random) : random_(random) {}

    Instant now = at(0);

    void edit() {
        const int number = static_cast<int>(random_.below(6));
        if (tasks_.count(current_[number]) == 0) {
            current_[number] = made_;
            tasks_[made_].versions.push_back(version_of(made_, 1, now));
            save(tasks_[made_++]);
            return;
        }
        Known& known = tasks_[current_[number]];
        task::Task next = known.versions.back();
        ++next.version;
        next.updated_at = now;
        switch (random_.below(8)) {
            case 0:
                known.deleted_at = now;
                known.revision = ++revision_;
                current_[number] = -1;
                return;
            case 1:
            case 2:
                next.description = fmt::format("{}", next.version);
                break;
            case 3:
                next.effective_from = std::max(next.effective_from, now + seconds{5});
                break;
            case 4:
            case 5:
                if (!next.enabled) next.effective_from = std::max(next.effective_from, now);
                next.enabled = !next.enabled;
                break;
            default:
                next.effective_from = std::max(next.effective_from, now);
                break;
        }
        known.versions.push_back(next);
        save(known);
    }

    Instant until(const Known& known, std::size_t index) const {
        Instant end = known.deleted_at.value_or(Instant::max());
        for (std::size_t later = index + 1; later < known.versions.size(); ++later) {
            end = std::min(end, task::tenure_end(known.versions[later]));
        }
        return end;
    }

    bool told(const Known& known, std::size_t index) const {
        const Instant end = until(known, index);
        return end != Instant::max() && end > task::tenure_end(known.versions[index]) && end >= now - task::kSupersededKept;
    }

    // What is to be known of the past.
    std::vector<Owing> owed() const {
        std::vector<Owing> found;
        for (const auto& [number, known] : tasks_) {
            for (std::size_t i = 0; i < known.versions.size(); ++i) {
                const task::Task& version = known.versions[i];
                if (version.enabled && told(known, i)) found.emplace_back(version.name, version.version, until(known, i));
            }
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    std::vector<std::string> present() const {
        std::vector<std::string> found;
        for (const auto& [number, known] : tasks_) {
            if (!known.deleted_at) found.push_back(text_of(known.versions.back()));
        }
        std::sort(found.begin(), found.end());
        return found;
    }

    // One page; `more` if there is another.
    CatalogChange page(std::int64_t since, std::size_t most, bool& more) const {
        std::map<std::int64_t, const Known*> changed;
        for (const auto& [number, known] : tasks_) {
            if (known.revision > since) changed[known.revision] = &known;
        }
        CatalogChange change;
        change.full = since == 0;
        change.revision = revision_;
        for (const auto& [revision, known] : changed) {
            if (most-- == 0) {
                more = true;
                return change;
            }
            change.revision = revision;
            for (std::size_t i = 0; i < known->versions.size(); ++i) {
                const bool current = !known->deleted_at && i + 1 == known->versions.size();
                if (current || told(*known, i)) change.tasks.push_back(known->versions[i]);
            }
            if (known->deleted_at) change.deleted.push_back({known->versions.front().id, *known->deleted_at});
        }
        change.revision = revision_;
        more = false;
        return change;
    }

  private:
    void save(Known& known) { known.versions.back().revision = known.revision = ++revision_; }

    Random& random_;
    std::int64_t revision_ = 0;
    int made_ = 0;
    std::map<int, int> current_{{0, -1}, {1, -1}, {2, -1}, {3, -1}, {4, -1}, {5, -1}};
    std::map<int, Known> tasks_;
};

TEST_CASE("whatever is edited and pulled when, the replica knows what is owed") {
    for (std::uint64_t seed = 1; seed <= (kSanitized ? 8U : 40U); ++seed) {
        INFO("seed " << seed);
        SeededRandom random(seed);
        PlainCenter center(random);
        Replica f;
        std::int64_t revision = 0;
        const auto edits = [&](std::uint64_t most) {
            for (std::uint64_t i = random.below(most); i > 0; --i) {
                center.now += seconds{random.below(20)} + (random.below(10) == 0 ? minutes{random.below(12)} : minutes{0});
                center.edit();
            }
        };
        for (int pull = 0; pull < 12; ++pull) {
            edits(12);
            std::int64_t since = random.below(6) == 0 ? 0 : revision;  // asks for everything now and then
            const std::size_t size = 1 + random.below(4);
            std::optional<CatalogChange> gathered;
            bool more = true;
            for (bool first = true; more; first = false) {
                if (!first) edits(3);
                auto change = center.page(since, size, more);
                since = change.revision;
                if (gathered) {
                    gathered->revision = change.revision;
                    gathered->tasks.insert(gathered->tasks.end(), change.tasks.begin(), change.tasks.end());
                    gathered->deleted.insert(gathered->deleted.end(), change.deleted.begin(), change.deleted.end());
                } else if (change.full && more && !*f.store->catalog_empty()) {
                    gathered = std::move(change);
                } else {
                    REQUIRE(f.store->apply_catalog(change));
                }
            }
            if (gathered) REQUIRE(f.store->apply_catalog(*gathered));
            revision = since;
            if (random.below(4) == 0) static_cast<void>(f.catalog());  // restarts

            const auto catalog = f.store->load_catalog();
            REQUIRE(catalog);
            CHECK(owing(*catalog, center.now - task::kSupersededKept) == center.owed());
            std::map<std::string, std::string> last;
            for (const auto& task : catalog->tasks) last[task.id] = text_of(task);
            for (const auto& deleted : catalog->deleted) last.erase(deleted.id);
            std::vector<std::string> present;
            for (const auto& [id, text] : last) present.push_back(text);
            std::sort(present.begin(), present.end());
            CHECK(present == center.present());
        }
    }
}

}  // namespace
}  // namespace cloudtask::node::test
