// The mailer against a real SMTP server: away and back, put off, refused, STARTTLS with a login.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include <catch2/catch.hpp>

#include "center/mailer.h"
#include "ingest_fixture.h"

extern char** environ;

using namespace cloudtask;
using namespace cloudtask::center;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

int free_port() {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    REQUIRE(::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    socklen_t length = sizeof address;
    REQUIRE(::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    ::close(descriptor);
    return ntohs(address.sin_port);
}

// A child with a pipe to its standard input, whose end ends it, and one from its standard output.
class Child {
  public:
    explicit Child(std::vector<std::string> arguments) {
        int input[2], output[2];
        REQUIRE(::pipe2(input, O_CLOEXEC) == 0);
        REQUIRE(::pipe2(output, O_CLOEXEC) == 0);
        posix_spawn_file_actions_t actions;
        posix_spawn_file_actions_init(&actions);
        posix_spawn_file_actions_adddup2(&actions, input[0], 0);
        posix_spawn_file_actions_adddup2(&actions, output[1], 1);
        std::vector<char*> argv;
        for (auto& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        REQUIRE(::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) == 0);
        posix_spawn_file_actions_destroy(&actions);
        ::close(input[0]);
        ::close(output[1]);
        input_ = input[1];
        char byte = 0;
        std::string line;
        while (::read(output[0], &byte, 1) == 1 && byte != '\n') line += byte;
        ::close(output[0]);
        INFO("the SMTP server says: " << line);
        REQUIRE(line == "listening");
    }
    ~Child() {
        ::close(input_);
        int status = 0;
        ::waitpid(pid_, &status, 0);
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;

  private:
    pid_t pid_ = -1;
    int input_ = -1;
};

std::vector<std::string> mails(const std::string& folder) {
    std::vector<std::string> found;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".eml") continue;
        std::ostringstream text;
        text << std::ifstream(entry.path(), std::ios::binary).rdbuf();
        found.push_back(text.str());
    }
    return found;
}

template <class Condition>
bool wait_for(Condition condition) {
    const auto deadline = std::chrono::steady_clock::now() + seconds{20};
    while (std::chrono::steady_clock::now() < deadline) {
        if (condition()) return true;
        std::this_thread::sleep_for(milliseconds{5});
    }
    return false;
}

struct MailWorld {
    MailWorld() : port(free_port()), folder(history.folder.file("mail")) { std::filesystem::create_directories(folder); }

    void serve(std::vector<std::string> more = {}) {
        std::vector<std::string> arguments{
            "/usr/bin/python3",   "-W",  "ignore", std::string(CLOUDTASK_SOURCE_DIR) + "/tests/center/smtp_server.py",
            std::to_string(port), folder};
        arguments.insert(arguments.end(), more.begin(), more.end());
        server = std::make_unique<Child>(std::move(arguments));
    }
    void start(SmtpOptions options = {}) {
        options.url = fmt::format("smtp://localhost:{}", port);
        auto transport = SmtpTransport::make(options);
        REQUIRE(transport);
        mailer = std::make_unique<Mailer>(
            *history.store, clock, random, history.run_metrics, std::move(*transport),
            MailerOptions{.from = "cloudtask@example.org", .first_delay = milliseconds{20}, .longest_delay = milliseconds{100}});
        mailer->set_leading(true);
    }
    void queue(const std::string& key, std::vector<std::string> recipients) {
        REQUIRE(history.store->write([&](soci::session& sql) -> Result<> {
            queue_mail(sql,
                       {key, std::move(recipients),
                        "It failed: gr\xC3\xBC\xC3\x9F"
                        "e",
                        "first\n.\nlast\n", key + "@example.org"},
                       clock.now());
            return {};
        }));
        if (mailer) mailer->wake();
    }
    std::string state(const std::string& key) { return history.text("SELECT state FROM mails WHERE unique_key = '" + key + "'"); }

    SystemClock clock;
    SystemRandom random;
    HistoryFixture history;
    const int port;
    const std::string folder;
    std::unique_ptr<Child> server;
    std::unique_ptr<Mailer> mailer;
};

}  // namespace

TEST_CASE("a server that is away gets the mail when it is back", "[mail]") {
    MailWorld w;
    w.start();
    w.queue("k1", {"ops@example.org"});
    REQUIRE(wait_for([&] { return w.history.number("SELECT attempts FROM mails") >= 2; }));
    CHECK(w.state("k1") == "waiting");
    w.serve();
    REQUIRE(wait_for([&] { return w.state("k1") == "sent"; }));
    const auto got = mails(w.folder);
    REQUIRE(got.size() == 1);
    CHECK(got[0].starts_with("plain ops@example.org\n"));
    CHECK(got[0].find("\r\nMessage-ID: <k1@example.org>\r\n") != std::string::npos);
    CHECK(got[0].find("\r\n\r\nfirst\r\n.\r\nlast\r\n") != std::string::npos);
}

TEST_CASE("what is put off comes later, what is refused does not hold up the others", "[mail]") {
    MailWorld w;
    w.serve();
    w.start();
    w.queue("k1", {"later@example.org", "ops@example.org"});
    w.queue("k2", {"never@example.org", "dev@example.org"});
    w.queue("k3", {"bad address"});
    REQUIRE(wait_for([&] { return w.state("k2") == "failed" && w.state("k3") == "failed"; }));
    REQUIRE(wait_for([&] { return w.history.number("SELECT attempts FROM mails WHERE unique_key = 'k1'") >= 2; }));
    CHECK(w.state("k1") == "waiting");
    CHECK(w.history.text("SELECT last_error FROM mails WHERE unique_key = 'k2'").find("550") != std::string::npos);
    CHECK(mails(w.folder).size() == 2);  // ops and dev have theirs, once
    std::ofstream(w.folder + "/ready") << "yes";
    REQUIRE(wait_for([&] { return w.state("k1") == "sent"; }));
    CHECK(mails(w.folder).size() == 3);
}

TEST_CASE("mail that nobody takes for a day is given up, and kept", "[mail]") {
    MailWorld w;
    REQUIRE(w.history.store->write([&](soci::session& sql) -> Result<> {
        queue_mail(sql, {"old", {"ops@example.org"}, "s", "b", "old@example.org"}, w.clock.now() - std::chrono::hours{25});
        return {};
    }));
    w.start();
    REQUIRE(wait_for([&] { return w.state("old") == "failed"; }));
}

TEST_CASE("a center that does not lead sends nothing, and one that stops does not wait", "[mail]") {
    MailWorld w;
    w.serve();
    w.start();
    w.mailer->set_leading(false);
    w.queue("k1", {"ops@example.org"});
    w.mailer.reset();
    CHECK(w.state("k1") == "waiting");
    w.start();
    REQUIRE(wait_for([&] { return w.state("k1") == "sent"; }));
    CHECK(mails(w.folder).size() == 1);
}

TEST_CASE("STARTTLS with a login; a wrong password keeps the mail waiting", "[mail]") {
    MailWorld w;
    const std::string certificate = w.history.folder.file("certificate.pem"), key = w.history.folder.file("key.pem");
    const std::string make =
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost -addext "
        "subjectAltName=DNS:localhost -keyout " +
        key + " -out " + certificate + " 2>/dev/null";
    REQUIRE(std::system(make.c_str()) == 0);
    w.serve({certificate, key, "me", "secret"});
    SmtpOptions options{.url = {}, .starttls = StartTls::required, .username = "me", .password = "wrong", .ca_file = certificate};
    w.start(options);
    w.queue("k1", {"ops@example.org"});
    REQUIRE(wait_for([&] { return w.history.number("SELECT attempts FROM mails") >= 1; }));
    CHECK(w.state("k1") == "waiting");
    w.mailer.reset();
    options.password = "secret";
    w.start(options);
    REQUIRE(wait_for([&] { return w.state("k1") == "sent"; }));
    const auto got = mails(w.folder);
    REQUIRE(got.size() == 1);
    CHECK(got[0].starts_with("TLS login ops@example.org\n"));
}
