// Answers of `GET /node/catalog`, read.
#include "node/catalog_page.h"

#include "tests/node/node_store_support.h"

namespace cloudtask::node::test {
namespace {

using Catch::Matchers::Contains;

std::string broken(std::string document) { return document.replace(document.find("\"runtime\""), 9, "\"r_ntime\""); }

std::string page_text(const std::vector<std::string>& tasks, const std::string& deleted) {
    return fmt::format(R"({{"revision":7,"full":false,"tasks":[{}],"deleted":{},"more":true}})", fmt::join(tasks, ","), deleted);
}

std::string document_of(int number, std::int64_t version) {
    task::Task task = task_named(number, version);
    task.version = version;
    task.updated_at = kNoon + std::chrono::seconds{version};
    return text_of(task);
}

TEST_CASE("a page holds versions in order, and says when tasks were deleted") {
    const auto page = read_catalog_page(page_text({document_of(1, 1), document_of(1, 2), document_of(2, 1)},
                                                  fmt::format(R"([{{"id":"{}","at":"{}"}}])", id_of(3), format_instant(kNoon))));
    REQUIRE(page);
    CHECK(page->more);
    CHECK(page->change.revision == 7);
    REQUIRE(page->change.tasks.size() == 3);
    CHECK(page->change.tasks[0].version == 1);
    CHECK(page->change.tasks[1].version == 2);
    CHECK(page->change.tasks[2].id == id_of(2));
    REQUIRE(page->change.deleted.size() == 1);
    CHECK(page->change.deleted[0].id == id_of(3));
    CHECK(page->change.deleted[0].at == kNoon);
    CHECK(newest_instant(page->change) == kNoon + std::chrono::seconds{2});
}

TEST_CASE("a version that cannot be read is left out; if it is the last of its task, the task ended with it") {
    auto page = read_catalog_page(page_text({broken(document_of(1, 1)), document_of(1, 2)}, "[]"));
    REQUIRE(page);
    CHECK(page->change.deleted.empty());
    REQUIRE(page->change.tasks.size() == 1);
    CHECK(page->change.tasks[0].version == 2);

    page = read_catalog_page(page_text({document_of(1, 1), broken(document_of(1, 2)), document_of(2, 1)}, "[]"));
    REQUIRE(page);
    CHECK(page->change.tasks.size() == 2);
    REQUIRE(page->change.deleted.size() == 1);
    CHECK(page->change.deleted[0].id == id_of(1));
    CHECK(page->change.deleted[0].at == kNoon + std::chrono::seconds{2});
}

TEST_CASE("what is no answer of a center is refused") {
    for (const std::string deleted : {"[\"an id\"]", "[{\"id\":\"an id\"}]", "[{\"id\":\"an id\",\"at\":\"noon\"}]", "{}"}) {
        const auto page = read_catalog_page(page_text({}, deleted));
        REQUIRE_FALSE(page);
        CHECK_THAT(page.error().message, Contains("/deleted"));
    }
    CHECK_FALSE(read_catalog_page("{}"));
    CHECK_FALSE(read_catalog_page("["));
}

}  // namespace
}  // namespace cloudtask::node::test
