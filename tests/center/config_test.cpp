// The center's keys, and that their documentation says the same.
#include "center/config.h"

#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

Result<ConfigSpec::Outcome> load(Options& options, std::vector<const char*> arguments,
                                 const std::map<std::string, std::string>& environment = {}) {
    arguments.insert(arguments.begin(), "cloudtask-center");
    auto spec = make_config_spec(options);
    return spec.load(static_cast<int>(arguments.size()), arguments.data(), environment);
}

}  // namespace

TEST_CASE("docs/configuration.md holds the center's table as the program prints it") {
    Options options;
    std::ifstream file(std::string(CLOUDTASK_SOURCE_DIR) + "/docs/configuration.md");
    std::stringstream text;
    text << file.rdbuf();
    const auto table = make_config_spec(options).markdown();
    INFO("the table is now:\n" << table);
    CHECK(text.str().find(table) != std::string::npos);
}

TEST_CASE("keys come from the environment and the command line, which wins") {
    Options options;
    REQUIRE(load(options, {"--http.port=9090", "--mail.to=a@example.org,b@example.org"},
                 {{"CLOUDTASK_HTTP_PORT", "7070"}, {"CLOUDTASK_LOST_GRACE", "45s"}, {"CLOUDTASK_PACKAGES_MAX_SIZE", "1GiB"}}));
    CHECK(options.http_port == 9090);
    CHECK(options.lost_grace == std::chrono::seconds{45});
    CHECK(options.packages_max_size == 1ULL << 30);
    CHECK(options.mail_to == std::vector<std::string>{"a@example.org", "b@example.org"});
}

TEST_CASE("wrong keys and values are refused by name") {
    Options options;
    for (const char* wrong :
         {"--http.prot=1", "--http.port=70000", "--login.lifetime=1s", "--packages.max-size=5", "--zookeeper.session-timeout=100ms"}) {
        INFO(wrong);
        const auto refused = load(options, {wrong});
        REQUIRE_FALSE(refused);
        const std::string name = std::string(wrong).substr(2, std::string(wrong).find('=') - 2);
        CHECK(refused.error().message.find(name) != std::string::npos);
    }
    CHECK_FALSE(load(options, {}, {{"CLOUDTASK_HTTP_PROT", "1"}}));
}
