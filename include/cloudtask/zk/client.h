// Client: keeps a session alive for as long as the process lives. It owns the current Keeper, makes the next one when a session ends,
// and numbers them (generations). Whoever holds state that rests on a session is told when one begins and when it is over.
//
// Lives on the loop. It survives expiry, server restarts and a server that is not there yet: it tries again with backoff and jitter,
// and says so once per step. It does not retry operations: the recipes know what a repeated write means.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

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
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    // Observers are called in the order added. One that is added while a session is established is told of it in the next turn of the loop.
    void observe(Observer observer);

    // An observer that can be taken away again, as the recipes need it. May outlive the Client.
    class Subscription;
    [[nodiscard]] Subscription subscribe(Observer observer);

    void start();
    // Ends the present session on purpose and makes a new one (a node that must not go on under its old incarnation). on_session_end comes
    // in the next turn of the loop. When the server cannot be told, the old ephemerals linger until it times them out.
    void renew();
    // Closes the session; `done` on the loop. No new session follows.
    void stop(std::function<void()> done);

    // Null while there is no established session.
    Keeper* keeper() const;
    std::uint64_t generation() const;
    bool connected() const;

    // The Random it was given; the recipes take jitter and unique names from it.
    Random& random() const;

  private:
    struct Impl;
    struct Entry;
    std::shared_ptr<Impl> impl_;
};

class Client::Subscription {
  public:
    Subscription() = default;
    Subscription(Subscription&&) noexcept = default;
    Subscription& operator=(Subscription&& other) noexcept;
    ~Subscription();  // the observer is not called any more

    // The keeper of that generation; null when its session is over or the Client is gone. Hold no reference across turns of the loop.
    Keeper* keeper(std::uint64_t generation) const;

    // Erases the children of `folder` whose names begin with `prefix`, all made by the present session, however often that takes; gives up
    // when the session is over, since they are ephemeral. Works on after the subscription is gone.
    void discard(std::string folder, std::string prefix);

  private:
    friend class Client;
    std::weak_ptr<Impl> client_;
    std::shared_ptr<Entry> entry_;
};

struct SessionOptions {
    std::string servers;                                 // "host:port,host:port"
    std::string chroot = "/cloudtask";                   // made if absent
    Duration session_timeout = std::chrono::seconds{6};  // 100 ms at least
    std::string secret;                                  // of the cluster: digest ACL on all that is made; empty: open ACL (tests only)
};

// A Factory of real ZooKeeper sessions, which share one worker thread for opening and closing. The loop outlives the factory, the keepers,
// and what they still post. Errors: bad_arguments for bad options.
Result<Client::Factory> session_factory(Loop& loop, SessionOptions options);

}  // namespace cloudtask::zk
