// Secrets at the center: how they are kept, who is told what, rotation of the key; through the API.
#include "center/secrets.h"

#include <soci/soci.h>
#include <sys/stat.h>
#include <catch2/catch.hpp>

#include <fstream>

#include "api_fixture.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/sealed_box.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

constexpr const char* kSecrets = "/api/v1/runtimes/demo/secrets";
const std::string kValue = "hunter2-hunter2";

Answer set_secret(ApiFixture& api, const std::string& name, const std::string& value = kValue, const std::string& query = {}) {
    return api.call("PUT", std::string(kSecrets) + "/" + name + query, R"({"value":")" + value + R"("})");
}

// Joins a node to `demo` and has it ask for secrets; what it can open, by "group/name@version".
struct AskingNode {
    ApiFixture& api;
    std::string token;
    KeyPair keys = make_key_pair();

    AskingNode(ApiFixture& fixture, const std::string& name) : api(fixture) {
        const auto join_token = api.post("/api/v1/join-tokens", R"({"runtime":"demo"})").text("token");
        const auto joined =
            api.call("POST", "/api/v1/node/join",
                     R"({"token":")" + join_token + R"(","runtime":"demo","name":")" + name + R"(","labels":{},"weight":1,"version":"1"})",
                     {{"Authorization", ""}});
        INFO(joined.body);
        REQUIRE(joined.status == 200);
        token = joined.text("node_token");
    }

    Answer ask(const std::string& have = "[]", const std::string& labels = "{}") {
        return api.post("/api/v1/node/secrets",
                        R"({"key":")" + to_base64(keys.public_key) + R"(","labels":)" + labels + R"(,"have":)" + have + "}",
                        {{"Authorization", "Bearer " + token}});
    }

    std::map<std::string, std::string> opened(const Answer& answer) const {
        INFO(answer.body.substr(0, 4000));
        REQUIRE(answer.status == 200);
        std::map<std::string, std::string> values;
        const auto document = answer.json();
        for (const auto& item : document["secrets"].GetArray()) {
            const std::string place = std::string(item["group"].GetString()) + "/" + item["name"].GetString();
            const std::string head = fmt::format("{}@{}\n", place, item["version"].GetInt64());
            if (!item.HasMember("sealed")) {
                values[place] = "(had)";
                continue;
            }
            const auto text = open_sealed(keys, *from_base64(item["sealed"].GetString()));
            REQUIRE(text);
            REQUIRE(text->starts_with(head));
            values[place] = text->substr(head.size());
        }
        return values;
    }
};

std::string all_of_database(ApiFixture& api) {
    std::string all;
    for (const char* name : {"center.db", "center.db-wal"}) {
        std::ifstream file(api.folder.file(name), std::ios::binary);
        all.append(std::istreambuf_iterator<char>(file), {});
    }
    return all;
}

}  // namespace

TEST_CASE("a value that is encrypted opens with its key and at its place only") {
    SystemRandom random;
    const auto keys = *SecretKeys::parse("# old\n" + SecretKeys::make_line(random) + "\n" + SecretKeys::make_line(random), "keys");
    REQUIRE(keys.ids().size() == 2);
    const SecretPlace place{"demo", "reports", "db", 7};
    const auto encrypted = keys.encrypt(kValue, place, random);
    CHECK(encrypted.key_id == keys.primary());
    CHECK(*keys.decrypt(encrypted, place) == kValue);
    CHECK(keys.encrypt(kValue, place, random).text != encrypted.text);
    for (const SecretPlace& other : {SecretPlace{"other", "reports", "db", 7}, SecretPlace{"demo", "", "db", 7},
                                     SecretPlace{"demo", "reports", "key", 7}, SecretPlace{"demo", "reports", "db", 8}}) {
        CHECK(keys.decrypt(encrypted, other).error().is(Errc::corrupt));
    }
    CHECK(keys.decrypt({encrypted.key_id, encrypted.text.substr(0, 20)}, place).error().is(Errc::corrupt));
    const auto others = *SecretKeys::parse(SecretKeys::make_line(random), "keys");
    CHECK(others.decrypt(encrypted, place).error().is(Errc::not_found));
    CHECK(SecretKeys::parse("not base64!", "keys").error().message.find("keys, line 1") == 0);
    CHECK_FALSE(SecretKeys::parse("# nothing\n", "keys"));
}

TEST_CASE("the file of keys is made once, refused when others may read it, and missed when there are secrets") {
    SystemRandom random;
    TemporaryFolder folder;
    const std::string path = folder.file("keys");
    CHECK(SecretKeyFile::open(path, false, random).error().is(Errc::not_found));
    const auto made = SecretKeyFile::open(path, true, random);
    REQUIRE(made);
    CHECK((*made)->made());
    const auto again = SecretKeyFile::open(path, false, random);
    REQUIRE(again);
    CHECK_FALSE((*again)->made());
    CHECK((*again)->keys()->primary() == (*made)->keys()->primary());
    REQUIRE(::chmod(path.c_str(), 0640) == 0);
    CHECK(SecretKeyFile::open(path, true, random).error().is(Errc::permission_denied));
    CHECK((*again)->reload().error().is(Errc::permission_denied));
    CHECK((*again)->keys()->primary() == (*made)->keys()->primary());
}

TEST_CASE("a secret is set and listed, and its value is answered by nothing and kept nowhere") {
    ApiFixture api;
    api.make_group();
    const auto made = set_secret(api, "db");
    INFO(made.body);
    REQUIRE(made.status == 201);
    CHECK(made.text("updated_by") == "root");
    CHECK(set_secret(api, "db", kValue + "-new").status == 200);
    CHECK(set_secret(api, "db", kValue + "-group", "?group=reports").status == 201);
    const auto list = api.get(kSecrets);
    CHECK(list.json()["items"].Size() == 2);
    CHECK(api.get(std::string(kSecrets) + "?group=reports").json()["items"].Size() == 1);
    CHECK(api.count("SELECT count(*) FROM audit WHERE action = 'secret.set' AND subject LIKE 'secret:demo/%'") == 3);
    CHECK(all_of_database(api).find("hunter2") == std::string::npos);
    for (const auto& answer : {made, list, api.get("/api/v1/runtimes/demo")}) CHECK(answer.body.find("hunter2") == std::string::npos);

    CHECK(api.call("PUT", "/api/v1/runtimes/none/secrets/db", R"({"value":"12345678"})").status == 404);
    CHECK(set_secret(api, "db", kValue, "?group=none").status == 404);
    CHECK(set_secret(api, "D_B").status == 400);
    const auto refused = set_secret(api, "db", "1234567");
    CHECK(refused.status == 422);
    CHECK(refused.body.find("1234567") == std::string::npos);
    CHECK(set_secret(api, "db", std::string(task::kLongestSecret + 1, 'x')).status == 422);
    CHECK(set_secret(api, "db", std::string(task::kLongestSecret, 'x')).status == 200);
    const auto binary = api.call("PUT", std::string(kSecrets) + "/blob", R"({"value":"AAECAwQFBgc=","encoding":"base64"})");
    CHECK(binary.status == 201);
    const auto viewer = api.make_user("eva", "viewer");
    const ApiFixture::Headers as_viewer{{"Authorization", "Bearer " + api.log_in("eva")}};
    CHECK(api.call("PUT", std::string(kSecrets) + "/db", R"({"value":"12345678"})", as_viewer).status == 403);
    CHECK(api.call("GET", kSecrets, {}, as_viewer).status == 200);
}

TEST_CASE("a change of a secret is a revision of its runtime's catalog, also for a center that was restarted since") {
    ApiFixture api;
    api.make_group();
    for (const std::string& query : {std::string{}, std::string{"?group=reports"}}) {
        REQUIRE(set_secret(api, "db", kValue, query).status == 201);
        const auto set = api.newest_revision();
        CHECK(api.catalog_changes.back() == std::pair<std::string, std::int64_t>{"demo", set});
        REQUIRE(api.erase(std::string(kSecrets) + "/db" + query).status == 204);
        CHECK(api.newest_revision() > set);
    }
}

TEST_CASE("a task names secrets that there are, and they stay as long as it does") {
    ApiFixture api;
    api.make_group();
    const auto refused = api.post("/api/v1/tasks", task_definition("daily", R"(,"secrets":{"DB":"db"})"));
    CHECK(refused.status == 422);
    CHECK(refused.body.find("/secrets/DB") != std::string::npos);
    REQUIRE(set_secret(api, "db").status == 201);
    const auto id = api.make_task("daily", R"(,"secrets":{"DB":"db"})");
    const auto kept = api.erase(std::string(kSecrets) + "/db");
    CHECK(kept.status == 409);
    CHECK(kept.body.find("reports/daily") != std::string::npos);
    // The group's own takes the place of the runtime's, which nobody is given any more.
    REQUIRE(set_secret(api, "db", kValue, "?group=reports").status == 201);
    CHECK(api.erase(std::string(kSecrets) + "/db?group=reports").status == 409);
    CHECK(api.erase(std::string(kSecrets) + "/db").status == 204);
    CHECK(api.erase(std::string(kSecrets) + "/db").status == 404);
    REQUIRE(api.put("/api/v1/tasks/" + id, "1", task_definition("daily")).status == 200);
    CHECK(api.erase(std::string(kSecrets) + "/db?group=reports").status == 204);
}

TEST_CASE("a node gets what tasks name that it may run, sealed for it, each once") {
    ApiFixture api;
    api.make_group();
    for (const char* name : {"any", "of-label", "of-other", "unused"}) REQUIRE(set_secret(api, name, kValue + name).status == 201);
    REQUIRE(set_secret(api, "any", kValue + "group", "?group=reports").status == 201);
    api.make_task("a", R"(,"secrets":{"A":"any"})");
    api.make_task("b", R"(,"secrets":{"A":"of-label"},"labels":{"disk":"ssd"})");
    api.make_task("c", R"(,"secrets":{"A":"of-other"},"targets":["other"])");
    AskingNode node(api, "n1");
    const auto first = node.ask();
    using Values = std::map<std::string, std::string>;
    CHECK(node.opened(first) == Values{{"reports/any", kValue + "group"}});
    CHECK(node.opened(node.ask("[]", R"({"disk":"ssd"})")) ==
          Values{{"/of-label", kValue + "of-label"}, {"reports/any", kValue + "group"}});
    const auto document = first.json();
    const auto have = std::to_string(document["secrets"][0]["version"].GetInt64());
    CHECK(node.opened(node.ask("[" + have + "]")) == Values{{"reports/any", "(had)"}});
    AskingNode other(api, "other");
    CHECK(other.opened(other.ask()) == Values{{"/of-other", kValue + "of-other"}, {"reports/any", kValue + "group"}});

    // A change is told by the catalog, under a revision of its own.
    const ApiFixture::Headers as_node{{"Authorization", "Bearer " + node.token}};
    const auto before = api.call("GET", "/api/v1/node/catalog?since=0", {}, as_node);
    CHECK(before.text("secrets") == first.text("revision"));
    CHECK(before.body.find("hunter2") == std::string::npos);
    api.catalog_changes.clear();
    REQUIRE(set_secret(api, "any", kValue + "new", "?group=reports").status == 200);
    const auto after = api.call("GET", "/api/v1/node/catalog?since=" + before.text("revision"), {}, as_node);
    CHECK(after.text("secrets") == after.text("revision"));
    REQUIRE(api.catalog_changes.size() == 1);
    CHECK(std::to_string(api.catalog_changes[0].second) == after.text("revision"));
    CHECK(node.opened(node.ask("[" + have + "]")) == Values{{"reports/any", kValue + "new"}});
    CHECK(api.post("/api/v1/node/secrets", R"({"key":"eA==","have":[]})", as_node).status == 400);
    CHECK(api.post("/api/v1/node/secrets", R"({"key":"eA==","have":[]})").status == 401);
}

TEST_CASE("many large secrets come in several answers") {
    ApiFixture api;
    api.make_group();
    std::string named;
    constexpr int kTasks = 5, kEach = 32;
    for (int task = 0; task < kTasks; ++task) {
        named.clear();
        for (int i = 0; i < kEach; ++i) {
            const std::string name = fmt::format("s{}-{}", task, i);
            REQUIRE(set_secret(api, name, std::string(task::kLongestSecret, 'x')).status == 201);
            named += fmt::format("{}\"V{}\":\"{}\"", i == 0 ? "" : ",", i, name);
        }
        api.make_task(fmt::format("t{}", task), ",\"secrets\":{" + named + "}");
    }
    AskingNode node(api, "n1");
    std::string have;
    int answers = 0;
    for (bool more = true; more; ++answers) {
        REQUIRE(answers < 4);
        const auto answer = node.ask("[" + have + "]");
        const auto document = answer.json();
        more = document["more"].GetBool();
        for (const auto& [place, value] : node.opened(answer)) CHECK((value == "(had)" || value.size() == task::kLongestSecret));
        CHECK(document["secrets"].Size() == kTasks * kEach);
        have.clear();
        int sealed = 0;
        for (const auto& item : document["secrets"].GetArray()) {
            if (answers > 0 || item.HasMember("sealed")) have += (have.empty() ? "" : ",") + std::to_string(item["version"].GetInt64());
            if (item.HasMember("sealed")) ++sealed;
        }
        CHECK(sealed > 0);
    }
    CHECK(answers == 2);
}

TEST_CASE("rotation encrypts all by the first key, and says which others are not needed") {
    ApiFixture api;
    api.make_group();
    for (int i = 0; i < kRotatedAtOnce + 3; ++i) REQUIRE(set_secret(api, fmt::format("s{}", i)).status == 201);
    api.make_task("a", R"(,"secrets":{"A":"s0"})");
    AskingNode node(api, "n1");
    const std::string path = api.secret_keys->path(), old_key = api.secret_keys->keys()->primary();
    std::string lines;
    std::getline(std::ifstream(path), lines, '\0');
    SystemRandom random;
    std::ofstream(path) << SecretKeys::make_line(random) << lines;
    const auto rotated = api.post("/api/v1/secrets/rotate");
    INFO(rotated.body);
    REQUIRE(rotated.status == 200);
    CHECK(rotated.text("encrypted") == std::to_string(kRotatedAtOnce + 3));
    const auto document = rotated.json();
    CHECK(document["keys"][0]["needed"].GetBool());
    CHECK(std::string(document["keys"][1]["id"].GetString()) == old_key);
    CHECK_FALSE(document["keys"][1]["needed"].GetBool());
    CHECK(api.post("/api/v1/secrets/rotate").text("encrypted") == "0");
    // Without the old key all is there; with the old one alone, nothing is.
    std::ofstream(path) << lines;
    CHECK(api.post("/api/v1/secrets/rotate").status == 409);
    CHECK(node.opened(node.ask()).empty());
}

TEST_CASE("a row that is put in another's place is not given out") {
    ApiFixture api;
    api.make_group();
    REQUIRE(set_secret(api, "mine").status == 201);
    REQUIRE(set_secret(api, "others", kValue + "-others").status == 201);
    api.make_task("a", R"(,"secrets":{"A":"mine"})");
    REQUIRE(api.store->write([](soci::session& sql) -> Result<> {
        sql << "UPDATE secrets SET ciphertext = (SELECT ciphertext FROM secrets WHERE name = 'others') WHERE name = 'mine'";
        return {};
    }));
    AskingNode node(api, "n1");
    CHECK(node.opened(node.ask()).empty());
}

TEST_CASE("secrets go with their runtime or group, and a group that has some keeps its name") {
    ApiFixture api;
    const auto group = api.make_group();
    REQUIRE(set_secret(api, "db", kValue, "?group=reports").status == 201);
    REQUIRE(set_secret(api, "db").status == 201);
    CHECK(api.put("/api/v1/groups/" + group, "1", R"({"runtime":"demo","name":"other"})").status == 409);
    CHECK(api.erase("/api/v1/groups/" + group).status == 204);
    CHECK(api.count("SELECT count(*) FROM secrets") == 1);
    CHECK(api.erase("/api/v1/runtimes/demo").status == 204);
    CHECK(api.count("SELECT count(*) FROM secrets") == 0);
}
