// Client: keeps a session alive for as long as the process lives. It owns the current Keeper, makes the next one when a session ends,
// and numbers them (generations). Whoever holds state that rests on a session is told when one begins and when it is over.
//
// Lives on the loop. It survives expiry, server restarts and a server that is not there yet: it tries again with backoff and jitter,
// and says so once per step. It does not retry operations: the recipes know what a repeated write means.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/zk/keeper.h"

namespace cloudtask::zk {

class Client {
  public:
    // Makes a keeper that is connecting. Called again for each generation.
    using Factory = std::function<std::unique_ptr<Keeper>()>;

    struct Observer {
        // A session is established (once per generation). The keeper is valid until on_session_end of the same generation.
        std::function<void(Keeper& keeper, std::uint64_t generation)> on_session;
        // Contact is lost or is back, within one session.
        std::function<void(bool connected)> on_connection;
        // The session is over; nothing written by it can still land.
        std::function<void(std::uint64_t generation)> on_session_end;
    };

    Client(Loop& loop, Random& random, Factory factory);
    ~Client();

    // Observers are called in the order added; add them before start().
    void observe(Observer observer);
    void start();
    // Ends the present session on purpose and makes a new one (a node that must not go on under its old incarnation).
    void renew();
    // Closes the session; `done` on the loop. No new session follows.
    void stop(std::function<void()> done);

    // Null while there is no established session.
    Keeper* keeper() const;
    std::uint64_t generation() const;
    bool connected() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

struct SessionOptions {
    std::string servers;                 // "host:port,host:port"
    std::string chroot = "/cloudtask";   // made if absent
    Duration session_timeout = std::chrono::seconds{6};  // 100 ms at least
    std::string secret;                  // of the cluster: digest ACL on all that is made; empty: open ACL (tests only)
};

// A Factory of real ZooKeeper sessions. Errors: bad options.
Result<Client::Factory> session_factory(Loop& loop, SessionOptions options);

}  // namespace cloudtask::zk
