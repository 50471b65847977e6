// Uploads, from the first byte to the deletion.
#include "center/packages.h"

#include <sys/resource.h>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "cloudtask/core/hash.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

const std::string kScript = "#!/bin/sh\necho hello\n";

std::size_t files_in(const std::string& folder) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) count += entry.is_regular_file() ? 1 : 0;
    return count;
}

std::size_t left_over(ApiFixture& api) { return files_in(api.folder.file("packages")) + files_in(api.folder.file("packages/tmp")); }

}  // namespace

TEST_CASE("an upload becomes a package named by its content, which comes back byte for byte") {
    ApiFixture api;
    const auto made = api.post("/api/v1/packages?filename=hello.sh", kScript);
    INFO(made.body);
    REQUIRE(made.status == 201);
    CHECK(made.text("sha256") == sha256_hex(kScript));
    CHECK(made.text("format") == "script");
    CHECK(made.text("size") == std::to_string(kScript.size()));
    CHECK(made.text("uploaded_by") == "root");
    const auto path = "/api/v1/packages/" + made.text("sha256");
    CHECK(api.get(path).body == made.body);
    CHECK(api.get(path + "/content").body == kScript);
    const auto again = api.post("/api/v1/packages?filename=other.sh", kScript);
    CHECK(again.status == 200);
    CHECK(again.text("filename") == "hello.sh");
    CHECK(left_over(api) == 1);
    CHECK(api.count("SELECT count(*) FROM audit WHERE action = 'package.create'") == 1);
}

TEST_CASE("what is refused leaves nothing") {
    ApiFixture api;
    CHECK(api.post("/api/v1/packages", kScript).status == 400);
    CHECK(api.post("/api/v1/packages?filename=..%2Fx.sh", kScript).status == 400);
    CHECK(api.post("/api/v1/packages?filename=x.sh&colour=red", kScript).status == 400);
    CHECK(api.post("/api/v1/packages?filename=x.sh").status == 400);
    const auto wrong_hash = api.post("/api/v1/packages?filename=x.sh", kScript, {{"X-Content-SHA256", std::string(64, '0')}});
    CHECK(wrong_hash.status == 400);
    CHECK(wrong_hash.body.find(sha256_hex(kScript)) != std::string::npos);
    CHECK(api.post("/api/v1/packages?filename=x.tar.gz", "not an archive").status == 422);
    CHECK(api.post("/api/v1/packages?filename=x.sh", std::string((1 << 20) + 1, '#')).status == 413);
    CHECK(left_over(api) == 0);
    CHECK(api.count("SELECT count(*) FROM packages") == 0);
    CHECK(api.post("/api/v1/packages?filename=x.sh", kScript, {{"X-Content-SHA256", sha256_hex(kScript)}}).status == 201);
}

TEST_CASE("an upload that breaks off leaves nothing") {
    ApiFixture api;
    const std::string head = "POST /api/v1/packages?filename=x.sh HTTP/1.1\r\nHost: c\r\nAuthorization: Bearer " + api.admin_token +
                             "\r\nContent-Length: 100000\r\n\r\n";
    // Half of the body, and the client's side is closed.
    api.raw(head + std::string(50000, '#'), true);
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (left_over(api) != 0 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    CHECK(left_over(api) == 0);
    CHECK(api.count("SELECT count(*) FROM packages") == 0);
}

TEST_CASE("a package that a task uses stays; after that its file goes with its row") {
    ApiFixture api;
    api.make_group();
    const auto sha256 = api.post("/api/v1/packages?filename=hello.sh", kScript).text("sha256");
    const auto task = api.make_task("daily", R"(,"package":")" + sha256 + "\"");
    const auto refused = api.erase("/api/v1/packages/" + sha256);
    CHECK(refused.status == 409);
    CHECK(refused.body.find("demo/reports/daily") != std::string::npos);
    CHECK(api.erase("/api/v1/tasks/" + task).status == 204);
    CHECK(api.erase("/api/v1/packages/" + sha256).status == 204);
    CHECK(left_over(api) == 0);
    CHECK(api.erase("/api/v1/packages/" + sha256).status == 404);
}

TEST_CASE("a package that a task may go back to stays while the trial of another version is not over") {
    ApiFixture api;
    api.make_group();
    const auto sha256 = api.post("/api/v1/packages?filename=hello.sh", kScript).text("sha256");
    const auto path = "/api/v1/tasks/" + api.make_task("daily", R"(,"package":")" + sha256 + "\"");
    REQUIRE(api.put(path + "?canary=1", "1", task_definition("daily")).status == 200);
    const auto refused = api.erase("/api/v1/packages/" + sha256);
    CHECK(refused.status == 409);
    CHECK(refused.body.find("demo/reports/daily") != std::string::npos);
    REQUIRE(api.put(path, "2", task_definition("daily", R"(,"description":"decided")")).status == 200);
    CHECK(api.erase("/api/v1/packages/" + sha256).status == 204);
}

TEST_CASE("an upload under an idempotency key is answered the same, and another content is refused") {
    ApiFixture api;
    const ApiFixture::Headers key{{"Idempotency-Key", "upload-1"}};
    CHECK(api.post("/api/v1/packages?filename=a.sh", kScript, key).status == 201);
    const auto again = api.post("/api/v1/packages?filename=a.sh", kScript, key);
    CHECK(again.status == 201);
    CHECK(again.headers.at("idempotency-replayed") == "true");
    CHECK(api.post("/api/v1/packages?filename=a.sh", kScript + "echo more\n", key).status == 422);
    CHECK(left_over(api) == 1);
}

TEST_CASE("the next start removes what broken uploads and crashes left, and nothing else") {
    TemporaryFolder folder;
    SystemRandom random;
    PackageFiles files(folder.file("packages"), random);
    REQUIRE(files.prepare());
    auto upload = files.begin();
    REQUIRE(upload->append("known"));
    const auto known = upload->finish();
    REQUIRE(known);
    REQUIRE(files.keep(*upload, *known));
    std::ofstream(folder.file("packages/tmp/half")) << "half";
    std::ofstream(folder.file("packages/" + std::string(64, 'f'))) << "no row";
    std::ofstream(folder.file("packages/README")) << "not ours";
    REQUIRE(files.prepare());
    files.remove_unknown({*known});
    CHECK(files_in(folder.file("packages/tmp")) == 0);
    CHECK(std::filesystem::exists(files.path_of(*known)));
    CHECK_FALSE(std::filesystem::exists(files.path_of(std::string(64, 'f'))));
    CHECK(std::filesystem::exists(folder.file("packages/README")));
}

TEST_CASE("a disk that takes no more gives an io error, and leaves no file") {
    TemporaryFolder folder;
    SystemRandom random;
    PackageFiles files(folder.file("packages"), random);
    REQUIRE(files.prepare());
    const auto path = folder.file("packages/tmp/full");
    // The process's own bound on file sizes fails a write as a full disk does: after a part of it.
    const rlimit before = [] {
        rlimit limit{};
        ::getrlimit(RLIMIT_FSIZE, &limit);
        return limit;
    }();
    const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit small{4096, before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    Result<> written;
    {
        PackageUpload upload(path);
        written = upload.append(std::string(8192, 'x'));
    }
    ::setrlimit(RLIMIT_FSIZE, &before);
    std::signal(SIGXFSZ, old_handler);
    REQUIRE_FALSE(written);
    CHECK(written.error().is(Errc::io));
    CHECK_FALSE(std::filesystem::exists(path));
    const auto answer = problem_for(written.error());
    CHECK(answer.status == 507);
}
