// World: an in-memory coordinator under virtual time, with a second hand (`admin`) that reads and writes beside the recipes under test.
#pragma once

#include <catch2/catch.hpp>

#include <optional>

#include "cloudtask/core/fake_loop.h"
#include "cloudtask/zk/faulty_keeper.h"
#include "cloudtask/zk/memory_keeper.h"
#include "cloudtask/zk/recipes.h"

namespace cloudtask::zk {

struct World {
    explicit World(std::uint64_t seed = 1, FaultRates a_rates = {}) : random(seed), rates(a_rates), admin(tree.connect()) { loop.settle(); }
    ~World() {
        admin.reset();
        loop.settle();
    }

    // For Clients: a session behind the faults of this world.
    Client::Factory factory() {
        return [this] { return make_faulty_keeper(loop, tree.connect(), random, rates); };
    }

    bool until(const std::function<bool()>& condition, Duration limit = std::chrono::minutes{1}) {
        return loop.advance_until(condition, limit);
    }

    // The admin's calls. They are without faults and take no time.
    void make(const std::string& path, const std::string& data = {}) {
        bool ok = false;
        admin->create(path, data, CreateMode::persistent, [&](const Result<Created>& created) { ok = created.has_value(); });
        loop.settle();
        REQUIRE(ok);
    }
    void make_folder(const std::string& path) {
        bool ok = false;
        make_path(loop, *admin, path, [&](const Result<>& made) { ok = made.has_value(); });
        loop.settle();
        REQUIRE(ok);
    }
    void write(const std::string& path, const std::string& data) {
        bool ok = false;
        admin->set(path, data, kAnyVersion, [&](const Result<Stat>& set) { ok = set.has_value(); });
        loop.settle();
        REQUIRE(ok);
    }
    bool erase(const std::string& path) {
        bool ok = false;
        admin->erase(path, kAnyVersion, [&](const Result<>& erased) { ok = erased.has_value(); });
        loop.settle();
        return ok;
    }
    std::optional<Znode> read(const std::string& path) {
        std::optional<Znode> found;
        admin->get(path, {}, [&](const Result<Znode>& znode) {
            if (znode) found = *znode;
        });
        loop.settle();
        return found;
    }
    std::string data(const std::string& path) {
        const auto found = read(path);
        return found ? found->data : "(none)";
    }
    std::vector<std::string> list(const std::string& path) {
        std::vector<std::string> names;
        admin->children(path, {}, [&](const Result<Children>& children) {
            if (children) names = children->names;
        });
        loop.settle();
        return names;
    }

    FakeLoop loop;
    SeededRandom random;
    FaultRates rates;
    MemoryTree tree{loop};
    std::unique_ptr<Keeper> admin;
};

// A process: a Client of a World.
struct Process {
    explicit Process(World& a_world) : world(a_world), client(a_world.loop, a_world.random, a_world.factory()) { client.start(); }

    std::int64_t session() const { return client.keeper() ? client.keeper()->session_id() : 0; }
    bool await_session() {
        return world.until([this] { return client.keeper() != nullptr; });
    }
    void expire() { world.tree.expire(session()); }
    void set_connected(bool connected) { world.tree.set_connected(session(), connected); }

    World& world;
    Client client;
};

}  // namespace cloudtask::zk
