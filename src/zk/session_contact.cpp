// A session's contact with the server, from opening to closing: see session_core.h.
#include <algorithm>
#include <cerrno>
#include <chrono>

#include "cloudtask/core/log.h"
#include "zk/session_core.h"
#include "zk/zookeeper_c.h"

namespace cloudtask::zk {

namespace {

constexpr Duration kLastReopen = std::chrono::seconds{10};
constexpr Duration kPrepareRetry = std::chrono::seconds{1};
constexpr int kNamesKept = 10'000;  // ms; a lost connection has them looked up at once

}  // namespace

void Session::Core::open() {
    const auto thread = worker.lock();
    if (!thread || closing) return;
    thread->submit([self = shared_from_this()] { self->open_on_worker(); });
}

void Session::Core::open_on_worker() {
    if (abandoned) return;
    quiet_library();
    const int timeout = static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(options.session_timeout).count());
    zhandle_t* made =
        zookeeper_init2(options.servers.c_str(), &Core::on_session_event, timeout, nullptr, this, ZOO_NO_LOG_CLIENTENV, &log_from_library);
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

void Session::Core::authenticate(zhandle_t* with) const {
    if (options.secret.empty()) return;
    const std::string identity_text = "cloudtask:" + options.secret;
    zoo_add_auth(with, "digest", identity_text.data(), length_of(identity_text), nullptr, nullptr);
}

void Session::Core::authenticate_again() {
    const SteadyInstant now = loop.clock().steady_now();
    if (!handle || now < next_authentication) return;
    next_authentication = now + kPrepareRetry;
    log::warn("ZooKeeper does not know who this session is; it is told once more");
    authenticate(handle);
}

void Session::Core::open_failed(const Error& error) {
    if (closing) return;
    log::warn("{}; trying again", error.message);
    timer = loop.after(reopen, [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->open();
    });
    reopen = std::min(kLastReopen, 2 * reopen);
}

void Session::Core::on_session_event(zhandle_t* zh, int type, int now, const char*, void* context) {
    if (type != ZOO_SESSION_EVENT) return;
    Core* core = static_cast<Core*>(context);
    SessionIdentity who;
    if (now == ZOO_CONNECTED_STATE) {
        const clientid_t* id = zoo_client_id(zh);
        who = {id->client_id, std::string(id->passwd, sizeof id->passwd)};
    }
    core->loop.post([self = core->shared_from_this(), now, who = std::move(who)]() mutable { self->session_event(now, std::move(who)); });
}

void Session::Core::session_event(int now, SessionIdentity who) {
    if (closing || final_state()) return;
    if (now == ZOO_EXPIRED_SESSION_STATE) return over(Errc::session_expired, "the session has expired", SessionState::expired);
    if (now == ZOO_AUTH_FAILED_STATE) return over(Errc::auth_failed, "authentication was refused", SessionState::auth_failed);
    contact = now == ZOO_CONNECTED_STATE;
    if (contact) identity = std::move(who);
    proceed();
}

void Session::Core::proceed() {
    if (!handle || !contact) {
        ++preparation;
        change_state(SessionState::connecting);
    } else if (prepared) {
        change_state(SessionState::connected);
    } else {
        prepare(++preparation, 0);
    }
}

void Session::Core::prepare(std::uint64_t attempt, std::size_t done) {
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

void Session::Core::preparation_failed(const Error& error) {
    if (error.is(Errc::connection_loss)) return;  // the next contact begins anew
    log::error("cannot make ZooKeeper's {}: {}; trying again", prefix, error.message);
    timer = loop.after(kPrepareRetry, [weak = weak_from_this()] {
        if (const auto self = weak.lock(); self && !self->closing) self->proceed();
    });
}

void Session::Core::fail_all(Errc code, std::string_view sentence) {
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

void Session::Core::over(Errc code, std::string_view sentence, SessionState final_one) {
    const auto self = shared_from_this();
    ++preparation;
    timer.cancel();
    fail_all(code, sentence);
    change_state(final_one);
}

void Session::Core::close(Worker& thread, std::function<void()> done) {
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

void Session::Core::finish_close() {
    closed = true;
    calls.clear();
    watches.clear();
    change_state(SessionState::closed);
    for (const auto& waiter : std::exchange(close_waiters, {})) waiter();
}

}  // namespace cloudtask::zk
