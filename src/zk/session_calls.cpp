// Calls under way and watches of a session, and what the library answers to them: see session_core.h.
#include "cloudtask/core/log.h"
#include "zk/checks.h"
#include "zk/session_core.h"
#include "zk/zookeeper_c.h"

namespace cloudtask::zk {

namespace {

constexpr std::size_t kSequenceRoom = 16;  // for the digits that the server appends, and a NUL

}  // namespace

Session::Core::Call& Session::Core::add_call(std::function<void(Answer)> answered, std::function<void(Error)> failed) {
    auto call = std::make_unique<Call>();
    call->core = this;
    call->number = next++;
    call->answered = std::move(answered);
    call->failed = std::move(failed);
    return *calls.emplace(call->number, std::move(call)).first->second;
}

void Session::Core::sent(Call& call, int rc) {
    if (rc == ZOK) return;
    loop.post([self = shared_from_this(), number = call.number, rc] { self->finish(number, Answer{rc, {}, {}, {}}); });
}

void Session::Core::finish(std::uint64_t number, Answer answer) {
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

std::string Session::Core::multi_fault(const Call& call, int rc) {
    for (std::size_t i = 0; i < call.ops.size(); ++i) {
        if (call.results[i].err == rc) return fmt::format("operation {} of {} ({})", i + 1, call.ops.size(), describe(call.ops[i]));
    }
    return "ZooKeeper";
}

void Session::Core::post_answer(const void* context, Answer answer) {
    const Call* call = static_cast<const Call*>(context);
    call->core->loop.post([self = call->core->shared_from_this(), number = call->number, answer = std::move(answer)]() mutable {
        self->finish(number, std::move(answer));
    });
}

void Session::Core::on_void(int rc, const void* context) { post_answer(context, {rc, {}, {}, {}}); }
void Session::Core::on_synced(int rc, const char*, const void* context) { on_void(rc, context); }
void Session::Core::on_stat(int rc, const ::Stat* stat, const void* context) {
    post_answer(context, {rc, {}, {}, rc == ZOK && stat ? stat_of(*stat) : zk::Stat{}});
}
void Session::Core::on_string(int rc, const char* path, const ::Stat* stat, const void* context) {
    post_answer(context, {rc, rc == ZOK && path ? path : "", {}, rc == ZOK && stat ? stat_of(*stat) : zk::Stat{}});
}
void Session::Core::on_data(int rc, const char* value, int length, const ::Stat* stat, const void* context) {
    Answer answer{rc, {}, {}, rc == ZOK && stat ? stat_of(*stat) : zk::Stat{}};
    if (rc == ZOK && value && length > 0) answer.text.assign(value, static_cast<std::size_t>(length));
    post_answer(context, std::move(answer));
}
void Session::Core::on_names(int rc, const String_vector* names, const ::Stat* stat, const void* context) {
    Answer answer{rc, {}, {}, rc == ZOK && stat ? stat_of(*stat) : zk::Stat{}};
    if (rc == ZOK && names) answer.names.assign(names->data, names->data + names->count);
    post_answer(context, std::move(answer));
}

void Session::Core::on_watch(zhandle_t*, int type, int, const char*, void* context) {
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

std::optional<Error> Session::Core::refusal() const {
    if (closing) return Error{Errc::closing, "the session is being closed"};
    if (state == SessionState::expired) return Error{Errc::session_expired, "the session has expired"};
    if (state == SessionState::auth_failed) return Error{Errc::auth_failed, "authentication was refused"};
    if (state != SessionState::connected) return Error{Errc::connection_loss, "no contact with ZooKeeper"};
    return std::nullopt;
}

Session::Core::WatchContext* Session::Core::add_watch(Call& call, const std::string& path, Watch watch) {
    if (!watch) return nullptr;
    auto context = std::make_unique<WatchContext>();
    context->core = this;
    context->number = call.watch = next++;
    context->path = path;
    context->watch = std::move(watch);
    return watches.emplace(call.watch, std::move(context)).first->second.get();
}

int Session::Core::send_multi(Call& call, std::vector<Op> ops) {
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

std::vector<OpResult> Session::Core::results_of(const Call& call) const {
    std::vector<OpResult> results(call.ops.size());
    for (std::size_t i = 0; i < results.size(); ++i) {
        if (call.ops[i].kind == Op::Kind::create) results[i].path = std::string{call.paths[i].data()}.substr(prefix.size());
        if (call.ops[i].kind == Op::Kind::set) results[i].stat = stat_of(call.stats[i]);
    }
    return results;
}

}  // namespace cloudtask::zk
