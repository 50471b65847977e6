// Keeper: one coordination session, as an asynchronous interface. Session (ZooKeeper's C client), MemoryKeeper (in memory, the coordinator
// of tests and standalone mode) and FaultyKeeper (injects faults in front of another) implement it, held together by one contract suite.
//
// Threads: lives on the loop. Every callback is called exactly once, on the loop, never inline from the call that was given it, also
// when the keeper closes (Errc::closing). Paths are absolute within the session's chroot. Data above kMaxDataBytes is refused unsent.
// Watches are one-shot hints: after one, read again with a new watch and compare.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/result.h"

namespace cloudtask::zk {

inline constexpr std::size_t kMaxDataBytes = 256 * 1024;

enum class Errc {
    no_node = 1,
    node_exists,
    bad_version,
    not_empty,
    no_children_for_ephemerals,
    connection_loss,  // contact was lost: the write may or may not have happened (ZOPERATIONTIMEOUT is this too)
    session_expired,  // this session is over; no write of it can happen any more
    closing,          // close() was called; the write may or may not have happened
    auth_failed,
    no_auth,
    too_large,
    bad_arguments,
    rolled_back,  // another operation of the same multi failed
    other,
};
const std::error_category& zk_category() noexcept;
std::error_code make_error_code(Errc code) noexcept;

}  // namespace cloudtask::zk

template <>
struct std::is_error_code_enum<cloudtask::zk::Errc> : std::true_type {};

namespace cloudtask::zk {

// True when the outcome of a write is not known.
bool is_ambiguous(const Error& error);

struct Stat {
    std::int64_t czxid = 0, mzxid = 0;
    Instant ctime{}, mtime{};  // the server's clock, milliseconds
    std::int32_t version = 0, cversion = 0;
    std::int64_t ephemeral_owner = 0;  // session id; 0 for persistent nodes
    std::int32_t data_length = 0, num_children = 0;
};

struct Znode {
    std::string data;
    Stat stat;
};

struct Children {
    std::vector<std::string> names;  // sorted
    Stat stat;
};

struct Created {
    std::string path;  // with the sequence number, if sequential
    Stat stat;         // all zero from within a multi
};

enum class CreateMode { persistent, ephemeral, persistent_sequential, ephemeral_sequential };

inline constexpr std::int32_t kAnyVersion = -1;

// One operation of a multi.
struct Op {
    enum class Kind { create, set, erase, check };
    Kind kind;
    std::string path;
    std::string data;
    CreateMode mode = CreateMode::persistent;
    std::int32_t version = kAnyVersion;

    static Op create(std::string path, std::string data, CreateMode mode = CreateMode::persistent) {
        return {Kind::create, std::move(path), std::move(data), mode, kAnyVersion};
    }
    static Op set(std::string path, std::string data, std::int32_t version = kAnyVersion) {
        return {Kind::set, std::move(path), std::move(data), CreateMode::persistent, version};
    }
    static Op erase(std::string path, std::int32_t version = kAnyVersion) {
        return {Kind::erase, std::move(path), {}, CreateMode::persistent, version};
    }
    static Op check(std::string path, std::int32_t version = kAnyVersion) {
        return {Kind::check, std::move(path), {}, CreateMode::persistent, version};
    }
};

struct OpResult {
    std::string path;  // of a create
    Stat stat;         // of a set
};

struct WatchEvent {
    enum class Kind { created, deleted, changed, children_changed, lost };
    Kind kind;  // lost: the session ended, the watch with it
    std::string path;
};

enum class SessionState {
    connecting,  // no contact; the session may or may not have expired on the server
    connected,
    expired,      // final
    auth_failed,  // final
    closed,       // final
};

class Keeper {
  public:
    template <class T>
    using Callback = std::function<void(Result<T>)>;
    using Watch = std::function<void(WatchEvent)>;  // empty: no watch

    virtual ~Keeper() = default;

    virtual void create(std::string path, std::string data, CreateMode mode, Callback<Created> done) = 0;
    virtual void get(std::string path, Watch watch, Callback<Znode> done) = 0;
    virtual void exists(std::string path, Watch watch, Callback<Stat> done) = 0;  // no_node when it does not; the watch then waits for it
    virtual void children(std::string path, Watch watch, Callback<Children> done) = 0;
    virtual void set(std::string path, std::string data, std::int32_t version, Callback<Stat> done) = 0;
    virtual void erase(std::string path, std::int32_t version, Callback<void> done) = 0;
    // All or nothing. The error is that of the first operation that failed; its message names the operation.
    virtual void multi(std::vector<Op> ops, Callback<std::vector<OpResult>> done) = 0;
    // Returns after this session's server has caught up with the leader.
    virtual void sync(std::string path, Callback<void> done) = 0;

    virtual SessionState state() const = 0;
    virtual std::int64_t session_id() const = 0;  // 0 before the first connect
    // Called on the loop at each change of state.
    virtual void on_state(std::function<void(SessionState)> handler) = 0;

    // Ends the session: its ephemerals vanish at once. Outstanding callbacks get Errc::closing. `done` when all is finished.
    virtual void close(std::function<void()> done) = 0;
};

}  // namespace cloudtask::zk
