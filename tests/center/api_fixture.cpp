// The API on a real server, for tests.
#include "api_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>
#include <future>
#include <random>
#include <stdexcept>

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "center/catalog_store.h"
#include "center/user_store.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/ring/allocation.h"

namespace cloudtask::center {

namespace {

std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return text;
}

// For what a test may call from several threads: Catch2's assertions are for one thread only.
void expect(bool condition, const char* problem) {
    if (!condition) throw std::runtime_error(problem);
}

Answer parse_answer(const std::string& bytes) {
    Answer answer;
    const auto head_end = bytes.find("\r\n\r\n");
    expect(head_end != std::string::npos, "the answer has no end of its head");
    expect(bytes.rfind("HTTP/1.1 ", 0) == 0, "the answer is not HTTP/1.1");
    answer.status = std::stoi(bytes.substr(9, 3));
    std::size_t at = bytes.find("\r\n") + 2;
    while (at < head_end) {
        const auto line_end = std::min(bytes.find("\r\n", at), head_end);
        const std::string line = bytes.substr(at, line_end - at);
        const auto colon = line.find(':');
        expect(colon != std::string::npos, "a header has no colon");
        answer.headers[lower(line.substr(0, colon))] = line.substr(line.find_first_not_of(' ', colon + 1));
        at = line_end + 2;
    }
    answer.body = bytes.substr(head_end + 4);
    return answer;
}

}  // namespace

TemporaryFolder::TemporaryFolder() {
    std::random_device seed;
    path_ = std::filesystem::temp_directory_path() / fmt::format("cloudtask-center-{:08x}{:08x}", seed(), seed());
    std::filesystem::create_directories(path_);
}

TemporaryFolder::~TemporaryFolder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
}

json::Document Answer::json() const {
    auto document = json::parse(body, {.max_bytes = 64 << 20, .max_depth = 32});
    INFO(body.substr(0, 4000));
    REQUIRE(document);
    return std::move(*document);
}

std::string Answer::text(const std::string& member) const {
    const auto document = json();
    INFO(body);
    REQUIRE(document.IsObject());
    REQUIRE(document.HasMember(member.c_str()));
    const auto& value = document[member.c_str()];
    return value.IsString() ? value.GetString() : json::to_text(value);
}

ApiFixture::ApiFixture() {
    options.data_dir = folder.path();
    options.packages_max_size = 1 << 20;
    options.webroot = std::string(CLOUDTASK_SOURCE_DIR) + "/webroot";
    hooks.catalog_changed = [this](const std::string& runtime, std::int64_t revision) { catalog_changes.emplace_back(runtime, revision); };
    auto opened = Store::open(folder.file("center.db"));
    REQUIRE(opened);
    store = std::move(*opened);
    packages_ = std::make_unique<PackageFiles>(folder.file("packages"), random_);
    REQUIRE(packages_->prepare());
    auth_ = std::make_unique<Auth>(*store, clock, random_, AuthOptions{options.login_lifetime, cheapest_password_cost()});
    worker_ = std::make_unique<ThreadWorker>("api", 4);
    question_worker_ = std::make_unique<ThreadWorker>("questions");
    questions_ = std::make_unique<QuestionLine>(*question_worker_, clock);
    slow_worker_ = std::make_unique<ThreadWorker>("login", 2);
    log_files_ = *LogFiles::open(folder.file("logs"));
    command_hub_ = std::make_unique<CommandHub>(loop_, *worker_, *store);
    log_hub_ = std::make_unique<LogHub>(loop_, *worker_, *store, *log_files_);
    hooks.commands_waiting = [this](const std::string& node_id) { command_hub_->notify(node_id); };
    secret_keys = *SecretKeyFile::open(folder.file("secrets.key"), true, random_);
    context_ = std::make_unique<Context>(Context{*store, cluster, loop_, clock, random_, *worker_, *questions_, *slow_worker_, options,
                                                 hooks, metrics_, *auth_, *packages_, &*log_files_, log_hub_.get(), command_hub_.get(),
                                                 &run_metrics_, secret_keys.get()});
    add_all_routes(table, *context_);
    server_ = std::make_unique<http::Server>(loop_, http::ServerOptions{}, table.router(*context_),
                                             [this](const http::Request& request, int status, double seconds) {
                                                 metrics_.observe_request(request.method, request.route, status, seconds);
                                             });
    const auto port = server_->start();
    REQUIRE(port);
    port_ = *port;
    thread_ = std::thread([this] { loop_.run(); });
    make_user("root", "admin");
    admin_token = log_in("root");
}

ApiFixture::~ApiFixture() {
    loop_.post([this] {
        command_hub_->close();
        log_hub_->close();
    });
    loop_.post([this] { server_->stop(std::chrono::seconds{1}, [this] { loop_.stop(); }); });
    thread_.join();
    worker_.reset();
    question_worker_.reset();
    slow_worker_.reset();
    server_.reset();
}

std::string ApiFixture::raw(const std::string& bytes, bool hang_up) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    expect(fd >= 0, "no socket");
    const timeval limit{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    expect(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "cannot connect");
    std::size_t sent = 0;
    while (sent < bytes.size()) {
        const auto now = ::send(fd, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (now <= 0) break;  // the server may have answered and closed already
        sent += static_cast<std::size_t>(now);
    }
    if (hang_up) ::shutdown(fd, SHUT_WR);
    std::string received;
    char buffer[16384];
    for (;;) {
        const auto now = ::recv(fd, buffer, sizeof buffer, 0);
        if (now <= 0) break;
        received.append(buffer, static_cast<std::size_t>(now));
    }
    ::close(fd);
    return received;
}

Answer ApiFixture::call(const std::string& method, const std::string& target, const std::string& body, const Headers& headers) {
    std::string request = method + " " + target + " HTTP/1.1\r\nHost: center\r\nConnection: close\r\n";
    if (!headers.contains("Authorization")) request += "Authorization: Bearer " + admin_token + "\r\n";
    for (const auto& [name, value] : headers) {
        if (!value.empty()) request += name + ": " + value + "\r\n";
    }
    if (!body.empty() || method == "POST" || method == "PUT") request += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return parse_answer(raw(request + "\r\n" + body));
}

Answer ApiFixture::put(const std::string& target, const std::string& version, const std::string& body) {
    return call("PUT", target, body, {{"If-Match", "\"" + version + "\""}});
}

std::string ApiFixture::make_user(const std::string& name, const std::string& role, const std::string& password) {
    User user;
    user.created_at = user.updated_at = clock.now();
    user.id = make_uuid(user.created_at, random_);
    user.name = name;
    user.role = role;
    auto hash = auth_->hash_password(password);
    REQUIRE(hash);
    user.password_hash = *hash;
    REQUIRE(store->write([&](soci::session& sql) -> Result<> {
        insert_user(sql, user);
        return {};
    }));
    return user.id;
}

std::string ApiFixture::log_in(const std::string& name, const std::string& password) {
    auto login = auth_->login(name, password, "test");
    REQUIRE(login);
    return login->token;
}

std::string ApiFixture::make_group() {
    REQUIRE(post("/api/v1/runtimes", R"({"name":"demo"})").status == 201);
    const auto group = post("/api/v1/groups", R"({"runtime":"demo","name":"reports"})");
    REQUIRE(group.status == 201);
    return group.text("id");
}

std::string member_text(const json::Value& object, const char* name) {
    if (!object.IsObject() || !object.HasMember(name)) return "-";
    return object[name].IsString() ? object[name].GetString() : json::to_text(object[name]);
}

std::string task_definition(const std::string& name, const std::string& more) {
    return R"({"runtime":"demo","group":"reports","name":")" + name + R"(","shell":"date")" + more + "}";
}

std::string ApiFixture::make_task(const std::string& name, const std::string& more) {
    const auto task = post("/api/v1/tasks", task_definition(name, more));
    INFO(task.body);
    REQUIRE(task.status == 201);
    return task.text("id");
}

void ApiFixture::set_cluster(std::vector<ring::Member> members) {
    auto view = std::make_shared<ClusterView>();
    view->connected = true;
    RuntimeView runtime;
    runtime.epoch = 7;
    runtime.settled = true;
    for (const auto& member : members) runtime.nodes[member.id] = NodeView{member, "0.1.0", "host"};
    runtime.allocation = ring::write_allocation({.epoch = 7, .nodes = members, .previous = {}, .departed = {}});
    runtime.ring = std::make_shared<const ring::Ring>(std::move(members));
    view->runtimes["demo"] = std::move(runtime);
    cluster.set(view);
}

long long ApiFixture::count(const std::string& sql_text) {
    long long number = -1;
    REQUIRE(store->read([&](soci::session& sql) -> Result<> {
        sql << sql_text, soci::into(number);
        return {};
    }));
    return number;
}

std::int64_t ApiFixture::newest_revision() {
    std::int64_t newest = -1;
    REQUIRE(store->read([&](soci::session& sql) -> Result<> {
        for (const auto& row : runtime_revisions(sql)) {
            if (row.runtime == "demo") newest = row.revision;
        }
        return {};
    }));
    return newest;
}

}  // namespace cloudtask::center
