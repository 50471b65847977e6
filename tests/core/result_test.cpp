// Errors: codes, categories and sentences.
#include "cloudtask/core/result.h"

#include <catch2/catch.hpp>

#include <cerrno>
#include <set>

using namespace cloudtask;

TEST_CASE("a failure carries its code and its sentence through other results") {
    const Result<int> failed = fail(Errc::not_found, "no task {}", 7);
    REQUIRE_FALSE(failed.has_value());
    CHECK(failed.error().is(Errc::not_found));
    CHECK_FALSE(failed.error().is(Errc::conflict));
    const Result<std::string> handed_on = propagate(failed);
    CHECK(handed_on.error().is(Errc::not_found));
    CHECK(handed_on.error().message == "no task 7");
}

TEST_CASE("every code has its own words") {
    std::set<std::string> words;
    for (int code = 1; code <= static_cast<int>(Errc::internal); ++code) {
        const auto word = make_error_code(static_cast<Errc>(code)).message();
        CHECK(word != "unknown error");
        CHECK(words.insert(word).second);
    }
    CHECK(core_category().message(0) == "unknown error");
    CHECK(core_category().message(static_cast<int>(Errc::internal) + 1) == "unknown error");
}

TEST_CASE("the error of a system call says what failed and why") {
    const Error error = system_error(ENOSPC, "cannot write the journal");
    CHECK(error.code == std::errc::no_space_on_device);
    CHECK(error.message.find("cannot write the journal: ") == 0);
    CHECK(error.message.size() > 30);
}
