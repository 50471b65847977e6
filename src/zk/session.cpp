// The calls of a Keeper, made through ZooKeeper's C client: see session_core.h.
#include "zk/session.h"

#include <algorithm>

#include "zk/checks.h"
#include "zk/session_core.h"
#include "zk/zookeeper_c.h"

namespace cloudtask::zk {

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

}  // namespace cloudtask::zk
