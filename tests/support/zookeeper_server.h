// ZookeeperServer: a real ZooKeeper server for tests, on a free port of loopback, with its data in a temp folder that it removes.
//
// Used by one test thread. Needs Debian's libzookeeper-java and a Java runtime (scripts/bootstrap installs them); without them the
// constructor throws with a sentence that says so.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>

namespace cloudtask::test {

class ZookeeperServer {
  public:
    // Starts it and returns when it answers (0.7 s, if nothing else runs). Throws std::runtime_error.
    ZookeeperServer();
    // Kills it.
    ~ZookeeperServer();
    ZookeeperServer(const ZookeeperServer&) = delete;
    ZookeeperServer& operator=(const ZookeeperServer&) = delete;

    // "127.0.0.1:port"
    const std::string& address() const { return address_; }

    // SIGKILL, as a crash is. Clients find nobody at the address.
    void kill();
    // Starts it again after kill(), at the same address with the same data; returns when it answers.
    void start();

    // SIGSTOP: connections stay open and nobody answers.
    void freeze();
    void thaw();

  private:
    void write_configuration() const;
    void spawn();
    void await_answer();
    std::string log_tail() const;

    std::filesystem::path folder_;
    int port_ = 0;
    std::string address_;
    pid_t pid_ = 0;
    bool frozen_ = false;
};

}  // namespace cloudtask::test
