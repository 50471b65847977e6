// The inside of Session. Its files, the only ones that call ZooKeeper's C client (libzookeeper_mt; only its asynchronous calls):
//
//   session.cpp          the calls of a Keeper
//   session_contact.cpp  opening, authentication, the session's events, the chroot, the end
//   session_calls.cpp    what is under way: calls, watches, and what the library answers
//   end_session.cpp      a session ended from outside
//
// The library's traps, and what is done about them:
//
// - Completions and watchers run on one thread of the library: they copy, post to the loop and return.
// - Contexts given to the library live in registries of the Core until the call is answered or the handle is closed; closing drops
//   completions, so what is left then is finished with Errc::closing.
// - Session events reach every outstanding watcher and do not consume it: they are ignored there.
// - The chroot is a prefix that we put before each path, since the library's own could not be created through its own handle.
// - A failed multi leaves results that look like successes; only the overall code counts.
//
// Lives on the loop, but for what is said to be the worker's or the library's.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <zookeeper/zookeeper.h>

#include "zk/session.h"

namespace cloudtask::zk {

// What a completion brought, copied out of the library's memory.
struct Answer {
    int rc = ZOK;
    std::string text;
    std::vector<std::string> names;
    zk::Stat stat;
};

struct Session::Core : std::enable_shared_from_this<Session::Core> {
    // The context of one call. The library sees its address.
    struct Call {
        Core* core = nullptr;
        std::uint64_t number = 0;
        std::function<void(Answer)> answered;  // empty once the caller has been told
        std::function<void(Error)> failed;
        std::uint64_t watch = 0;
        bool is_exists = false;
        // Of a multi; the library writes here until the completion.
        std::vector<Op> ops;
        std::vector<zoo_op_result_t> results;
        std::vector<std::vector<char>> paths;
        std::vector<::Stat> stats;
    };
    struct WatchContext {
        Core* core = nullptr;
        std::uint64_t number = 0;
        std::string path;  // without the chroot
        Watch watch;
    };

    Core(Loop& a_loop, SessionOptions an_options) : loop(a_loop), options(std::move(an_options)) {
        if (options.chroot != "/") prefix = options.chroot;
    }

    Loop& loop;
    const SessionOptions options;
    std::string prefix;  // of every path; empty for the server's root

    // Of the loop.
    std::weak_ptr<Worker> worker;
    SteadyInstant next_authentication{};
    zhandle_t* handle = nullptr;  // null before it is open and authenticated, and from close on
    bool contact = false;         // the library's last word
    SessionState state = SessionState::connecting;
    std::function<void(SessionState)> handler;
    SessionIdentity identity;
    std::map<std::uint64_t, std::unique_ptr<Call>> calls;
    std::map<std::uint64_t, std::unique_ptr<WatchContext>> watches;
    std::uint64_t next = 1;
    bool prepared = false;                             // the chroot is there
    std::uint64_t preparation = 0;                     // numbers attempts to make it
    Duration reopen = std::chrono::milliseconds{500};  // doubled with each failure
    Timer timer;
    bool closing = false;
    bool closed = false;
    std::vector<std::function<void()>> close_waiters;

    // Of the worker.
    zhandle_t* opened = nullptr;
    // Set by the loop, read by the worker: an open that has not begun need not.
    std::atomic<bool> abandoned{false};

    const ACL_vector* acl() const { return options.secret.empty() ? &ZOO_OPEN_ACL_UNSAFE : &ZOO_CREATOR_ALL_ACL; }
    std::string full(const std::string& path) const { return path == "/" && !prefix.empty() ? prefix : prefix + path; }
    bool final_state() const { return state != SessionState::connecting && state != SessionState::connected; }

    void change_state(SessionState to) {
        if (state == to) return;
        state = to;
        const auto call = handler;  // a copy: the handler may destroy the session
        if (call) call(to);
    }

    // --- session_contact.cpp ---

    void open();
    void authenticate(zhandle_t* with) const;
    // The server does not know who we are. The library sends what it was given to authenticate with when it connects, but what it is given
    // at that very moment may stay behind (seen with a server that was just starting): given once more, it is sent at once.
    void authenticate_again();
    void close(Worker& thread, std::function<void()> done);

    void open_on_worker();  // on the worker
    void open_failed(const Error& error);
    static void on_session_event(zhandle_t* zh, int type, int now, const char* path, void* context);  // on the library's thread
    void session_event(int now, SessionIdentity who);
    // Brings the state in line with handle, contact and chroot.
    void proceed();
    // Makes the chroot, part by part, from the `done`th character on.
    void prepare(std::uint64_t attempt, std::size_t done);
    void preparation_failed(const Error& error);
    // Tells everybody who waits. The contexts stay in the registries, since the library may still use them.
    void fail_all(Errc code, std::string_view sentence);
    void over(Errc code, std::string_view sentence, SessionState final_one);
    void finish_close();

    // --- session_calls.cpp ---

    Call& add_call(std::function<void(Answer)> answered, std::function<void(Error)> failed);
    // Null without a watch.
    WatchContext* add_watch(Call& call, const std::string& path, Watch watch);
    // Of a call that the library did not take there will be no completion.
    void sent(Call& call, int rc);
    void finish(std::uint64_t number, Answer answer);
    // Why a call cannot be made now. Without contact nothing is sent, lest it be carried out long after the caller has gone on.
    std::optional<Error> refusal() const;
    int send_multi(Call& call, std::vector<Op> ops);
    std::vector<OpResult> results_of(const Call& call) const;

    static std::string multi_fault(const Call& call, int rc);

    // On the library's thread.
    static void post_answer(const void* context, Answer answer);
    static void on_void(int rc, const void* context);
    static void on_synced(int rc, const char* path, const void* context);
    static void on_stat(int rc, const ::Stat* stat, const void* context);
    static void on_string(int rc, const char* path, const ::Stat* stat, const void* context);
    static void on_data(int rc, const char* value, int length, const ::Stat* stat, const void* context);
    static void on_names(int rc, const String_vector* names, const ::Stat* stat, const void* context);
    static void on_watch(zhandle_t* zh, int type, int state, const char* path, void* context);

    // Makes one call of the library by `send`, unless it is not `valid` or cannot be made now. `done` is called once, on the loop, never
    // within this call, with what `convert` makes of the answer or with an error.
    template <class T, class Convert, class Send>
    void submit(const Result<>& valid, Callback<T> done, Convert convert, Send send) {
        loop.assert_on_loop();
        std::optional<Error> error = refusal();
        if (!valid && !closing) error = valid.error();
        if (error) {
            loop.post([done = std::move(done), error = std::move(*error)] { done(tl::unexpected<Error>(error)); });
            return;
        }
        Call& call = add_call([done, convert](Answer answer) { done(convert(std::move(answer))); },
                              [done](Error failure) { done(tl::unexpected<Error>(std::move(failure))); });
        sent(call, send(call));
    }
};

}  // namespace cloudtask::zk
