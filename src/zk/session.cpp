// The one file that knows ZooKeeper's C client (libzookeeper_mt; only its asynchronous calls). Its traps, and what is done about them:
//
// - Completions and watchers run on one thread of the library: they copy, post to the loop and return.
// - Contexts given to the library live in registries of the Core until the call is answered or the handle is closed; closing drops
//   completions, so what is left then is finished with Errc::closing.
// - Session events reach every outstanding watcher and do not consume it: they are ignored there.
// - The chroot is a prefix that we put before each path, since the library's own could not be created through its own handle.
// - A failed multi leaves results that look like successes; only the overall code counts.
#include "zk/session.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>

#include <zookeeper/zookeeper.h>

#include "cloudtask/core/log.h"
#include "zk/checks.h"

namespace cloudtask::zk {

namespace {

constexpr Duration kFirstReopen = std::chrono::milliseconds{500};
constexpr Duration kLastReopen = std::chrono::seconds{10};
constexpr Duration kPrepareRetry = std::chrono::seconds{1};
constexpr int kNamesKept = 10'000;         // ms; a lost connection has them looked up at once
constexpr std::size_t kSequenceRoom = 16;  // for the digits that the server appends, and a NUL

Error error_of(int rc, std::string_view what) {
    Errc code = Errc::other;
    switch (rc) {
        case ZNONODE:
            code = Errc::no_node;
            break;
        case ZNODEEXISTS:
            code = Errc::node_exists;
            break;
        case ZBADVERSION:
            code = Errc::bad_version;
            break;
        case ZNOTEMPTY:
            code = Errc::not_empty;
            break;
        case ZNOCHILDRENFOREPHEMERALS:
            code = Errc::no_children_for_ephemerals;
            break;
        // A time-out of the client is as ambiguous as a lost connection; the others say that this connection could not carry the call.
        case ZOPERATIONTIMEOUT:
        case ZCONNECTIONLOSS:
        case ZSESSIONMOVED:
        case ZTHROTTLEDOP:
        case ZCLOSING:
        case ZINVALIDSTATE:
            code = Errc::connection_loss;
            break;
        case ZSESSIONEXPIRED:
            code = Errc::session_expired;
            break;
        case ZAUTHFAILED:
            code = Errc::auth_failed;
            break;
        case ZNOAUTH:
        case ZINVALIDACL:
            code = Errc::no_auth;
            break;
        case ZBADARGUMENTS:
            code = Errc::bad_arguments;
            break;
        case ZRUNTIMEINCONSISTENCY:
            code = Errc::rolled_back;
            break;
        default:
            break;
    }
    return Error{code, fmt::format("{}: {}", what, zerror(rc))};
}

zk::Stat stat_of(const ::Stat& from) {
    zk::Stat stat;
    stat.czxid = from.czxid;
    stat.mzxid = from.mzxid;
    stat.ctime = Instant{std::chrono::milliseconds{from.ctime}};
    stat.mtime = Instant{std::chrono::milliseconds{from.mtime}};
    stat.version = from.version;
    stat.cversion = from.cversion;
    stat.ephemeral_owner = from.ephemeralOwner;
    stat.data_length = from.dataLength;
    stat.num_children = from.numChildren;
    return stat;
}

int flags_of(CreateMode mode) {
    switch (mode) {
        case CreateMode::persistent:
            return ZOO_PERSISTENT;
        case CreateMode::ephemeral:
            return ZOO_EPHEMERAL;
        case CreateMode::persistent_sequential:
            return ZOO_PERSISTENT_SEQUENTIAL;
        case CreateMode::ephemeral_sequential:
            return ZOO_EPHEMERAL_SEQUENTIAL;
    }
    return ZOO_PERSISTENT;
}

int length_of(const std::string& data) { return static_cast<int>(data.size()); }

// What a completion brought, copied out of the library's memory.
struct Answer {
    int rc = ZOK;
    std::string text;
    std::vector<std::string> names;
    zk::Stat stat;
};

void log_from_library(const char* message) { log::debug("zookeeper client: {}", message); }

void quiet_library() {
    static std::once_flag once;
    std::call_once(once, [] { zoo_set_debug_level(ZOO_LOG_LEVEL_WARN); });
}

}  // namespace

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
    bool prepared = false;          // the chroot is there
    std::uint64_t preparation = 0;  // numbers attempts to make it
    Duration reopen = kFirstReopen;
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

    // --- opening ---

    void open() {
        const auto thread = worker.lock();
        if (!thread || closing) return;
        thread->submit([self = shared_from_this()] { self->open_on_worker(); });
    }

    void open_on_worker() {
        if (abandoned) return;
        quiet_library();
        const int timeout = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(options.session_timeout).count());
        zhandle_t* made = zookeeper_init2(options.servers.c_str(), &Core::on_session_event, timeout, nullptr, this, ZOO_NO_LOG_CLIENTENV,
                                          &log_from_library);
        if (!made) {
            loop.post([self = shared_from_this(), error = system_error(errno, "cannot reach any of " + options.servers)] {
                self->open_failed(error);
            });
            return;
        }
        opened = made;
        // By default the library looks the names of the servers up anew with every request and every answer.
        zoo_set_servers_resolution_delay(made, kNamesKept);
        authenticate(made);  // before anything else: what is created before it would belong to nobody
        loop.post([self = shared_from_this(), made] {
            if (self->closing) return;
            self->handle = made;
            self->proceed();
        });
    }

    void authenticate(zhandle_t* with) const {
        if (options.secret.empty()) return;
        const std::string identity_text = "cloudtask:" + options.secret;
        zoo_add_auth(with, "digest", identity_text.data(), length_of(identity_text), nullptr, nullptr);
    }

    // The server does not know who we are. The library sends what it was given to authenticate with when it connects, but what it is given
    // at that very moment may stay behind (seen with a server that was just starting): given once more, it is sent at once.
    void authenticate_again() {
        const SteadyInstant now = loop.clock().steady_now();
        if (!handle || now < next_authentication) return;
        next_authentication = now + kPrepareRetry;
        log::warn("ZooKeeper does not know who this session is; it is told once more");
        authenticate(handle);
    }

    void open_failed(const Error& error) {
        if (closing) return;
        log::warn("{}; trying again", error.message);
        timer = loop.after(reopen, [weak = weak_from_this()] {
            if (const auto self = weak.lock()) self->open();
        });
        reopen = std::min(kLastReopen, 2 * reopen);
    }

    // --- session events ---

    static void on_session_event(zhandle_t* zh, int type, int now, const char*, void* context) {
        if (type != ZOO_SESSION_EVENT) return;
        Core* core = static_cast<Core*>(context);
        SessionIdentity who;
        if (now == ZOO_CONNECTED_STATE) {
            const clientid_t* id = zoo_client_id(zh);
            who = {id->client_id, std::string(id->passwd, sizeof id->passwd)};
        }
        core->loop.post(
            [self = core->shared_from_this(), now, who = std::move(who)]() mutable { self->session_event(now, std::move(who)); });
    }

    void session_event(int now, SessionIdentity who) {
        if (closing || final_state()) return;
        if (now == ZOO_EXPIRED_SESSION_STATE) return over(Errc::session_expired, "the session has expired", SessionState::expired);
        if (now == ZOO_AUTH_FAILED_STATE) return over(Errc::auth_failed, "authentication was refused", SessionState::auth_failed);
        contact = now == ZOO_CONNECTED_STATE;
        if (contact) identity = std::move(who);
        proceed();
    }

    // Brings the state in line with handle, contact and chroot.
    void proceed() {
        if (!handle || !contact) {
            ++preparation;
            change_state(SessionState::connecting);
        } else if (prepared) {
            change_state(SessionState::connected);
        } else {
            prepare(++preparation, 0);
        }
    }

    // Makes the chroot, part by part, from the `done`th character on.
    void prepare(std::uint64_t attempt, std::size_t done) {
        if (done >= prefix.size()) {
            prepared = true;
            return change_state(SessionState::connected);
        }
        const std::size_t end = std::min(prefix.find('/', done + 1), prefix.size());
        const std::string path = prefix.substr(0, end);
        Call& call = add_call(
            [this, attempt, end](Answer) {
                if (attempt == preparation) prepare(attempt, end);
            },
            [this, attempt, path, end](const Error& error) {
                if (attempt != preparation) return;
                if (!error.is(Errc::no_node)) return preparation_failed(error);
                Call& creation = add_call(
                    [this, attempt, end](Answer) {
                        if (attempt == preparation) prepare(attempt, end);
                    },
                    [this, attempt, end](const Error& refused) {
                        if (attempt != preparation) return;
                        if (refused.is(Errc::node_exists)) return prepare(attempt, end);
                        preparation_failed(refused);
                    });
                sent(creation, zoo_acreate2(handle, path.c_str(), "", 0, acl(), ZOO_PERSISTENT, &Core::on_string, &creation));
            });
        sent(call, zoo_aexists(handle, path.c_str(), 0, &Core::on_stat, &call));
    }

    void preparation_failed(const Error& error) {
        if (error.is(Errc::connection_loss)) return;  // the next contact begins anew
        log::error("cannot make ZooKeeper's {}: {}; trying again", prefix, error.message);
        timer = loop.after(kPrepareRetry, [weak = weak_from_this()] {
            if (const auto self = weak.lock(); self && !self->closing) self->proceed();
        });
    }

    // --- calls ---

    Call& add_call(std::function<void(Answer)> answered, std::function<void(Error)> failed) {
        auto call = std::make_unique<Call>();
        call->core = this;
        call->number = next++;
        call->answered = std::move(answered);
        call->failed = std::move(failed);
        return *calls.emplace(call->number, std::move(call)).first->second;
    }

    // Of a call that the library did not take there will be no completion.
    void sent(Call& call, int rc) {
        if (rc == ZOK) return;
        loop.post([self = shared_from_this(), number = call.number, rc] { self->finish(number, Answer{rc, {}, {}, {}}); });
    }

    void finish(std::uint64_t number, Answer answer) {
        const auto found = calls.find(number);
        if (found == calls.end()) return;
        const auto call = std::move(found->second);
        calls.erase(found);
        const bool watch_is_set = answer.rc == ZOK || (call->is_exists && answer.rc == ZNONODE);
        if (call->watch != 0 && !watch_is_set) watches.erase(call->watch);
        if (!call->answered) return;
        if (closing) return call->failed(Error{Errc::closing, "the session is being closed"});
        if (answer.rc == ZOK) return call->answered(std::move(answer));
        if (answer.rc == ZINVALIDACL || answer.rc == ZNOAUTH) authenticate_again();
        call->failed(error_of(answer.rc, multi_fault(*call, answer.rc)));
    }

    static std::string multi_fault(const Call& call, int rc) {
        for (std::size_t i = 0; i < call.ops.size(); ++i) {
            if (call.results[i].err == rc) return fmt::format("operation {} of {} ({})", i + 1, call.ops.size(), describe(call.ops[i]));
        }
        return "ZooKeeper";
    }

    static void post_answer(const void* context, Answer answer) {
        const Call* call = static_cast<const Call*>(context);
        call->core->loop.post([self = call->core->shared_from_this(), number = call->number, answer = std::move(answer)]() mutable {
            self->finish(number, std::move(answer));
        });
    }

    static void on_void(int rc, const void* context) { post_answer(context, {rc, {}, {}, {}}); }
    static void on_synced(int rc, const char*, const void* context) { on_void(rc, context); }
    static void on_stat(int rc, const ::Stat* stat, const void* context) {
        post_answer(context, {rc, {}, {}, rc == ZOK && stat ? stat_of(*stat) : zk::Stat{}});
    }
    static void on_string(int rc, const char* path, const ::Stat* stat, const void* context) {
        post_answer(context, {rc, rc == ZOK && path ? path : "", {}, rc == ZOK && stat ? stat_of(*stat) : zk::Stat{}});
    }
    static void on_data(int rc, const char* value, int length, const ::Stat* stat, const void* context) {
        Answer answer{rc, {}, {}, rc == ZOK && stat ? stat_of(*stat) : zk::Stat{}};
        if (rc == ZOK && value && length > 0) answer.text.assign(value, static_cast<std::size_t>(length));
        post_answer(context, std::move(answer));
    }
    static void on_names(int rc, const String_vector* names, const ::Stat* stat, const void* context) {
        Answer answer{rc, {}, {}, rc == ZOK && stat ? stat_of(*stat) : zk::Stat{}};
        if (rc == ZOK && names) answer.names.assign(names->data, names->data + names->count);
        post_answer(context, std::move(answer));
    }

    static void on_watch(zhandle_t*, int type, int, const char*, void* context) {
        if (type == ZOO_SESSION_EVENT) return;
        auto kind = WatchEvent::Kind::changed;
        if (type == ZOO_CREATED_EVENT) kind = WatchEvent::Kind::created;
        if (type == ZOO_DELETED_EVENT) kind = WatchEvent::Kind::deleted;
        if (type == ZOO_CHILD_EVENT) kind = WatchEvent::Kind::children_changed;
        const WatchContext* watch = static_cast<WatchContext*>(context);
        watch->core->loop.post([self = watch->core->shared_from_this(), number = watch->number, kind] {
            const auto found = self->watches.find(number);
            if (found == self->watches.end()) return;
            const auto fired = std::move(found->second);
            self->watches.erase(found);
            if (fired->watch) fired->watch({self->closing ? WatchEvent::Kind::lost : kind, fired->path});
        });
    }

    // Why a call cannot be made now. Without contact nothing is sent, lest it be carried out long after the caller has gone on.
    std::optional<Error> refusal() const {
        if (closing) return Error{Errc::closing, "the session is being closed"};
        if (state == SessionState::expired) return Error{Errc::session_expired, "the session has expired"};
        if (state == SessionState::auth_failed) return Error{Errc::auth_failed, "authentication was refused"};
        if (state != SessionState::connected) return Error{Errc::connection_loss, "no contact with ZooKeeper"};
        return std::nullopt;
    }

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

    WatchContext* add_watch(Call& call, const std::string& path, Watch watch) {
        if (!watch) return nullptr;
        auto context = std::make_unique<WatchContext>();
        context->core = this;
        context->number = call.watch = next++;
        context->path = path;
        context->watch = std::move(watch);
        return watches.emplace(call.watch, std::move(context)).first->second.get();
    }

    int send_multi(Call& call, std::vector<Op> ops) {
        const std::size_t count = ops.size();
        call.ops = std::move(ops);
        call.results.resize(count);
        call.paths.resize(count);
        call.stats.resize(count);
        std::vector<zoo_op_t> raw(count);
        std::vector<std::string> fulls(count);
        for (std::size_t i = 0; i < count; ++i) {
            const Op& op = call.ops[i];
            fulls[i] = full(op.path);
            const char* path = fulls[i].c_str();
            switch (op.kind) {
                case Op::Kind::create:
                    call.paths[i].resize(fulls[i].size() + kSequenceRoom);
                    zoo_create_op_init(&raw[i], path, op.data.data(), length_of(op.data), acl(), flags_of(op.mode), call.paths[i].data(),
                                       static_cast<int>(call.paths[i].size()));
                    break;
                case Op::Kind::set:
                    zoo_set_op_init(&raw[i], path, op.data.data(), length_of(op.data), op.version, &call.stats[i]);
                    break;
                case Op::Kind::erase:
                    zoo_delete_op_init(&raw[i], path, op.version);
                    break;
                case Op::Kind::check:
                    zoo_check_op_init(&raw[i], path, op.version);
                    break;
            }
        }
        return zoo_amulti(handle, static_cast<int>(count), raw.data(), call.results.data(), &Core::on_void, &call);
    }

    std::vector<OpResult> results_of(const Call& call) const {
        std::vector<OpResult> results(call.ops.size());
        for (std::size_t i = 0; i < results.size(); ++i) {
            if (call.ops[i].kind == Op::Kind::create) results[i].path = std::string{call.paths[i].data()}.substr(prefix.size());
            if (call.ops[i].kind == Op::Kind::set) results[i].stat = stat_of(call.stats[i]);
        }
        return results;
    }

    // --- the end ---

    // Tells everybody who waits. The contexts stay in the registries, since the library may still use them.
    void fail_all(Errc code, std::string_view sentence) {
        std::vector<std::function<void(Error)>> callers;
        for (const auto& [number, call] : calls) {
            if (!std::exchange(call->answered, nullptr)) continue;
            callers.push_back(std::exchange(call->failed, nullptr));
        }
        std::vector<std::pair<Watch, std::string>> lost;
        for (const auto& [number, context] : watches) {
            if (context->watch) lost.emplace_back(std::exchange(context->watch, nullptr), context->path);
        }
        for (const auto& caller : callers) caller(Error{code, std::string{sentence}});
        for (const auto& [watch, path] : lost) watch({WatchEvent::Kind::lost, path});
    }

    void over(Errc code, std::string_view sentence, SessionState final_one) {
        const auto self = shared_from_this();
        ++preparation;
        timer.cancel();
        fail_all(code, sentence);
        change_state(final_one);
    }

    void close(Worker& thread, std::function<void()> done) {
        loop.assert_on_loop();
        if (closed) return loop.post(std::move(done));
        close_waiters.push_back(std::move(done));
        if (std::exchange(closing, true)) return;
        abandoned = true;
        ++preparation;
        handle = nullptr;
        timer.cancel();
        loop.post([self = shared_from_this()] { self->fail_all(Errc::closing, "the session is being closed"); });
        thread.submit([self = shared_from_this()] {
            if (self->opened) zookeeper_close(self->opened);
            self->opened = nullptr;
            self->loop.post([self] { self->finish_close(); });
        });
    }

    void finish_close() {
        closed = true;
        calls.clear();
        watches.clear();
        change_state(SessionState::closed);
        for (const auto& waiter : std::exchange(close_waiters, {})) waiter();
    }
};

Session::Session(Loop& loop, std::shared_ptr<Worker> worker, const SessionOptions& options)
    : core_(std::make_shared<Core>(loop, options)), worker_(std::move(worker)) {
    core_->worker = worker_;
    core_->open();
}

Session::~Session() {
    core_->handler = nullptr;
    if (!core_->closing) core_->close(*worker_, [] {});
}

void Session::create(std::string path, std::string data, CreateMode mode, Callback<Created> done) {
    Core& core = *core_;
    core.submit<Created>(
        check_write(path, data), std::move(done),
        [prefix = core.prefix.size()](Answer answer) { return Created{answer.text.substr(prefix), answer.stat}; },
        [&](Core::Call& call) {
            return zoo_acreate2(core.handle, core.full(path).c_str(), data.data(), length_of(data), core.acl(), flags_of(mode),
                                &Core::on_string, &call);
        });
}

void Session::get(std::string path, Watch watch, Callback<Znode> done) {
    Core& core = *core_;
    core.submit<Znode>(
        check_path(path), std::move(done), [](Answer answer) { return Znode{std::move(answer.text), answer.stat}; },
        [&](Core::Call& call) {
            Core::WatchContext* context = core.add_watch(call, path, std::move(watch));
            return zoo_awget(core.handle, core.full(path).c_str(), context ? &Core::on_watch : nullptr, context, &Core::on_data, &call);
        });
}

void Session::exists(std::string path, Watch watch, Callback<zk::Stat> done) {
    Core& core = *core_;
    core.submit<zk::Stat>(
        check_path(path), std::move(done), [](const Answer& answer) { return answer.stat; },
        [&](Core::Call& call) {
            call.is_exists = true;
            Core::WatchContext* context = core.add_watch(call, path, std::move(watch));
            return zoo_awexists(core.handle, core.full(path).c_str(), context ? &Core::on_watch : nullptr, context, &Core::on_stat, &call);
        });
}

void Session::children(std::string path, Watch watch, Callback<Children> done) {
    Core& core = *core_;
    core.submit<Children>(
        check_path(path), std::move(done),
        [](Answer answer) {
            std::sort(answer.names.begin(), answer.names.end());
            return Children{std::move(answer.names), answer.stat};
        },
        [&](Core::Call& call) {
            Core::WatchContext* context = core.add_watch(call, path, std::move(watch));
            return zoo_awget_children2(core.handle, core.full(path).c_str(), context ? &Core::on_watch : nullptr, context, &Core::on_names,
                                       &call);
        });
}

void Session::set(std::string path, std::string data, std::int32_t version, Callback<zk::Stat> done) {
    Core& core = *core_;
    core.submit<zk::Stat>(
        check_write(path, data), std::move(done), [](const Answer& answer) { return answer.stat; },
        [&](Core::Call& call) {
            return zoo_aset(core.handle, core.full(path).c_str(), data.data(), length_of(data), version, &Core::on_stat, &call);
        });
}

void Session::erase(std::string path, std::int32_t version, Callback<void> done) {
    Core& core = *core_;
    core.submit<void>(
        check_write(path, {}), std::move(done), [](const Answer&) { return Result<>{}; },
        [&](Core::Call& call) { return zoo_adelete(core.handle, core.full(path).c_str(), version, &Core::on_void, &call); });
}

void Session::multi(std::vector<Op> ops, Callback<std::vector<OpResult>> done) {
    Core& core = *core_;
    // The results lie in the context of the call, which finish() keeps until the callback returns.
    auto context = std::make_shared<const Core::Call*>(nullptr);
    core.submit<std::vector<OpResult>>(
        check_multi(ops), std::move(done), [&core, context](const Answer&) { return core.results_of(**context); },
        [&](Core::Call& call) {
            *context = &call;
            return core.send_multi(call, std::move(ops));
        });
}

void Session::sync(std::string path, Callback<void> done) {
    Core& core = *core_;
    core.submit<void>(
        check_path(path), std::move(done), [](const Answer&) { return Result<>{}; },
        [&](Core::Call& call) { return zoo_async(core.handle, core.full(path).c_str(), &Core::on_synced, &call); });
}

SessionState Session::state() const { return core_->state; }

std::int64_t Session::session_id() const { return core_->identity.id; }

void Session::on_state(std::function<void(SessionState)> handler) { core_->handler = std::move(handler); }

void Session::close(std::function<void()> done) { core_->close(*worker_, std::move(done)); }

SessionIdentity Session::identity() const { return core_->identity; }

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
