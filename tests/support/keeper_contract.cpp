// The contract suite: one SECTION a rule. Waits for events, never for time; that something does not happen is seen by a later answer.
#include "tests/support/keeper_contract.h"

#include <algorithm>

namespace cloudtask::test {

using namespace zk;
using zk::Errc;

std::unique_ptr<Keeper> KeeperHarness::connected() {
    auto keeper = connect();
    REQUIRE(pump_until([&] { return keeper->state() == SessionState::connected; }));
    return keeper;
}

Result<Created> KeeperHarness::create(Keeper& keeper, const std::string& path, const std::string& data, CreateMode mode) {
    return await<Created>([&](auto done) { keeper.create(path, data, mode, std::move(done)); });
}
Result<Znode> KeeperHarness::get(Keeper& keeper, const std::string& path, Keeper::Watch watch) {
    return await<Znode>([&](auto done) { keeper.get(path, std::move(watch), std::move(done)); });
}
Result<Stat> KeeperHarness::exists(Keeper& keeper, const std::string& path, Keeper::Watch watch) {
    return await<Stat>([&](auto done) { keeper.exists(path, std::move(watch), std::move(done)); });
}
Result<Children> KeeperHarness::children(Keeper& keeper, const std::string& path, Keeper::Watch watch) {
    return await<Children>([&](auto done) { keeper.children(path, std::move(watch), std::move(done)); });
}
Result<Stat> KeeperHarness::set(Keeper& keeper, const std::string& path, const std::string& data, std::int32_t version) {
    return await<Stat>([&](auto done) { keeper.set(path, data, version, std::move(done)); });
}
Result<> KeeperHarness::erase(Keeper& keeper, const std::string& path, std::int32_t version) {
    return await<void>([&](auto done) { keeper.erase(path, version, std::move(done)); });
}
Result<std::vector<OpResult>> KeeperHarness::multi(Keeper& keeper, const std::vector<Op>& ops) {
    return await<std::vector<OpResult>>([&](auto done) { keeper.multi(ops, std::move(done)); });
}
Result<> KeeperHarness::sync(Keeper& keeper) {
    return await<void>([&](auto done) { keeper.sync("/", std::move(done)); });
}
void KeeperHarness::close(Keeper& keeper) {
    auto closed = std::make_shared<bool>(false);
    keeper.close([closed] { *closed = true; });
    REQUIRE_FALSE(*closed);
    REQUIRE(pump_until([&] { return *closed; }));
}

namespace {

using Kind = WatchEvent::Kind;

// What a watch was told.
struct Log {
    std::shared_ptr<std::vector<WatchEvent>> events = std::make_shared<std::vector<WatchEvent>>();
    Keeper::Watch watch() const {
        return [kept = events](WatchEvent event) { kept->push_back(std::move(event)); };
    }
    bool is(Kind kind, const std::string& path) const {
        return events->size() == 1 && events->front().kind == kind && events->front().path == path;
    }
    bool silent() const { return events->empty(); }
};

template <class T>
bool failed_with(const Result<T>& result, std::error_code code) {
    if (!result) UNSCOPED_INFO(result.error().message);
    return !result && result.error().code == code;
}

void writes(KeeperHarness& harness) {
    auto keeper = harness.connected();

    SECTION("what is created can be read, with its stat") {
        const auto created = harness.create(*keeper, "/a", "one");
        REQUIRE(created);
        CHECK(created->path == "/a");
        CHECK(created->stat.version == 0);
        const auto read = harness.get(*keeper, "/a");
        REQUIRE(read);
        CHECK(read->data == "one");
        CHECK(read->stat.version == 0);
        CHECK(read->stat.czxid == read->stat.mzxid);
        CHECK(read->stat.czxid == created->stat.czxid);
        CHECK(read->stat.ctime == read->stat.mtime);
        CHECK(read->stat.ctime > Instant{});
        CHECK(read->stat.data_length == 3);
        CHECK(read->stat.num_children == 0);
        CHECK(read->stat.ephemeral_owner == 0);
    }
    SECTION("data may be empty, and may hold any byte") {
        REQUIRE(harness.create(*keeper, "/empty"));
        CHECK(harness.get(*keeper, "/empty")->data.empty());
        const std::string bytes("\0\xff\n\0", 4);
        REQUIRE(harness.create(*keeper, "/bytes", bytes));
        CHECK(harness.get(*keeper, "/bytes")->data == bytes);
    }
    SECTION("a set raises the version, and one with a stale version changes nothing") {
        REQUIRE(harness.create(*keeper, "/a", "one"));
        const auto stat = harness.set(*keeper, "/a", "two", 0);
        REQUIRE(stat);
        CHECK(stat->version == 1);
        CHECK(stat->mzxid > stat->czxid);
        CHECK(failed_with(harness.set(*keeper, "/a", "three", 0), Errc::bad_version));
        CHECK(harness.get(*keeper, "/a")->data == "two");
        REQUIRE(harness.set(*keeper, "/a", "four"));
        CHECK(harness.get(*keeper, "/a")->stat.version == 2);
    }
    SECTION("erase asks for the version and for no children") {
        REQUIRE(harness.create(*keeper, "/a"));
        REQUIRE(harness.create(*keeper, "/a/b"));
        CHECK(failed_with(harness.erase(*keeper, "/a"), Errc::not_empty));
        CHECK(failed_with(harness.erase(*keeper, "/a/b", 7), Errc::bad_version));
        REQUIRE(harness.erase(*keeper, "/a/b", 0));
        REQUIRE(harness.erase(*keeper, "/a"));
        CHECK(failed_with(harness.exists(*keeper, "/a"), Errc::no_node));
    }
    SECTION("what is not there is said not to be there") {
        CHECK(failed_with(harness.get(*keeper, "/a"), Errc::no_node));
        CHECK(failed_with(harness.exists(*keeper, "/a"), Errc::no_node));
        CHECK(failed_with(harness.children(*keeper, "/a"), Errc::no_node));
        CHECK(failed_with(harness.set(*keeper, "/a", "x"), Errc::no_node));
        CHECK(failed_with(harness.erase(*keeper, "/a"), Errc::no_node));
        CHECK(failed_with(harness.create(*keeper, "/a/b"), Errc::no_node));
    }
    SECTION("a second create of a path is refused") {
        REQUIRE(harness.create(*keeper, "/a", "one"));
        CHECK(failed_with(harness.create(*keeper, "/a", "two"), Errc::node_exists));
        CHECK(harness.get(*keeper, "/a")->data == "one");
    }
    SECTION("an ephemeral has no children") {
        REQUIRE(harness.create(*keeper, "/a", "", CreateMode::ephemeral));
        CHECK(failed_with(harness.create(*keeper, "/a/b"), Errc::no_children_for_ephemerals));
    }
    SECTION("children are sorted, and their folder counts them") {
        REQUIRE(harness.create(*keeper, "/f"));
        for (const char* path : {"/f/c", "/f/a", "/f/b"}) REQUIRE(harness.create(*keeper, path));
        REQUIRE(harness.erase(*keeper, "/f/b"));
        const auto listed = harness.children(*keeper, "/f");
        REQUIRE(listed);
        CHECK(listed->names == std::vector<std::string>{"a", "c"});
        CHECK(listed->stat.num_children == 2);
        CHECK(listed->stat.cversion == 4);
        CHECK(harness.children(*keeper, "/")->names == std::vector<std::string>{"f"});
    }
    SECTION("sequential names count up, whatever else is created or erased in the folder") {
        REQUIRE(harness.create(*keeper, "/f"));
        const auto first = harness.create(*keeper, "/f/x-", "", CreateMode::persistent_sequential);
        REQUIRE(first);
        CHECK(first->path == "/f/x-0000000000");
        REQUIRE(harness.erase(*keeper, first->path));
        REQUIRE(harness.create(*keeper, "/f/plain"));
        const auto third = harness.create(*keeper, "/f/y-", "data", CreateMode::ephemeral_sequential);
        REQUIRE(third);
        CHECK(third->path == "/f/y-0000000002");
        CHECK(harness.get(*keeper, third->path)->stat.ephemeral_owner == keeper->session_id());
    }
    SECTION("256 KiB are kept whole, and one byte more is refused unsent") {
        const std::string most(kMaxDataBytes, 'x');
        REQUIRE(harness.create(*keeper, "/a", most));
        CHECK(harness.get(*keeper, "/a")->data == most);
        CHECK(failed_with(harness.create(*keeper, "/b", most + "x"), Errc::too_large));
        CHECK(failed_with(harness.set(*keeper, "/a", most + "x"), Errc::too_large));
        CHECK(failed_with(harness.multi(*keeper, {Op::set("/a", most), Op::create("/b", "x")}), Errc::too_large));
        const std::string far_more(2 * 1024 * 1024, 'x');
        CHECK(failed_with(harness.set(*keeper, "/a", far_more), Errc::too_large));
        CHECK(keeper->state() == SessionState::connected);
        CHECK(harness.get(*keeper, "/a")->stat.version == 0);
    }
    SECTION("paths that ZooKeeper does not have are refused") {
        for (const char* path : {"", "a", "/a/", "//", "/a//b", "/./a", "/a/..", "/a\n"}) {
            INFO("path: " << path);
            CHECK(failed_with(harness.create(*keeper, path), Errc::bad_arguments));
            CHECK(failed_with(harness.get(*keeper, path), Errc::bad_arguments));
        }
        CHECK(failed_with(harness.create(*keeper, "/"), Errc::bad_arguments));
        CHECK(failed_with(harness.erase(*keeper, "/"), Errc::bad_arguments));
        CHECK(failed_with(harness.multi(*keeper, {}), Errc::bad_arguments));
    }
    SECTION("sync answers") { CHECK(harness.sync(*keeper)); }
}

void multis(KeeperHarness& harness) {
    auto keeper = harness.connected();
    REQUIRE(harness.create(*keeper, "/a", "one"));
    REQUIRE(harness.create(*keeper, "/f"));

    SECTION("a multi does all of it") {
        const auto done =
            harness.multi(*keeper, {Op::check("/a", 0), Op::set("/a", "two", 0), Op::create("/b", "new", CreateMode::ephemeral),
                                    Op::create("/f/s-", "", CreateMode::persistent_sequential), Op::create("/c", ""), Op::erase("/c")});
        REQUIRE(done);
        REQUIRE(done->size() == 6);
        CHECK((*done)[1].stat.version == 1);
        CHECK((*done)[2].path == "/b");
        CHECK((*done)[3].path == "/f/s-0000000000");
        CHECK(harness.get(*keeper, "/a")->data == "two");
        CHECK(harness.get(*keeper, "/b")->stat.ephemeral_owner == keeper->session_id());
        CHECK(failed_with(harness.exists(*keeper, "/c"), Errc::no_node));
    }
    SECTION("or nothing of it, and says which operation failed") {
        Log data, names;
        REQUIRE(harness.get(*keeper, "/a", data.watch()));
        REQUIRE(harness.children(*keeper, "/f", names.watch()));
        const auto done = harness.multi(*keeper, {Op::create("/f/x", ""), Op::set("/a", "two"), Op::check("/a", 9), Op::erase("/nowhere")});
        CHECK(failed_with(done, Errc::bad_version));
        CHECK(done.error().message.find("operation 3 of 4") != std::string::npos);
        CHECK(done.error().message.find("/a") != std::string::npos);
        CHECK(harness.get(*keeper, "/a")->data == "one");
        CHECK(harness.get(*keeper, "/a")->stat.version == 0);
        CHECK(harness.children(*keeper, "/f")->names.empty());
        CHECK(data.silent());
        CHECK(names.silent());
    }
    SECTION("a sequence number that was rolled back is not lost to the tree") {
        CHECK_FALSE(harness.multi(*keeper, {Op::create("/f/s-", "", CreateMode::persistent_sequential), Op::check("/nowhere")}));
        CHECK(harness.create(*keeper, "/f/s-", "", CreateMode::persistent_sequential)->path == "/f/s-0000000000");
    }
    SECTION("a check of what is not there fails") {
        CHECK(failed_with(harness.multi(*keeper, {Op::check("/nowhere"), Op::set("/a", "two")}), Errc::no_node));
        CHECK(harness.get(*keeper, "/a")->data == "one");
    }
    SECTION("later operations see what earlier ones did") {
        REQUIRE(harness.multi(*keeper, {Op::create("/g", ""), Op::create("/g/h", "x"), Op::set("/g/h", "y", 0), Op::check("/g/h", 1)}));
        CHECK(harness.get(*keeper, "/g/h")->data == "y");
    }
    SECTION("an ephemeral of another session is replaced in one step") {
        auto ghost = harness.connected();
        REQUIRE(harness.create(*ghost, "/me", "old", CreateMode::ephemeral));
        REQUIRE(harness.multi(*keeper, {Op::erase("/me", 0), Op::create("/me", "new", CreateMode::ephemeral)}));
        harness.close(*ghost);
        REQUIRE(harness.sync(*keeper));
        const auto now = harness.get(*keeper, "/me");
        REQUIRE(now);
        CHECK(now->data == "new");
        CHECK(now->stat.ephemeral_owner == keeper->session_id());
    }
}

void watches(KeeperHarness& harness) {
    auto keeper = harness.connected();
    auto other = harness.connected();
    Log log;

    SECTION("a watch on data tells of one change, once") {
        REQUIRE(harness.create(*keeper, "/a", "one"));
        REQUIRE(harness.get(*keeper, "/a", log.watch()));
        REQUIRE(harness.set(*other, "/a", "two"));
        REQUIRE(harness.pump_until([&] { return !log.silent(); }));
        REQUIRE(harness.set(*other, "/a", "three"));
        REQUIRE(harness.sync(*keeper));
        REQUIRE(harness.get(*keeper, "/a")->data == "three");
        CHECK(log.is(Kind::changed, "/a"));
    }
    SECTION("a watch on data tells of the end of the znode") {
        REQUIRE(harness.create(*keeper, "/a", "one"));
        REQUIRE(harness.get(*keeper, "/a", log.watch()));
        REQUIRE(harness.erase(*other, "/a"));
        REQUIRE(harness.pump_until([&] { return !log.silent(); }));
        CHECK(log.is(Kind::deleted, "/a"));
    }
    SECTION("a watch on what does not exist waits for it") {
        CHECK(failed_with(harness.exists(*keeper, "/a", log.watch()), Errc::no_node));
        REQUIRE(harness.create(*other, "/a"));
        REQUIRE(harness.pump_until([&] { return !log.silent(); }));
        CHECK(log.is(Kind::created, "/a"));
    }
    SECTION("exists watches what exists too") {
        REQUIRE(harness.create(*keeper, "/a"));
        REQUIRE(harness.exists(*keeper, "/a", log.watch()));
        REQUIRE(harness.erase(*other, "/a"));
        REQUIRE(harness.pump_until([&] { return !log.silent(); }));
        CHECK(log.is(Kind::deleted, "/a"));
    }
    SECTION("a get or children that fails leaves no watch") {
        Log names;
        CHECK_FALSE(harness.get(*keeper, "/a", log.watch()));
        CHECK_FALSE(harness.children(*keeper, "/a", names.watch()));
        REQUIRE(harness.create(*keeper, "/a"));
        REQUIRE(harness.create(*keeper, "/a/b"));
        REQUIRE(harness.get(*keeper, "/a"));
        CHECK(log.silent());
        CHECK(names.silent());
    }
    SECTION("a watch on children tells of a new one, and not of data") {
        REQUIRE(harness.create(*keeper, "/f"));
        REQUIRE(harness.children(*keeper, "/f", log.watch()));
        REQUIRE(harness.set(*keeper, "/f", "data"));
        REQUIRE(harness.get(*keeper, "/f"));
        CHECK(log.silent());
        REQUIRE(harness.create(*other, "/f/a"));
        REQUIRE(harness.pump_until([&] { return !log.silent(); }));
        CHECK(log.is(Kind::children_changed, "/f"));
    }
    SECTION("a watch on children tells of one that went, and of the end of the folder") {
        REQUIRE(harness.create(*keeper, "/f"));
        REQUIRE(harness.create(*keeper, "/f/a"));
        REQUIRE(harness.children(*keeper, "/f", log.watch()));
        REQUIRE(harness.erase(*other, "/f/a"));
        REQUIRE(harness.pump_until([&] { return !log.silent(); }));
        CHECK(log.is(Kind::children_changed, "/f"));
        Log end;
        REQUIRE(harness.children(*keeper, "/f", end.watch()));
        REQUIRE(harness.erase(*other, "/f"));
        REQUIRE(harness.pump_until([&] { return !end.silent(); }));
        CHECK(end.is(Kind::deleted, "/f"));
    }
    SECTION("one's own write is told before it is answered") {
        REQUIRE(harness.create(*keeper, "/a", "one"));
        REQUIRE(harness.get(*keeper, "/a", log.watch()));
        REQUIRE(harness.set(*keeper, "/a", "two"));
        CHECK(log.is(Kind::changed, "/a"));
    }
    SECTION("the end of a session is told to its watches") {
        REQUIRE(harness.create(*keeper, "/a"));
        REQUIRE(harness.get(*keeper, "/a", log.watch()));
        SECTION("when it expires") {
            harness.expire(*keeper);
            REQUIRE(harness.pump_until([&] { return keeper->state() == SessionState::expired; }));
        }
        SECTION("when it is closed") { harness.close(*keeper); }
        CHECK(log.is(Kind::lost, "/a"));
    }
}

void sessions(KeeperHarness& harness) {
    SECTION("a session connects in a turn of its own and gets a number") {
        auto keeper = harness.connect();
        CHECK(keeper->state() == SessionState::connecting);
        CHECK(keeper->session_id() == 0);
        auto seen = std::make_shared<std::vector<SessionState>>();
        keeper->on_state([seen](SessionState state) { seen->push_back(state); });
        REQUIRE(harness.pump_until([&] { return !seen->empty(); }));
        CHECK(*seen == std::vector{SessionState::connected});
        CHECK(keeper->session_id() != 0);
        harness.close(*keeper);
        CHECK(*seen == std::vector{SessionState::connected, SessionState::closed});
    }
    SECTION("before there is contact a call fails, and does not happen later") {
        auto keeper = harness.connect();
        CHECK(failed_with(harness.create(*keeper, "/early"), Errc::connection_loss));
        REQUIRE(harness.pump_until([&] { return keeper->state() == SessionState::connected; }));
        CHECK(failed_with(harness.exists(*keeper, "/early"), Errc::no_node));
    }
    SECTION("ephemerals belong to their session and go when it is closed") {
        auto keeper = harness.connected();
        auto other = harness.connected();
        CHECK(keeper->session_id() != other->session_id());
        REQUIRE(harness.create(*keeper, "/e", "x", CreateMode::ephemeral));
        REQUIRE(harness.create(*keeper, "/p", "x"));
        CHECK(harness.get(*other, "/e")->stat.ephemeral_owner == keeper->session_id());
        Log log;
        REQUIRE(harness.exists(*other, "/e", log.watch()));
        harness.close(*keeper);
        REQUIRE(harness.pump_until([&] { return !log.silent(); }));
        CHECK(log.is(Kind::deleted, "/e"));
        CHECK(failed_with(harness.exists(*other, "/e"), Errc::no_node));
        CHECK(harness.exists(*other, "/p"));
    }
    SECTION("an expired session is over: its ephemerals are gone and nothing works in it") {
        auto keeper = harness.connected();
        auto other = harness.connected();
        REQUIRE(harness.create(*keeper, "/e", "x", CreateMode::ephemeral));
        Log log;
        REQUIRE(harness.exists(*other, "/e", log.watch()));
        harness.expire(*keeper);
        REQUIRE(harness.pump_until([&] { return !log.silent() && keeper->state() == SessionState::expired; }));
        CHECK(log.is(Kind::deleted, "/e"));
        CHECK(failed_with(harness.create(*keeper, "/late"), Errc::session_expired));
        CHECK(failed_with(harness.exists(*other, "/late"), Errc::no_node));
        harness.close(*keeper);
        CHECK(keeper->state() == SessionState::closed);
    }
    SECTION("closing finishes every callback once, then says so") {
        constexpr int kCalls = 200;
        auto keeper = harness.connected();
        REQUIRE(harness.create(*keeper, "/a"));
        auto finished = std::make_shared<std::vector<int>>(kCalls, 0);
        auto odd = std::make_shared<int>(0);
        for (int i = 0; i < kCalls; ++i) {
            keeper->set("/a", std::to_string(i), kAnyVersion, [finished, odd, i](const Result<Stat>& result) {
                ++(*finished)[static_cast<std::size_t>(i)];
                if (!result && !result.error().is(Errc::closing)) ++*odd;
            });
        }
        auto at_close = std::make_shared<std::optional<std::vector<int>>>();
        keeper->close([finished, at_close] { *at_close = *finished; });
        CHECK(failed_with(harness.get(*keeper, "/a"), Errc::closing));
        REQUIRE(harness.pump_until([&] { return at_close->has_value(); }));
        CHECK(**at_close == std::vector<int>(kCalls, 1));
        CHECK(*odd == 0);
        CHECK(keeper->state() == SessionState::closed);
        harness.close(*keeper);
        CHECK(*finished == std::vector<int>(kCalls, 1));
    }
    SECTION("a keeper that is destroyed finishes its callbacks with closing, and its session ends") {
        auto keeper = harness.connected();
        auto other = harness.connected();
        REQUIRE(harness.create(*keeper, "/e", "", CreateMode::ephemeral));
        Log log;
        REQUIRE(harness.exists(*other, "/e", log.watch()));
        const auto result = harness.await<Znode>([&](auto done) {
            keeper->get("/e", {}, std::move(done));
            keeper.reset();
        });
        CHECK(failed_with(result, Errc::closing));
        REQUIRE(harness.pump_until([&] { return !log.silent(); }));
        CHECK(log.is(Kind::deleted, "/e"));
    }
    SECTION("a callback may destroy its keeper") {
        auto keeper = harness.connected();
        auto gone = std::make_shared<bool>(false);
        keeper->exists("/", {}, [&keeper, gone](const Result<Stat>&) {
            keeper.reset();
            *gone = true;
        });
        REQUIRE(harness.pump_until([&] { return *gone; }));
    }
}

}  // namespace

void keeper_contract(const std::function<std::unique_ptr<KeeperHarness>()>& make) {
    const auto harness = make();
    SECTION("writes") { writes(*harness); }
    SECTION("multi") { multis(*harness); }
    SECTION("watches") { watches(*harness); }
    SECTION("sessions") { sessions(*harness); }
}

}  // namespace cloudtask::test
