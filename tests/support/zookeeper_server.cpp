// Starts, stops and freezes a ZooKeeper server process. Knows the places where Debian puts the jars.
#include "tests/support/zookeeper_server.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <vector>

extern char** environ;

namespace cloudtask::test {

namespace {

constexpr auto kStartLimit = std::chrono::seconds{60};
constexpr auto kPollInterval = std::chrono::milliseconds{20};

sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

int free_port() {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
    ::close(fd);
    if (!bound) throw std::runtime_error("cannot find a free port on loopback");
    return ntohs(address.sin_port);
}

// ZooKeeper's four-letter word: it says "imok" once it serves.
bool answers(int port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience{1, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    const sockaddr_in address = loopback(port);
    std::string answer;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 && ::send(fd, "srvr", 4, MSG_NOSIGNAL) == 4) {
        std::array<char, 512> buffer{};
        ssize_t count = 0;
        while ((count = ::recv(fd, buffer.data(), buffer.size(), 0)) > 0) answer.append(buffer.data(), static_cast<std::size_t>(count));
    }
    ::close(fd);
    return answer.find("Mode:") != std::string::npos;
}

std::string class_path() {
    static const std::array kJars = {"zookeeper",    "zookeeper-jute", "slf4j-api",     "slf4j-simple",    "metrics-core",   "snappy-java",
                                     "netty-buffer", "netty-common",   "netty-handler", "netty-transport", "netty-resolver", "netty-codec"};
    std::string path;
    for (const char* jar : kJars) path.append(path.empty() ? "" : ":").append("/usr/share/java/").append(jar).append(".jar");
    return path;
}

void require_programs() {
    if (!std::filesystem::exists("/usr/bin/java") || !std::filesystem::exists("/usr/share/java/zookeeper.jar")) {
        throw std::runtime_error(
            "this test needs a ZooKeeper server: install openjdk-17-jre-headless and libzookeeper-java (scripts/bootstrap does)");
    }
}

}  // namespace

ZookeeperServer::ZookeeperServer() {
    require_programs();
    std::string pattern = std::filesystem::temp_directory_path() / "cloudtask-zookeeper-XXXXXX";
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("cannot make a temp folder for ZooKeeper");
    folder_ = pattern;
    port_ = free_port();
    address_ = "127.0.0.1:" + std::to_string(port_);
    write_configuration();
    try {
        start();
    } catch (...) {
        kill();
        std::filesystem::remove_all(folder_);
        throw;
    }
}

ZookeeperServer::~ZookeeperServer() {
    kill();
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
}

void ZookeeperServer::write_configuration() const {
    std::ofstream(folder_ / "zoo.cfg") << "tickTime=250\n"
                                       << "dataDir=" << (folder_ / "data").string() << "\n"
                                       << "clientPort=" << port_ << "\n"
                                       << "clientPortAddress=127.0.0.1\n"
                                       << "admin.enableServer=false\n"
                                       << "4lw.commands.whitelist=srvr\n";
    // Several servers may run on one machine; none needs more than this.
    std::ofstream(folder_ / "simplelogger.properties") << "org.slf4j.simpleLogger.defaultLogLevel=warn\n";
}

void ZookeeperServer::start() {
    spawn();
    await_answer();
}

void ZookeeperServer::spawn() {
    const std::vector<std::string> arguments = {"/usr/bin/java",
                                                "-Xmx128m",
                                                "-XX:+UseSerialGC",
                                                "-XX:TieredStopAtLevel=1",
                                                "-Xshare:auto",
                                                "-Dzookeeper.admin.enableServer=false",
                                                "-cp",
                                                class_path() + ":" + folder_.string(),
                                                "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                                                (folder_ / "zoo.cfg").string()};
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const std::string log = folder_ / "server.log";
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    const int error = ::posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) {
        pid_ = 0;
        throw std::runtime_error(std::string("cannot start java: ") + std::strerror(error));
    }
}

void ZookeeperServer::await_answer() {
    const auto deadline = std::chrono::steady_clock::now() + kStartLimit;
    while (!answers(port_)) {
        if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
            pid_ = 0;
            throw std::runtime_error("the ZooKeeper server ended at once: " + log_tail());
        }
        if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("the ZooKeeper server does not answer: " + log_tail());
        std::this_thread::sleep_for(kPollInterval);
    }
}

std::string ZookeeperServer::log_tail() const {
    std::ifstream file(folder_ / "server.log");
    std::ostringstream text;
    text << file.rdbuf();
    const std::string all = text.str();
    return all.size() > 2000 ? all.substr(all.size() - 2000) : all;
}

void ZookeeperServer::kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
    frozen_ = false;
}

void ZookeeperServer::freeze() {
    if (pid_ == 0 || frozen_) return;
    ::kill(pid_, SIGSTOP);
    // Its threads go on until the one that takes the signal runs.
    siginfo_t stopped{};
    while (::waitid(P_PID, static_cast<id_t>(pid_), &stopped, WSTOPPED | WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    frozen_ = true;
}

void ZookeeperServer::thaw() {
    if (pid_ == 0 || !frozen_) return;
    ::kill(pid_, SIGCONT);
    frozen_ = false;
}

}  // namespace cloudtask::test
