// Pieces of sharded and broadcast tasks: their ids, their versions, and where they go.
#include "cloudtask/task/pieces.h"

#include <catch2/catch.hpp>

#include <set>
#include <string>

#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

constexpr const char* kTaskId = "018f3c2e-1111-7222-8333-123456789abc";
constexpr const char* kNodeId = "018f3c2e-2222-7222-8333-123456789abc";  // made later than the task
const NodeName kNode{kNodeId, "node-1"};

Task definition_of(Mode mode, std::uint16_t shards = 1) {
    Task task;
    task.id = kTaskId;
    task.runtime = "demo";
    task.group = "ops";
    task.name = "report";
    task.shell = "true";
    task.mode = mode;
    task.shards = shards;
    task.schedules = {*Schedule::cron("H H * * *", "UTC")};
    adopt_schedules(task);
    return task;
}

Task read_back(const Task& task) {
    const auto read = read_task(*json::parse(to_json(task)));
    if (!read) FAIL(read.error().message);
    return *read;
}

}  // namespace

TEST_CASE("pieces: each has an id of its own, the same everywhere") {
    std::set<std::string> ids{kTaskId};
    for (std::int64_t shard = 0; shard < kMostShards; ++shard) ids.insert(shard_id(kTaskId, shard));
    ids.insert(node_piece_id(kTaskId, kNodeId));
    ids.insert(node_piece_id(kTaskId, "another"));
    CHECK(ids.size() == 1 + kMostShards + 2);
    for (const auto& id : ids) CHECK(is_uuid(id));
    CHECK(shard_id(kTaskId, 7) == "018f3c2e-1111-7e85-adf1-d2578d27f707");
    CHECK(uuid_time(shard_id(kTaskId, 7)) == uuid_time(kTaskId));
    CHECK(run_id(shard_id(kTaskId, 0), Instant{}, 1) != run_id(shard_id(kTaskId, 1), Instant{}, 1));
}

TEST_CASE("pieces: shards fire together, and know their task") {
    const Task definition = definition_of(Mode::shards, 8);
    for (std::int64_t shard = 0; shard < 8; ++shard) {
        const Task piece = shard_of(definition, shard);
        CHECK(piece.id == shard_id(kTaskId, shard));
        CHECK(definition_id(piece) == kTaskId);
        CHECK(piece.piece->shard == shard);
        REQUIRE(piece.schedules.size() == 1);
        CHECK(piece.schedules[0].next(Instant{}) == definition.schedules[0].next(Instant{}));
    }
    CHECK(definition_id(definition) == kTaskId);
}

TEST_CASE("pieces: a version that has not the piece has no fires of it") {
    CHECK(shard_of(definition_of(Mode::shards, 8), 8).schedules.empty());
    CHECK(shard_of(definition_of(Mode::single), 0).schedules.empty());
    CHECK(shard_of(definition_of(Mode::broadcast), 0).schedules.empty());
    CHECK(piece_on(definition_of(Mode::shards, 8), kNode).schedules.empty());
    Task elsewhere = definition_of(Mode::broadcast);
    CHECK(piece_on(elsewhere, kNode).schedules.size() == 1);
    elsewhere.targets = {"node-2", "node-1"};
    CHECK(piece_on(elsewhere, kNode).schedules.size() == 1);
    elsewhere.targets = {"node-2"};
    CHECK(piece_on(elsewhere, kNode).schedules.empty());
}

TEST_CASE("pieces: a node's own piece is bound to the node, and has no fires of before it was") {
    Task definition = definition_of(Mode::broadcast);
    definition.labels = {{"zone", "a"}};
    const Task piece = piece_on(definition, kNode);
    CHECK(piece.id == node_piece_id(kTaskId, kNodeId));
    CHECK(piece.targets == std::vector<std::string>{std::string{"@"} + kNodeId});
    CHECK(piece.labels == definition.labels);
    CHECK(piece.effective_from == uuid_time(kNodeId));
    definition.effective_from = uuid_time(kNodeId) + std::chrono::hours{1};
    CHECK(piece_on(definition, kNode).effective_from == definition.effective_from);
}

TEST_CASE("pieces: what a node wrote of one reads back") {
    const Task shard = shard_of(definition_of(Mode::shards, 8), 3);
    const Task read = read_back(shard);
    CHECK(read.id == shard.id);
    CHECK(definition_id(read) == kTaskId);
    CHECK(read.piece->shard == 3);
    CHECK(read.shards == 8);
    CHECK(read.schedules[0].next(Instant{}) == shard.schedules[0].next(Instant{}));
    const Task own = read_back(piece_on(definition_of(Mode::broadcast), kNode));
    CHECK(own.id == node_piece_id(kTaskId, kNodeId));
    CHECK(definition_id(own) == kTaskId);
    CHECK_FALSE(own.piece->shard);
}

TEST_CASE("pieces: a run of a piece is counted by it, and is its task's") {
    Run run;
    run.id = run.task_id = kTaskId;
    run.runtime = "demo";
    run.group = "ops";
    run.task_name = "report";
    run.trigger = Trigger::manual;
    CHECK(placed_id(run) == kTaskId);
    CHECK(piece_text(run).empty());
    run.piece = shard_id(kTaskId, 3);
    run.shard = 3;
    const auto read = read_run(*json::parse(to_json(run)));
    REQUIRE(read);
    CHECK(read->task_id == kTaskId);
    CHECK(placed_id(*read) == run.piece);
    CHECK(read->shard == 3);
    CHECK(piece_text(*read) == ", shard 3");
    CHECK(piece_text(*read, 8) == ", shard 3 of 8");
    run.shard.reset();
    run.node_name = "node-1";
    CHECK(piece_text(run) == ", on node-1");
}
