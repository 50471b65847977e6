// Session: a Keeper that is a real ZooKeeper session, through the asynchronous calls of ZooKeeper's C client.
//
// Lives on the loop. The client library's threads only copy what they bring and post it; opening (name look-up) and closing (which can
// block for seconds) happen on a worker thread. It never makes a second session: when this one is over, it is over (see Client).
#pragma once

#include <memory>
#include <string>

#include "cloudtask/core/worker.h"
#include "cloudtask/zk/client.h"

namespace cloudtask::zk {

// What a server knows a session by. Whoever holds it can take the session over or end it: it is as secret as the session's rights.
struct SessionIdentity {
    std::int64_t id = 0;
    std::string password;
};

class Session final : public Keeper {
  public:
    // Begins to connect. `loop` outlives the session and the worker's jobs; one `worker` thread may serve many sessions.
    Session(Loop& loop, std::shared_ptr<Worker> worker, const SessionOptions& options);
    // Closes in the background if close() was not called; callbacks still come, with Errc::closing.
    ~Session() override;

    void create(std::string path, std::string data, CreateMode mode, Callback<Created> done) override;
    void get(std::string path, Watch watch, Callback<Znode> done) override;
    void exists(std::string path, Watch watch, Callback<Stat> done) override;
    void children(std::string path, Watch watch, Callback<Children> done) override;
    void set(std::string path, std::string data, std::int32_t version, Callback<Stat> done) override;
    void erase(std::string path, std::int32_t version, Callback<void> done) override;
    void multi(std::vector<Op> ops, Callback<std::vector<OpResult>> done) override;
    void sync(std::string path, Callback<void> done) override;

    SessionState state() const override;
    std::int64_t session_id() const override;
    void on_state(std::function<void(SessionState)> handler) override;
    void close(std::function<void()> done) override;

    // All zero before the first connect.
    SessionIdentity identity() const;

  private:
    struct Core;
    std::shared_ptr<Core> core_;
    std::shared_ptr<Worker> worker_;
};

// Ends a session of another handle at the server, at once: its owner finds it expired. This is how expiry is brought about in about 50 ms
// instead of by waiting for a time-out. Blocks for at most `limit` and the close; not for the loop. Errors: timeout, other.
Result<> end_session(const std::string& servers, const SessionIdentity& identity, Duration limit);

}  // namespace cloudtask::zk
