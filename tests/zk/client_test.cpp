// Client: one session after the other, and what its observers hear of them.
#include <catch2/catch.hpp>

#include <sstream>

#include <spdlog/sinks/ostream_sink.h>

#include "cloudtask/core/log.h"
#include "cloudtask/core/units.h"
#include "tests/zk/world.h"

namespace cloudtask::zk {

namespace {

// Writes down all that an observer hears.
struct Diary {
    std::vector<std::string> lines;
    Client::Observer observer(const std::string& name = "") {
        return {.on_session = [this, name](Keeper&,
                                           std::uint64_t generation) { lines.push_back(name + "begin " + std::to_string(generation)); },
                .on_connection = [this, name](bool up) { lines.push_back(name + (up ? "up" : "down")); },
                .on_session_end = [this, name](std::uint64_t generation) { lines.push_back(name + "end " + std::to_string(generation)); }};
    }
};

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("observers hear of each session in their order") {
    World world;
    Client client(world.loop, world.random, world.factory());
    Diary diary;
    client.observe(diary.observer("a "));
    client.observe(diary.observer("b "));
    CHECK(client.keeper() == nullptr);
    CHECK(client.generation() == 0);
    client.start();
    world.loop.settle();
    CHECK(diary.lines == Lines{"a begin 1", "b begin 1"});
    CHECK(client.keeper() != nullptr);
    CHECK(client.connected());

    diary.lines.clear();
    world.tree.expire(client.keeper()->session_id());
    REQUIRE(world.until([&] { return client.generation() == 2; }));
    CHECK(diary.lines == Lines{"a end 1", "b end 1", "a begin 2", "b begin 2"});

    diary.lines.clear();
    bool stopped = false;
    client.stop([&] { stopped = true; });
    CHECK_FALSE(stopped);
    world.loop.settle();
    CHECK(stopped);
    CHECK(diary.lines == Lines{"a end 2", "b end 2"});
    CHECK(client.keeper() == nullptr);
    world.loop.advance(std::chrono::minutes{10});
    CHECK(client.generation() == 2);
}

TEST_CASE("contact that is lost and comes back is no new session") {
    World world;
    Process process(world);
    Diary diary;
    process.client.observe(diary.observer());
    world.loop.settle();
    process.set_connected(false);
    world.loop.settle();
    CHECK_FALSE(process.client.connected());
    CHECK(process.client.keeper() != nullptr);
    process.set_connected(true);
    world.loop.settle();
    CHECK(diary.lines == Lines{"begin 1", "down", "up"});
    CHECK(process.client.generation() == 1);
}

TEST_CASE("an observer that comes late hears of the session in the next turn, once") {
    World world;
    Process process(world);
    world.loop.settle();
    Diary diary;
    const auto subscription = process.client.subscribe(diary.observer());
    CHECK(diary.lines.empty());
    world.loop.settle();
    CHECK(diary.lines == Lines{"begin 1"});
}

TEST_CASE("an observer that is taken away hears nothing more, also from within a call") {
    World world;
    Process process(world);
    Diary diary;
    auto inner = std::make_unique<Client::Subscription>();
    Client::Observer observer;
    observer.on_session = [&](Keeper&, std::uint64_t) {
        diary.lines.push_back("once");
        inner.reset();
    };
    *inner = process.client.subscribe(std::move(observer));
    auto outer = std::make_unique<Client::Subscription>(process.client.subscribe(diary.observer()));
    outer.reset();
    world.loop.settle();
    process.client.renew();
    REQUIRE(world.until([&] { return process.client.generation() == 2; }));
    CHECK(diary.lines == Lines{"once"});
}

TEST_CASE("a subscription may outlive its client") {
    World world;
    Client::Subscription subscription;
    {
        Process process(world);
        subscription = process.client.subscribe({});
        world.loop.settle();
        CHECK(subscription.keeper(1) != nullptr);
        CHECK(subscription.keeper(2) == nullptr);
    }
    CHECK(subscription.keeper(1) == nullptr);
    subscription.discard("/f", "x");
}

TEST_CASE("renew ends the session and its ephemerals, and makes the next") {
    World world;
    Process process(world);
    Diary diary;
    process.client.observe(diary.observer());
    world.loop.settle();
    process.client.keeper()->create("/e", "", CreateMode::ephemeral, [](const Result<Created>&) {});
    world.loop.settle();
    REQUIRE(world.read("/e"));
    process.client.renew();
    process.client.renew();
    CHECK(process.client.generation() == 1);
    REQUIRE(world.until([&] { return process.client.generation() == 2; }));
    CHECK_FALSE(world.read("/e"));
    world.loop.advance(std::chrono::minutes{1});
    CHECK(diary.lines == Lines{"begin 1", "end 1", "begin 2"});
}

TEST_CASE("stop before start, and stop twice, are answered") {
    World world;
    Client client(world.loop, world.random, world.factory());
    int stopped = 0;
    client.stop([&] { ++stopped; });
    client.stop([&] { ++stopped; });
    world.loop.settle();
    CHECK(stopped == 2);
}

TEST_CASE("sessions that end before they are established are tried ever more slowly") {
    World world;
    int made = 0;
    Client client(world.loop, world.random, [&] {
        ++made;
        auto keeper = world.tree.connect();
        world.tree.expire(2 + made - 1);  // the admin's is session 1
        return keeper;
    });
    client.start();
    world.loop.advance(std::chrono::minutes{10});
    // A step is 10 s at most and 5 s at least once it is longest.
    CHECK(made >= 60);
    CHECK(made <= 130);
    CHECK(client.generation() == 0);
}

TEST_CASE("while there is no contact it is said once a backoff step") {
    std::ostringstream text;
    auto logger = std::make_shared<spdlog::logger>("test", std::make_shared<spdlog::sinks::ostream_sink_mt>(text));
    const auto before = spdlog::default_logger();
    spdlog::set_default_logger(logger);
    {
        World world;
        Process process(world);
        world.loop.settle();
        world.loop.advance(std::chrono::minutes{5});
        CHECK(text.str().find("has not answered") == std::string::npos);
        process.set_connected(false);
        world.loop.advance(std::chrono::minutes{5});
    }
    spdlog::set_default_logger(before);
    int notices = 0;
    for (std::size_t at = text.str().find("has not answered"); at != std::string::npos; at = text.str().find("has not answered", at + 1)) {
        ++notices;
    }
    // After 1, 3, 7, 15, 31 and 63 s, then each minute.
    CHECK(notices == 9);
    CHECK_THAT(text.str(), Catch::Contains("has not answered for " + format_duration(std::chrono::seconds{63})));
}

TEST_CASE("a client that is destroyed from within an observer leaves nothing behind") {
    World world;
    auto client = std::make_unique<Client>(world.loop, world.random, world.factory());
    Client::Observer observer;
    observer.on_session = [&](Keeper&, std::uint64_t) { client.reset(); };
    client->observe(std::move(observer));
    Diary diary;
    client->observe(diary.observer());
    client->start();
    world.loop.advance(std::chrono::minutes{1});
    CHECK(client == nullptr);
    CHECK(diary.lines.empty());
}

}  // namespace cloudtask::zk
