// Registration: one ephemeral znode of ours. Lives on the loop.
//
// One rule does it all: read what stands at our path, compare with what we want, do the one write that brings it nearer, read again. So a
// write whose outcome is unknown needs no case of its own.
#include <utility>

#include "cloudtask/zk/recipes.h"
#include "zk/checks.h"
#include "zk/recipe.h"

namespace cloudtask::zk {

struct Registration::Impl : Recipe<Registration::Impl> {
    Impl(Loop& loop, Client& client, std::string a_folder, const std::string& name, Hooks a_hooks)
        : Recipe(loop, client), folder(std::move(a_folder)), path(join(folder, name)), hooks(std::move(a_hooks)) {}

    std::string folder, path;
    Hooks hooks;
    std::string wanted;
    bool registered = false;  // told in this session
    bool superseded = false;
    bool busy = false;   // a read or write is out
    bool again = false;  // look again when it is back
    bool watched = false;

    void begin() {
        wanted = hooks.data();
        registered = superseded = busy = again = watched = false;
        look();
    }
    void end() { registered = false; }
    void reread() { look(); }

    void look() {
        if (superseded || !keeper()) return;
        if (std::exchange(busy, true)) {
            again = true;
            return;
        }
        again = false;
        const bool with_watch = !std::exchange(watched, true);
        keeper()->get(path, with_watch ? watch() : Keeper::Watch{}, guarded([with_watch](Impl& self, Result<Znode> znode) {
                          if (!znode && with_watch) self.watched = false;
                          if (znode) {
                              self.found(std::move(*znode));
                          } else if (znode.error().is(Errc::no_node)) {
                              self.create();
                          } else {
                              self.failed(znode.error());
                          }
                      }));
    }

    Keeper::Watch watch() {
        return guarded([](Impl& self, const WatchEvent& event) {
            if (event.kind == WatchEvent::Kind::lost) return;
            self.watched = false;
            self.look();
        });
    }

    void found(Znode znode) {
        if (znode.stat.ephemeral_owner != keeper()->session_id()) {
            if (registered) return give_way();
            return replace(std::move(znode));
        }
        if (znode.data != wanted) {
            keeper()->set(path, wanted, znode.stat.version, guarded([](Impl& self, const Result<Stat>& set) { self.written(set); }));
            return;
        }
        backoff_.reset();
        busy = false;
        if (again) look();
        if (!std::exchange(registered, true) && hooks.on_registered) {
            const auto call = hooks.on_registered;
            call(generation_);
        }
    }

    void create() {
        keeper()->create(path, wanted, CreateMode::ephemeral, guarded([](Impl& self, const Result<Created>& created) {
                             if (!created && created.error().is(Errc::no_node)) return self.make_folder();
                             self.written(created);
                         }));
    }

    void make_folder() {
        make_path(loop_, *keeper(), folder, guarded([](Impl& self, const Result<>& made) { self.written(made); }));
    }

    // The znode of an older session of ours. The owner may add what has to happen in the same instant (its horizon goes to `departed`).
    void replace(Znode ghost) {
        const std::int32_t version = ghost.stat.version;
        if (!hooks.on_ghost) return replace_with(version, {});
        const auto call = hooks.on_ghost;
        call(*keeper(), std::move(ghost.data), guarded([version](Impl& self, Result<std::vector<Op>> ops) {
            if (!ops) return self.failed(ops.error());
            self.replace_with(version, std::move(*ops));
        }));
    }

    void replace_with(std::int32_t version, std::vector<Op> more) {
        std::vector<Op> ops;
        ops.push_back(Op::erase(path, version));
        ops.insert(ops.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
        ops.push_back(Op::create(path, wanted, CreateMode::ephemeral));
        keeper()->multi(std::move(ops), guarded([](Impl& self, const Result<std::vector<OpResult>>& done) { self.written(done); }));
    }

    // After any write, whatever came of it: read.
    template <class T>
    void written(const Result<T>& result) {
        if (!result) return failed(result.error());
        busy = false;
        look();
    }

    void failed(const Error& error) {
        if (!error.is(Errc::connection_loss)) log::warn("registration at {}: {}; trying again", path, error.message);
        busy = false;
        retry_later(&Impl::look);
    }

    void give_way() {
        superseded = true;
        registered = false;
        log::error("another session has registered at {} in our place: is a second process running under this name?", path);
        const auto call = hooks.on_superseded;
        if (call) call();
    }
};

Registration::Registration(Loop& loop, Client& client, std::string folder, std::string name, Hooks hooks)
    : impl_(std::make_shared<Impl>(loop, client, std::move(folder), name, std::move(hooks))) {
    impl_->attach(client);
}

Registration::~Registration() = default;

void Registration::update(std::string data) {
    impl_->wanted = std::move(data);
    impl_->look();
}

}  // namespace cloudtask::zk
