// The levels of the log.
#include "cloudtask/core/log.h"

#include <catch2/catch.hpp>

using namespace cloudtask;

TEST_CASE("log levels are read, and others refused") {
    const auto before = spdlog::default_logger();
    const std::vector<std::pair<std::string, spdlog::level::level_enum>> table{
        {"debug", spdlog::level::debug}, {"info", spdlog::level::info}, {"warn", spdlog::level::warn}, {"error", spdlog::level::err}};
    for (const auto& [text, level] : table) {
        REQUIRE(log::init("test", text).has_value());
        CHECK(spdlog::default_logger()->level() == level);
        CHECK(spdlog::default_logger()->name() == "test");
    }
    for (const auto* text : {"", "INFO", "warning", "trace", "off", "info "}) {
        const auto refused = log::init("test", text);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error().is(Errc::invalid_argument));
        CHECK(refused.error().message.find("debug, info, warn or error") != std::string::npos);
    }
    // A refused level changes nothing.
    CHECK(spdlog::default_logger()->level() == spdlog::level::err);
    spdlog::set_default_logger(before);
}
