// The contract of Keeper, written once: what MemoryKeeper and a real session must both do, so that they cannot drift apart.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include <catch2/catch.hpp>

#include "cloudtask/core/loop.h"
#include "cloudtask/zk/keeper.h"

namespace cloudtask::test {

// One coordinator, empty at first, and a loop that moves only while somebody waits. Used by the test thread alone.
class KeeperHarness {
  public:
    virtual ~KeeperHarness() = default;
    virtual Loop& loop() = 0;
    // A new session, which begins to connect.
    virtual std::unique_ptr<zk::Keeper> connect() = 0;
    // Ends a session as the server does when it hears nothing for too long.
    virtual void expire(zk::Keeper& keeper) = 0;
    // Runs the loop until `condition` holds; false if it does not for a long time.
    virtual bool pump_until(const std::function<bool()>& condition) = 0;

    // connect(), and waits for it.
    std::unique_ptr<zk::Keeper> connected();

    // Makes a call and waits for its answer. Holds that the callback comes once and never inline.
    template <class T, class Call>
    Result<T> await(Call call) {
        auto result = std::make_shared<std::optional<Result<T>>>();
        call([result](Result<T> answer) {
            REQUIRE_FALSE(result->has_value());
            *result = std::move(answer);
        });
        REQUIRE_FALSE(result->has_value());
        REQUIRE(pump_until([&] { return result->has_value(); }));
        return **result;
    }

    Result<zk::Created> create(zk::Keeper& keeper, const std::string& path, const std::string& data = {},
                               zk::CreateMode mode = zk::CreateMode::persistent);
    Result<zk::Znode> get(zk::Keeper& keeper, const std::string& path, zk::Keeper::Watch watch = {});
    Result<zk::Stat> exists(zk::Keeper& keeper, const std::string& path, zk::Keeper::Watch watch = {});
    Result<zk::Children> children(zk::Keeper& keeper, const std::string& path, zk::Keeper::Watch watch = {});
    Result<zk::Stat> set(zk::Keeper& keeper, const std::string& path, const std::string& data, std::int32_t version = zk::kAnyVersion);
    Result<> erase(zk::Keeper& keeper, const std::string& path, std::int32_t version = zk::kAnyVersion);
    Result<std::vector<zk::OpResult>> multi(zk::Keeper& keeper, const std::vector<zk::Op>& ops);
    Result<> sync(zk::Keeper& keeper);
    void close(zk::Keeper& keeper);
};

// To be called from a TEST_CASE; each rule is a SECTION with a new harness.
void keeper_contract(const std::function<std::unique_ptr<KeeperHarness>()>& make);

}  // namespace cloudtask::test
