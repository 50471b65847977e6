// Ensemble: see ensemble.h. Each session is a Link: at the server's end a keeper of the MemoryTree, two pipes, and at the client's end what
// the process knows.
#include "tests/sim/ensemble.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "tests/sim/pipe.h"

namespace cloudtask::sim {

using zk::SessionState;
using zk::WatchEvent;

namespace {

struct Link;

}  // namespace

struct Ensemble::Impl : std::enable_shared_from_this<Ensemble::Impl> {
    FakeLoop& world;
    Random& random;
    const Duration network, session_timeout;
    const Hooks hooks;
    zk::MemoryTree tree;
    std::unique_ptr<zk::Keeper> admin;
    std::vector<std::shared_ptr<Link>> links;
    std::vector<std::shared_ptr<Link>> ended;  // let go at the end: what is in them holds them
    std::map<int, bool> cut, paused;
    bool outage = false;

    Impl(FakeLoop& w, Random& r, Duration n, Duration s, Hooks h)
        : world(w), random(r), network(n), session_timeout(s), hooks(std::move(h)), tree(w), admin(tree.connect()) {}

    Duration between(Duration low, Duration high) {
        return low + Duration{static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>((high - low).count()) + 1))};
    }
    Duration latency() { return between(Duration{50}, network); }
    bool reachable(int machine) const {
        const auto found = cut.find(machine);
        return !outage && (found == cut.end() || !found->second);
    }
    void update(int machine);
    void tidy();
};

namespace {

struct Link : std::enable_shared_from_this<Link> {
    Link(Ensemble::Impl& e, int m, std::function<void(Loop::Function)> to)
        : ensemble(e), machine(m), to_client(std::move(to)), up(e.world), down(e.world) {}

    Ensemble::Impl& ensemble;
    const int machine;
    const std::function<void(Loop::Function)> to_client;
    Pipe up, down;
    bool broken = false;  // the connection was given up; the next one follows when the machines reach each other
    std::uint64_t connection = 1;
    Timer notice, reconnect;

    // The server's end.
    std::unique_ptr<zk::Keeper> inner;
    bool over = false;
    Timer expiry;
    std::deque<Pipe::Message> waiting;  // watch events for the next connection

    // The client's end.
    SessionState state = SessionState::connecting;
    std::int64_t session_id = 0;
    std::function<void(SessionState)> handler;
    std::map<std::uint64_t, std::function<void(Error)>> outstanding;
    std::map<std::uint64_t, std::pair<zk::Keeper::Watch, std::string>> watches;
    std::uint64_t next = 1;
    bool closing = false;
    bool gone = false;  // the process died

    bool finished() const { return over && (gone || closing); }

    // Those that wait are told before the state's handler, and what they ask for in turn is refused by the new state already.
    void change_state(SessionState to, zk::Errc code = zk::Errc::other, const char* sentence = "") {
        const bool changes = std::exchange(state, to) != to;
        if (to != SessionState::connected) {
            for (auto& [number, fail] : std::exchange(outstanding, {})) fail(Error{code, sentence});
        }
        if (to != SessionState::connected && to != SessionState::connecting) {
            for (auto& [number, watch] : std::exchange(watches, {})) watch.first({WatchEvent::Kind::lost, watch.second});
        }
        const auto call = handler;
        if (call && changes) call(to);
    }

    // --- the network

    void open() {
        up.send(ensemble.latency(), [self = shared_from_this()] {
            if (self->inner || self->gone || self->closing) return;
            self->inner = self->ensemble.tree.connect();
            self->inner->on_state([link = self.get()](SessionState to) {
                if (to == SessionState::connected) link->tell_connected();
            });
            self->ensemble.update(self->machine);
        });
    }

    void tell_connected() {
        if (broken) return;  // the next connection tells
        down.send(ensemble.latency(), [self = shared_from_this()] {
            if (!self->inner) return;
            self->to_client([self, id = self->inner->session_id()] {
                if (self->closing || self->state != SessionState::connecting) return;
                self->session_id = id;
                self->change_state(SessionState::connected);
            });
        });
    }

    void tell_expired() {
        down.send(ensemble.latency(), [self = shared_from_this()] {
            self->to_client([self] {
                if (self->closing || self->state == SessionState::expired) return;
                self->change_state(SessionState::expired, zk::Errc::session_expired, "the session has expired");
            });
        });
    }

    // The client gives the connection up. What it had sent arrived before, or never does.
    void give_up() {
        if (broken || gone) return;
        broken = true;
        ++connection;
        auto sent = up.clear();
        if (ensemble.random.below(2) == 0) {
            for (auto& message : sent) message.deliver();
        }
        for (auto& message : down.clear()) {
            if (message.kept) waiting.push_back(std::move(message));
        }
        to_client([self = shared_from_this()] {
            if (self->closing || self->state == SessionState::expired) return;
            self->change_state(SessionState::connecting, zk::Errc::connection_loss, "contact with the coordinator was lost");
        });
    }

    void connect_again() {
        if (!broken || gone) return;
        broken = false;
        if (!inner) return open();
        if (over) return tell_expired();
        tell_connected();
        for (auto& message : std::exchange(waiting, {})) down.send(ensemble.latency(), std::move(message.deliver), true);
    }

    void end_on_server() {
        if (over || !inner) return;  // one that has not begun does not end
        over = true;
        expiry.cancel();
        ensemble.tree.expire(inner->session_id());
        if (!broken && !gone && !closing) tell_expired();
    }

    // --- calls

    std::optional<Error> refusal() const {
        if (closing) return Error{zk::Errc::closing, "the session is being closed"};
        if (state == SessionState::expired) return Error{zk::Errc::session_expired, "the session has expired"};
        if (state != SessionState::connected) return Error{zk::Errc::connection_loss, "no contact with the coordinator"};
        return std::nullopt;
    }

    template <class T>
    using Answer = std::function<void(Result<T>)>;

    template <class T>
    void send(Answer<T> done, std::function<void(zk::Keeper&, Answer<T>)> call) {
        if (auto error = refusal()) {
            to_client([done = std::move(done), error = std::move(*error)] { done(tl::unexpected<Error>(error)); });
            return;
        }
        const Fate fate = gone ? Fate::lost : ensemble.hooks.before_send(machine);
        if (fate == Fate::lost) return;
        if (fate == Fate::refused) {
            to_client([done = std::move(done)] { done(fail(zk::Errc::connection_loss, "contact was lost")); });
            return;
        }
        const std::uint64_t number = next++;
        outstanding[number] = [done](Error error) { done(tl::unexpected<Error>(std::move(error))); };
        if (broken) return;  // it will be told
        const bool unanswered = fate == Fate::unanswered;
        auto arrive = [self = shared_from_this(), number, done = std::move(done), call = std::move(call), on = connection, unanswered] {
            if (!self->inner) return;
            call(*self->inner, [self, number, done, on, unanswered](Result<T> result) {
                if (self->gone || self->broken || self->connection != on) return;
                if (unanswered) result = fail(zk::Errc::connection_loss, "contact was lost");
                self->down.send(self->ensemble.latency(), [self, number, done, result = std::move(result)] {
                    self->to_client([self, number, done, result] {
                        if (self->outstanding.erase(number) == 1) done(result);
                    });
                });
            });
        };
        if (fate == Fate::arrives) {
            for (auto& message : up.clear()) message.deliver();
            arrive();
            return;
        }
        up.send(ensemble.latency(), std::move(arrive));
    }

    // For writes: tells of those that were applied.
    template <class T>
    void write(std::vector<zk::Op> ops, Answer<T> done, std::function<void(zk::Keeper&, Answer<T>)> call) {
        send<T>(std::move(done),
                [self = shared_from_this(), ops = std::move(ops), call = std::move(call)](zk::Keeper& keeper, Answer<T> answer) {
                    call(keeper, [self, ops, answer = std::move(answer)](Result<T> result) {
                        if (result) self->ensemble.hooks.applied(self->machine, ops);
                        answer(std::move(result));
                    });
                });
    }

    // A watch that the server holds; the client knows it once the answer is in.
    zk::Keeper::Watch server_watch(std::uint64_t number) {
        return [weak = weak_from_this(), number](WatchEvent event) {
            const auto self = weak.lock();
            if (!self || event.kind == WatchEvent::Kind::lost || self->gone) return;
            auto deliver = [self, number, event] {
                self->to_client([self, number, event] {
                    auto watch = self->watches.extract(number);
                    if (!watch.empty()) watch.mapped().first(event);
                });
            };
            if (self->broken) {
                self->waiting.push_back({{}, std::move(deliver), true});
            } else {
                self->down.send(self->ensemble.latency(), std::move(deliver), true);
            }
        };
    }

    template <class T>
    void watched(std::string path, zk::Keeper::Watch watch, Answer<T> done,
                 std::function<void(zk::Keeper&, zk::Keeper::Watch, Answer<T>)> call) {
        const std::uint64_t number = next++;
        const bool wanted = static_cast<bool>(watch);
        send<T>(
            [self = shared_from_this(), number, path, watch = std::move(watch), done = std::move(done)](Result<T> result) {
                const bool set = result || (std::is_same_v<T, zk::Stat> && result.error().is(zk::Errc::no_node));
                if (watch && set) self->watches[number] = {watch, path};
                done(std::move(result));
            },
            [self = shared_from_this(), number, wanted, call = std::move(call)](zk::Keeper& keeper, Answer<T> answer) {
                call(keeper, wanted ? self->server_watch(number) : zk::Keeper::Watch{}, std::move(answer));
            });
    }
};

// The keeper that the process holds.
class LinkKeeper final : public zk::Keeper {
  public:
    explicit LinkKeeper(std::shared_ptr<Link> link) : link_(std::move(link)) {}
    ~LinkKeeper() override {
        link_->handler = nullptr;
        if (!link_->gone && !link_->closing) end([] {});
    }

    void create(std::string path, std::string data, zk::CreateMode mode, Callback<zk::Created> done) override {
        link_->write<zk::Created>({zk::Op::create(path, data, mode)}, std::move(done),
                                  [path, data, mode](Keeper& keeper, auto answer) { keeper.create(path, data, mode, std::move(answer)); });
    }
    void get(std::string path, Watch watch, Callback<zk::Znode> done) override {
        link_->watched<zk::Znode>(path, std::move(watch), std::move(done), [path](Keeper& keeper, Watch on_server, auto answer) {
            keeper.get(path, std::move(on_server), std::move(answer));
        });
    }
    void exists(std::string path, Watch watch, Callback<zk::Stat> done) override {
        link_->watched<zk::Stat>(path, std::move(watch), std::move(done), [path](Keeper& keeper, Watch on_server, auto answer) {
            keeper.exists(path, std::move(on_server), std::move(answer));
        });
    }
    void children(std::string path, Watch watch, Callback<zk::Children> done) override {
        link_->watched<zk::Children>(path, std::move(watch), std::move(done), [path](Keeper& keeper, Watch on_server, auto answer) {
            keeper.children(path, std::move(on_server), std::move(answer));
        });
    }
    void set(std::string path, std::string data, std::int32_t version, Callback<zk::Stat> done) override {
        link_->write<zk::Stat>({zk::Op::set(path, data, version)}, std::move(done),
                               [path, data, version](Keeper& keeper, auto answer) { keeper.set(path, data, version, std::move(answer)); });
    }
    void erase(std::string path, std::int32_t version, Callback<void> done) override {
        link_->write<void>({zk::Op::erase(path, version)}, std::move(done),
                           [path, version](Keeper& keeper, auto answer) { keeper.erase(path, version, std::move(answer)); });
    }
    void multi(std::vector<zk::Op> ops, Callback<std::vector<zk::OpResult>> done) override {
        link_->write<std::vector<zk::OpResult>>(ops, std::move(done),
                                                [ops](Keeper& keeper, auto answer) { keeper.multi(ops, std::move(answer)); });
    }
    void sync(std::string path, Callback<void> done) override {
        link_->send<void>(std::move(done), [path](Keeper& keeper, auto answer) { keeper.sync(path, std::move(answer)); });
    }

    SessionState state() const override { return link_->state; }
    std::int64_t session_id() const override { return link_->session_id; }
    void on_state(std::function<void(SessionState)> handler) override { link_->handler = std::move(handler); }
    void close(std::function<void()> done) override { end(std::move(done)); }

  private:
    void end(std::function<void()> done) {
        const bool first = !std::exchange(link_->closing, true);
        if (first && !link_->broken) {
            link_->up.send(link_->ensemble.latency(), [link = link_] {
                link->end_on_server();
                link->ensemble.tidy();
            });
        }
        if (first) link_->ensemble.update(link_->machine);
        link_->to_client([link = link_, first, done = std::move(done)] {
            if (first) link->change_state(SessionState::closed, zk::Errc::closing, "the session is being closed");
            done();
        });
    }

    std::shared_ptr<Link> link_;
};

}  // namespace

// Brings the machine's links in line with who reaches whom.
void Ensemble::Impl::update(int machine) {
    const bool reaches = reachable(machine);
    for (const auto& link : std::vector(links)) {
        if (link->machine != machine) continue;
        link->up.set_held(!reaches);
        link->down.set_held(!reaches);
        if (reaches) {
            link->notice.cancel();
            if (link->broken && !link->gone) link->reconnect = world.after(latency(), [link] { link->connect_again(); });
        } else {
            link->reconnect.cancel();
            if (!link->broken) {
                link->notice = world.after(between(session_timeout / 10, session_timeout * 2 / 3), [link] { link->give_up(); });
            }
        }
        const bool contact = reaches && !link->gone && !link->closing && !paused[machine];
        if (contact || outage || link->over) {
            link->expiry.cancel();
        } else if (!link->expiry && link->inner) {
            link->expiry = world.after(between(session_timeout * 2 / 3, session_timeout * 5 / 4), [this, link] {
                hooks.note(link->machine, "its session times out");
                link->end_on_server();
                tidy();
            });
        }
    }
}

void Ensemble::Impl::tidy() {
    const auto finished = std::stable_partition(links.begin(), links.end(), [](const auto& link) { return !link->finished(); });
    ended.insert(ended.end(), std::make_move_iterator(finished), std::make_move_iterator(links.end()));
    links.erase(finished, links.end());
}

Ensemble::Ensemble(FakeLoop& world, Random& random, Duration network, Duration session_timeout, Hooks hooks)
    : impl_(std::make_shared<Impl>(world, random, network, session_timeout, std::move(hooks))) {}

Ensemble::~Ensemble() {
    impl_->tidy();
    impl_->links.insert(impl_->links.end(), impl_->ended.begin(), impl_->ended.end());
    impl_->ended.clear();
    for (const auto& link : impl_->links) {
        link->gone = true;
        const auto up = link->up.clear(), down = link->down.clear();
        link->notice.cancel();
        link->reconnect.cancel();
        link->expiry.cancel();
        link->waiting.clear();
        link->outstanding.clear();
        link->watches.clear();
        link->handler = nullptr;
        link->inner.reset();
    }
    impl_->links.clear();
    impl_->admin.reset();
    impl_->world.settle();
}

std::unique_ptr<zk::Keeper> Ensemble::connect(int machine, MachineLoop& loop) {
    auto link = std::make_shared<Link>(*impl_, machine, loop.poster());
    impl_->links.push_back(link);
    link->open();
    impl_->update(machine);
    return std::make_unique<LinkKeeper>(std::move(link));
}

void Ensemble::set_cut(int machine, bool cut) {
    impl_->cut[machine] = cut;
    impl_->update(machine);
}

bool Ensemble::reachable(int machine) const { return impl_->reachable(machine); }

void Ensemble::set_paused(int machine, bool paused) {
    impl_->paused[machine] = paused;
    impl_->update(machine);
}

void Ensemble::process_gone(int machine) {
    const bool arrives = impl_->random.below(2) == 0;
    impl_->paused[machine] = false;
    for (const auto& link : std::vector(impl_->links)) {
        if (link->machine != machine || link->gone) continue;
        link->gone = true;
        link->down.clear();
        link->waiting.clear();
        if (!arrives) link->up.clear();
        link->outstanding.clear();
        link->watches.clear();
    }
    impl_->update(machine);
    impl_->tidy();
}

void Ensemble::expire(int machine) {
    for (const auto& link : std::vector(impl_->links)) {
        if (link->machine == machine && !link->gone && link->inner) link->end_on_server();
    }
    impl_->tidy();
}

void Ensemble::set_outage(bool outage) {
    impl_->outage = outage;
    std::vector<int> machines;
    for (const auto& link : impl_->links) machines.push_back(link->machine);
    for (const int machine : machines) impl_->update(machine);
}

void Ensemble::wipe() {
    for (const auto& link : std::vector(impl_->links)) link->end_on_server();
    impl_->tidy();
    // From the leaves up; the admin's own calls take no time.
    std::function<void(const std::string&)> erase = [&](const std::string& path) {
        std::vector<std::string> names;
        impl_->admin->children(path.empty() ? "/" : path, {}, [&names](const Result<zk::Children>& children) {
            if (children) names = children->names;
        });
        impl_->world.settle();
        for (const auto& name : names) erase(path + "/" + name);
        if (path.empty()) return;
        impl_->admin->erase(path, zk::kAnyVersion, [](const Result<>&) {});
        impl_->world.settle();
    };
    erase("");
}

zk::Keeper& Ensemble::admin() { return *impl_->admin; }

}  // namespace cloudtask::sim
