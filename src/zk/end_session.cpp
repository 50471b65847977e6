// Ends a session from outside, through a second handle that takes it over: see end_session() in session.h. Any thread but the loop's: it
// blocks.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <condition_variable>
#include <cstring>
#include <mutex>

#include "zk/session.h"
#include "zk/zookeeper_c.h"

namespace cloudtask::zk {

namespace {

// Joins a session by a second handle and closes it there. True when the server said that there is no such session any more: the owner's
// handle may have taken the session back between the two steps, and then the close was lost.
Result<bool> join_and_close(const std::string& servers, const SessionIdentity& identity, Duration limit) {
    struct Waiter {
        std::mutex mutex;
        std::condition_variable changed;
        int state = 0;  // guarded by mutex
    };
    Waiter waiter;
    clientid_t id{};
    id.client_id = identity.id;
    std::memcpy(id.passwd, identity.password.data(), std::min(sizeof id.passwd, identity.password.size()));
    const auto on_event = [](zhandle_t*, int type, int now, const char*, void* context) {
        if (type != ZOO_SESSION_EVENT) return;
        auto* target = static_cast<Waiter*>(context);
        const std::lock_guard lock(target->mutex);
        target->state = now;
        target->changed.notify_all();
    };
    const int timeout = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(limit).count());
    zhandle_t* handle = zookeeper_init2(servers.c_str(), on_event, timeout, &id, &waiter, ZOO_NO_LOG_CLIENTENV, &log_from_library);
    if (!handle) return tl::unexpected<Error>(system_error(errno, "cannot reach any of " + servers));
    int seen = 0;
    {
        std::unique_lock lock(waiter.mutex);
        waiter.changed.wait_for(lock, limit,
                                [&] { return waiter.state == ZOO_CONNECTED_STATE || waiter.state == ZOO_EXPIRED_SESSION_STATE; });
        seen = waiter.state;
    }
    zookeeper_close(handle);
    return seen == ZOO_EXPIRED_SESSION_STATE;
}

}  // namespace

Result<> end_session(const std::string& servers, const SessionIdentity& identity, Duration limit) {
    quiet_library();
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (std::chrono::steady_clock::now() < deadline) {
        const auto gone = join_and_close(servers, identity, limit);
        if (!gone) return propagate(gone);
        if (*gone) return {};
    }
    return fail(cloudtask::Errc::timeout, "the session {:#x} did not end at {} in time", identity.id, servers);
}

}  // namespace cloudtask::zk
