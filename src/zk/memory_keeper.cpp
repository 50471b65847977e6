// Sessions and watches over an in-memory Tree. Lives on one loop; does not know time-outs: a session ends when it is closed or expire()d.
//
// A call goes two turns of the loop, as a request goes to a server and its answer back: in the first it is applied, in the second its
// callback runs. What is cut off or closed in between is as ambiguous as on a network. Watch events go in the same order as on a server:
// before the answer to the write that caused them.
#include "cloudtask/zk/memory_keeper.h"

#include <map>
#include <optional>
#include <utility>

#include "zk/checks.h"
#include "zk/tree.h"

namespace cloudtask::zk {

namespace {

// One session: what the server knows of it and what its client knows.
struct MemorySession : std::enable_shared_from_this<MemorySession> {
    struct Outstanding {
        std::function<void(Error)> fail;
        bool applied = false;
    };

    MemorySession(Loop& a_loop, std::int64_t an_id) : loop(a_loop), id(an_id) {}

    Loop& loop;
    const std::int64_t id;

    // The server's side.
    bool alive = true;
    bool contact = true;
    bool was_cut = false;  // since the client was last told

    // The client's side.
    SessionState state = SessionState::connecting;
    bool connected_before = false;
    bool closing = false;
    std::function<void(SessionState)> handler;
    std::map<std::uint64_t, Outstanding> outstanding;
    std::uint64_t next = 1;
    std::vector<std::pair<Keeper::Watch, WatchEvent>> held;  // events that wait for contact

    void change_state(SessionState to) {
        if (state == to) return;
        state = to;
        const auto call = handler;  // a copy: the handler may destroy its keeper
        if (call) call(to);
    }

    void fail_outstanding(Errc code, std::string_view sentence) {
        for (auto& [number, call] : std::exchange(outstanding, {})) {
            // An operation that was applied did happen, so its caller must not hear that it cannot have.
            const Errc told = call.applied && code == Errc::session_expired ? Errc::connection_loss : code;
            call.fail(Error{told, std::string{sentence}});
        }
    }

    void deliver(Keeper::Watch watch, WatchEvent event) {
        if (!contact) {
            held.emplace_back(std::move(watch), std::move(event));
            return;
        }
        loop.post([self = shared_from_this(), watch = std::move(watch), event = std::move(event)] {
            watch(self->closing ? WatchEvent{WatchEvent::Kind::lost, event.path} : event);
        });
    }
};

}  // namespace

struct MemoryTree::Impl : std::enable_shared_from_this<MemoryTree::Impl> {
    struct Watcher {
        std::shared_ptr<MemorySession> session;
        Keeper::Watch watch;
    };
    using Watchers = std::multimap<std::string, Watcher>;

    explicit Impl(Loop& a_loop) : loop(a_loop) {}

    void emit(const std::vector<WatchEvent>& events) {
        for (const WatchEvent& event : events) {
            const bool of_data = event.kind != WatchEvent::Kind::children_changed;
            const bool of_children = event.kind == WatchEvent::Kind::children_changed || event.kind == WatchEvent::Kind::deleted;
            if (of_data) fire(data_watchers, event);
            if (of_children) fire(child_watchers, event);
        }
    }

    static void fire(Watchers& watchers, const WatchEvent& event) {
        const auto [begin, end] = watchers.equal_range(event.path);
        std::vector<Watcher> fired;
        for (auto it = begin; it != end; ++it) fired.push_back(std::move(it->second));
        watchers.erase(begin, end);
        for (Watcher& watcher : fired) watcher.session->deliver(std::move(watcher.watch), event);
    }

    static void drop_watches(Watchers& watchers, MemorySession& session) {
        for (auto it = watchers.begin(); it != watchers.end();) {
            if (it->second.session.get() != &session) {
                ++it;
                continue;
            }
            session.held.emplace_back(std::move(it->second.watch), WatchEvent{WatchEvent::Kind::lost, it->first});
            it = watchers.erase(it);
        }
    }

    // Tells a session's client that it is over: outstanding calls and watches first, so that nobody waits when the state changes.
    void tell_end(MemorySession& session, Errc code, std::string_view sentence, SessionState final_state) {
        drop_watches(data_watchers, session);
        drop_watches(child_watchers, session);
        session.fail_outstanding(code, sentence);
        for (auto& [watch, event] : std::exchange(session.held, {})) watch({WatchEvent::Kind::lost, event.path});
        if (!session.alive) sessions.erase(session.id);
        session.change_state(final_state);
    }

    void end_on_server(MemorySession& session) {
        if (!session.alive) return;
        session.alive = false;
        if (session.state == SessionState::closed) sessions.erase(session.id);
        std::vector<WatchEvent> events;
        tree.end_session(session.id, events);
        emit(events);
    }

    // Brings the client's state in line with the server's, one turn later.
    void update(const std::shared_ptr<MemorySession>& session) {
        loop.post([self = shared_from_this(), session] {
            if (session->closing || session->state == SessionState::expired) return;
            if (std::exchange(session->was_cut, false)) {
                session->fail_outstanding(Errc::connection_loss, "contact with the coordinator was lost");
                session->change_state(SessionState::connecting);
            }
            if (!session->contact || session->closing) return;
            if (!session->alive) {
                self->tell_end(*session, Errc::session_expired, "the session has expired", SessionState::expired);
                return;
            }
            for (auto& [watch, event] : std::exchange(session->held, {})) session->deliver(std::move(watch), std::move(event));
            session->connected_before = true;
            session->change_state(SessionState::connected);
        });
    }

    Loop& loop;
    Tree tree;
    std::map<std::int64_t, std::shared_ptr<MemorySession>> sessions;
    std::int64_t next_session = 1;
    Watchers data_watchers, child_watchers;
};

namespace {

class MemoryKeeper final : public Keeper {
  public:
    MemoryKeeper(std::shared_ptr<MemoryTree::Impl> tree, std::shared_ptr<MemorySession> session)
        : tree_(std::move(tree)), session_(std::move(session)) {}

    ~MemoryKeeper() override {
        session_->handler = nullptr;
        if (!session_->closing) end([] {});
    }

    void create(std::string path, std::string data, CreateMode mode, Callback<Created> done) override {
        auto valid = check_write(path, data);
        submit<Created>(std::move(valid), std::move(done),
                        [op = Op::create(std::move(path), std::move(data), mode)](MemoryTree::Impl& tree, MemorySession& session) {
                            return write(tree, session, {op}).map([](std::vector<OpResult> results) {
                                return Created{std::move(results[0].path), results[0].stat};
                            });
                        });
    }

    void get(std::string path, Watch watch, Callback<Znode> done) override {
        auto valid = check_path(path);
        submit<Znode>(std::move(valid), std::move(done),
                      [path = std::move(path), watch = std::move(watch)](MemoryTree::Impl& tree, MemorySession& session) {
                          auto found = tree.tree.get(path);
                          if (found && watch)
                              tree.data_watchers.emplace(path, MemoryTree::Impl::Watcher{session.shared_from_this(), watch});
                          return found;
                      });
    }

    void exists(std::string path, Watch watch, Callback<Stat> done) override {
        auto valid = check_path(path);
        submit<Stat>(std::move(valid), std::move(done),
                     [path = std::move(path), watch = std::move(watch)](MemoryTree::Impl& tree, MemorySession& session) {
                         if (watch) tree.data_watchers.emplace(path, MemoryTree::Impl::Watcher{session.shared_from_this(), watch});
                         return tree.tree.stat(path);
                     });
    }

    void children(std::string path, Watch watch, Callback<Children> done) override {
        auto valid = check_path(path);
        submit<Children>(std::move(valid), std::move(done),
                         [path = std::move(path), watch = std::move(watch)](MemoryTree::Impl& tree, MemorySession& session) {
                             auto found = tree.tree.children(path);
                             if (found && watch) {
                                 tree.child_watchers.emplace(path, MemoryTree::Impl::Watcher{session.shared_from_this(), watch});
                             }
                             return found;
                         });
    }

    void set(std::string path, std::string data, std::int32_t version, Callback<Stat> done) override {
        auto valid = check_write(path, data);
        submit<Stat>(std::move(valid), std::move(done),
                     [op = Op::set(std::move(path), std::move(data), version)](MemoryTree::Impl& tree, MemorySession& session) {
                         return write(tree, session, {op}).map([](const std::vector<OpResult>& results) { return results[0].stat; });
                     });
    }

    void erase(std::string path, std::int32_t version, Callback<void> done) override {
        auto valid = check_write(path, {});
        submit<void>(std::move(valid), std::move(done),
                     [op = Op::erase(std::move(path), version)](MemoryTree::Impl& tree, MemorySession& session) {
                         return write(tree, session, {op}).map([](const std::vector<OpResult>&) {});
                     });
    }

    void multi(std::vector<Op> ops, Callback<std::vector<OpResult>> done) override {
        auto valid = check_multi(ops);
        submit<std::vector<OpResult>>(std::move(valid), std::move(done),
                                      [ops = std::move(ops)](MemoryTree::Impl& tree, MemorySession& session) {
                                          return write(tree, session, ops).map([&ops](std::vector<OpResult> results) {
                                              return as_in_a_multi(ops, std::move(results));
                                          });
                                      });
    }

    void sync(std::string path, Callback<void> done) override {
        auto valid = check_path(path);
        submit<void>(std::move(valid), std::move(done), [](MemoryTree::Impl&, MemorySession&) { return Result<>{}; });
    }

    SessionState state() const override { return session_->state; }
    std::int64_t session_id() const override { return session_->connected_before ? session_->id : 0; }
    void on_state(std::function<void(SessionState)> handler) override { session_->handler = std::move(handler); }

    void close(std::function<void()> done) override { end(std::move(done)); }

  private:
    void end(std::function<void()> done) {
        tree_->loop.assert_on_loop();
        const bool first = !session_->closing;
        session_->closing = true;
        tree_->loop.post([tree = tree_, session = session_, first, done = std::move(done)] {
            if (first) {
                // A session that is closed while cut off lingers on the server until that times it out.
                if (session->contact) tree->end_on_server(*session);
                tree->tell_end(*session, Errc::closing, "the session is being closed", SessionState::closed);
            }
            done();
        });
    }

    static Result<std::vector<OpResult>> write(MemoryTree::Impl& tree, MemorySession& session, const std::vector<Op>& ops) {
        std::vector<WatchEvent> events;
        auto results = tree.tree.apply(ops, session.id, tree.loop.clock().now(), events);
        tree.emit(events);
        return results;
    }

    // A server's multi answers with the stat of a set and the path of a create, and nothing else.
    static std::vector<OpResult> as_in_a_multi(const std::vector<Op>& ops, std::vector<OpResult> results) {
        for (std::size_t i = 0; i < ops.size(); ++i) {
            if (ops[i].kind != Op::Kind::set) results[i].stat = Stat{};
            if (ops[i].kind != Op::Kind::create) results[i].path.clear();
        }
        return results;
    }

    // Why a call cannot be made now.
    static std::optional<Error> refusal(const MemorySession& session) {
        if (session.closing) return Error{Errc::closing, "the session is being closed"};
        if (session.state == SessionState::expired) return Error{Errc::session_expired, "the session has expired"};
        if (session.state != SessionState::connected) return Error{Errc::connection_loss, "no contact with the coordinator"};
        return std::nullopt;
    }

    template <class T, class Operation>
    void submit(Result<> valid, Callback<T> done, Operation operation) {
        Loop& loop = tree_->loop;
        loop.assert_on_loop();
        std::optional<Error> error = refusal(*session_);
        if (!valid && !session_->closing) error = valid.error();
        if (error) {
            loop.post([done = std::move(done), error = std::move(*error)] { done(tl::unexpected<Error>(error)); });
            return;
        }
        const std::uint64_t number = session_->next++;
        session_->outstanding[number].fail = [done](Error failure) { done(tl::unexpected<Error>(std::move(failure))); };
        loop.post([tree = tree_, session = session_, number, done = std::move(done), operation = std::move(operation)]() mutable {
            const auto call = session->outstanding.find(number);
            if (call == session->outstanding.end() || !session->contact || !session->alive || session->closing) return;
            call->second.applied = true;
            Result<T> result = operation(*tree, *session);
            tree->loop.post([session, number, done = std::move(done), result = std::move(result)] {
                if (session->closing || session->outstanding.erase(number) == 0) return;
                done(result);
            });
        });
    }

    std::shared_ptr<MemoryTree::Impl> tree_;
    std::shared_ptr<MemorySession> session_;
};

}  // namespace

MemoryTree::MemoryTree(Loop& loop) : impl_(std::make_shared<Impl>(loop)) {}

MemoryTree::~MemoryTree() = default;

std::unique_ptr<Keeper> MemoryTree::connect() {
    impl_->loop.assert_on_loop();
    auto session = std::make_shared<MemorySession>(impl_->loop, impl_->next_session++);
    impl_->sessions.emplace(session->id, session);
    impl_->update(session);
    return std::make_unique<MemoryKeeper>(impl_, std::move(session));
}

void MemoryTree::expire(std::int64_t session_id) {
    impl_->loop.assert_on_loop();
    const auto found = impl_->sessions.find(session_id);
    if (found == impl_->sessions.end()) return;
    const auto session = found->second;
    impl_->end_on_server(*session);
    impl_->update(session);
}

void MemoryTree::set_connected(std::int64_t session_id, bool connected) {
    impl_->loop.assert_on_loop();
    const auto found = impl_->sessions.find(session_id);
    if (found == impl_->sessions.end() || found->second->contact == connected) return;
    found->second->contact = connected;
    if (!connected) found->second->was_cut = true;
    impl_->update(found->second);
}

}  // namespace cloudtask::zk
