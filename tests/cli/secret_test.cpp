// secret set, list, delete and rotate against a recorded center: where a value comes from, and that it is shown nowhere.
#include <catch2/catch.hpp>

#include "cli/exit.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/json.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace {

constexpr const char* kRow =
    R"({"runtime":"demo","group":"reports","name":"db","version":7,"created_at":"2026-11-20T12:00:00Z","updated_at":"2026-11-21T09:00:00Z","updated_by":"eva"})";

// What the center was sent.
std::string sent_value(const Program& program) {
    const auto body = json::parse(program.center.calls.back().body);
    REQUIRE(body);
    CHECK(std::string((*body)["encoding"].GetString()) == "base64");
    return *from_base64((*body)["value"].GetString());
}

}  // namespace

TEST_CASE("a secret's value comes from the standard input, a file or a prompt") {
    const std::string put = "PUT /api/v1/runtimes/demo/secrets/db?group=reports";
    Program program;
    program.center.answer(put, 201, kRow);
    program.input = "a password\n";
    REQUIRE(program.run({"secret", "set", "demo/reports/db"}) == 0);
    CHECK(sent_value(program) == "a password");
    CHECK(program.out == "secret demo/reports/db set, version 7\n");
    REQUIRE(program.run({"secret", "set", "demo/reports/db", "--exact"}) == 0);
    CHECK(sent_value(program) == "a password\n");
    program.input = "two\nlines\n";
    REQUIRE(program.run({"secret", "set", "demo/reports/db"}) == 0);
    CHECK(sent_value(program) == "two\nlines\n");

    Folder folder;
    folder.write("key", "from a file\r\n");
    program.folder = folder.path();
    REQUIRE(program.run({"secret", "set", "demo/reports/db", "--file", "key"}) == 0);
    CHECK(sent_value(program) == "from a file");
    CHECK(program.run({"secret", "set", "demo/reports/db", "--file", "none"}) == static_cast<int>(Exit::usage));
    program.in_is_terminal = true;
    program.typed = "typed by hand";
    REQUIRE(program.run({"secret", "set", "demo/reports/db"}) == 0);
    CHECK(sent_value(program) == "typed by hand");
    program.typed_again = "typed by hnad";
    const auto calls = program.center.calls.size();
    CHECK(program.run({"secret", "set", "demo/reports/db"}) == static_cast<int>(Exit::usage));
    CHECK(program.center.calls.size() == calls);
    program.in_is_terminal = false;

    program.center.answer("PUT /api/v1/runtimes/demo/secrets/db", 200, kRow);
    REQUIRE(program.run({"secret", "set", "demo/db", "-q"}) == 0);
    CHECK(program.out == "demo/db\n");
    for (const char* wrong : {"db", "demo/", "demo//db", "demo/reports/db/x"}) {
        CHECK(program.run({"secret", "set", wrong}) == static_cast<int>(Exit::usage));
    }
}

TEST_CASE("secrets are listed and deleted") {
    Program program;
    program.center.answer("GET /api/v1/runtimes/demo/secrets?limit=200", 200, std::string(R"({"items":[)") + kRow + "]}");
    REQUIRE(program.run({"secret", "list", "demo"}) == 0);
    CHECK(program.out == "SECRET           VERSION  SET     BY\ndemo/reports/db  7        3h ago  eva\n");
    REQUIRE(program.run({"secret", "list", "demo", "-q"}) == 0);
    CHECK(program.out == "demo/reports/db\n");
    program.center.answer("DELETE /api/v1/runtimes/demo/secrets/db?group=reports", 204, "");
    REQUIRE(program.run({"secret", "delete", "demo/reports/db"}) == 0);
    CHECK(program.out == "secret demo/reports/db deleted\n");
}

TEST_CASE("a rotation says which keys are not needed any more") {
    Program program;
    program.center.answer(
        "POST /api/v1/secrets/rotate", 200,
        R"({"encrypted":3,"file":"/etc/keys","keys":[{"id":"aa","secrets":3,"needed":true},{"id":"bb","secrets":0,"needed":false}]})");
    REQUIRE(program.run({"secret", "rotate"}) == 0);
    CHECK(program.out ==
          "3 secrets encrypted anew; all are by the key aa now\n"
          "the key bb (number 2 in /etc/keys) is not needed any more: take its line away, and keep it with old backups\n");
    Program alone;
    alone.center.answer("POST /api/v1/secrets/rotate", 200,
                        R"({"encrypted":0,"file":"/etc/keys","keys":[{"id":"aa","secrets":3,"needed":true}]})");
    REQUIRE(alone.run({"secret", "rotate"}) == 0);
    CHECK(alone.out.find("/etc/keys has no other key") != std::string::npos);
}

}  // namespace cloudtask::cli::test
