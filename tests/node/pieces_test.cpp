// Pieces of sharded and broadcast tasks at a node: which versions of which pieces it is told of, in which order.
#include "node/pieces.h"

#include <catch2/catch.hpp>

#include <map>
#include <random>
#include <string>

using namespace cloudtask;
using namespace cloudtask::node;
using task::Mode;

namespace {

constexpr const char* kId = "018f3c2e-1111-7222-8333-123456789abc";
const task::NodeName kSelf{"n1-id", "n1"};

task::Task version_of(std::int64_t version, Mode mode, std::uint16_t shards = 1) {
    task::Task task;
    task.id = kId;
    task.version = version;
    task.mode = mode;
    task.shards = shards;
    task.schedules = {*task::Schedule::every(std::chrono::seconds{10}, Instant{})};
    return task;
}

std::string text_of(const std::vector<task::Task>& pieces) {
    std::string text;
    for (const auto& piece : pieces) {
        const std::string name = !piece.piece ? "whole" : piece.piece->shard ? fmt::format("{}", *piece.piece->shard) : "own";
        text += fmt::format("{}{}@{}{}", text.empty() ? "" : " ", name, piece.version, piece.schedules.empty() ? "-" : "");
    }
    return text;
}

}  // namespace

TEST_CASE("pieces: single tasks are none of their business") {
    const Pieces pieces{kSelf};
    CHECK_FALSE(pieces.concerns(version_of(1, Mode::single)));
    CHECK(pieces.concerns(version_of(1, Mode::shards, 2)));
    CHECK(pieces.concerns(version_of(1, Mode::broadcast)));
}

TEST_CASE("pieces: what a version brings comes with the version before, without fires") {
    Pieces pieces{kSelf};
    CHECK(text_of(pieces.put(version_of(1, Mode::shards, 2), nullptr)) == "0@1 1@1");
    CHECK(text_of(pieces.put(version_of(2, Mode::shards, 3), nullptr)) == "0@2 1@2 2@1- 2@2");
    CHECK(text_of(pieces.put(version_of(3, Mode::shards, 1), nullptr)) == "0@3 1@3- 2@3-");
    CHECK(text_of(pieces.put(version_of(4, Mode::single), nullptr)) == "whole@3- whole@4 0@4- 1@4- 2@4-");
    CHECK(text_of(pieces.put(version_of(5, Mode::broadcast), nullptr)) == "whole@5- own@4- own@5 0@5- 1@5- 2@5-");
    CHECK(text_of(pieces.put(version_of(6, Mode::shards, 2), nullptr)) == "whole@6- own@6- 0@6 1@6 2@6-");
    CHECK(pieces.find(kId)->version == 6);
    const auto ids = pieces.erase(kId);
    CHECK(ids == std::vector<std::string>{kId, task::node_piece_id(kId, "n1-id"), task::shard_id(kId, 0), task::shard_id(kId, 1),
                                          task::shard_id(kId, 2)});
    CHECK_FALSE(pieces.knows(kId));
    CHECK(pieces.erase(kId).empty());
}

TEST_CASE("pieces: a task that was single goes on from what is known of it") {
    Pieces pieces{kSelf};
    const auto single = std::make_shared<const task::Task>(version_of(3, Mode::single));
    CHECK(text_of(pieces.put(version_of(4, Mode::shards, 2), &single)) == "whole@4- 0@3- 0@4 1@3- 1@4");
}

TEST_CASE("pieces: a broadcast that does not name the node is no business of it") {
    Pieces pieces{kSelf};
    task::Task elsewhere = version_of(1, Mode::broadcast);
    elsewhere.targets = {"n2"};
    CHECK(pieces.put(elsewhere, nullptr).empty());
    CHECK(pieces.knows(kId));
    CHECK(text_of(pieces.put(version_of(2, Mode::broadcast), nullptr)) == "own@1- own@2");
    elsewhere.version = 3;
    CHECK(text_of(pieces.put(elsewhere, nullptr)) == "own@3-");
}

// However the modes follow each other: each piece has each version once from the first that it is told of on, in order, without a gap; and
// has fires in it exactly if the version has the piece.
TEST_CASE("pieces: of random histories each piece has its versions in order") {
    const auto seed = Catch::rngSeed();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 200; ++round) {
        Pieces pieces{kSelf};
        std::map<std::string, std::int64_t> latest;  // by piece
        for (std::int64_t version = 1; version < 12; ++version) {
            const auto mode = static_cast<Mode>(random() % 3);
            const task::Task definition = version_of(version, mode, static_cast<std::uint16_t>(1 + random() % 6));
            for (const auto& piece : pieces.put(definition, nullptr)) {
                const auto known = latest.find(piece.id);
                if (known == latest.end()) {
                    REQUIRE((piece.version == version || piece.version + 1 == version));
                } else {
                    REQUIRE(piece.version == known->second + 1);
                }
                latest[piece.id] = piece.version;
                if (piece.version != version) continue;
                const bool has = !piece.piece          ? mode == Mode::single
                                 : !piece.piece->shard ? mode == Mode::broadcast
                                                       : task::has_shard(definition, *piece.piece->shard);
                REQUIRE(piece.schedules.empty() != has);
            }
            for (const auto& [id, last] : latest) REQUIRE(last == version);
        }
        REQUIRE(pieces.erase(kId).size() == latest.size());
    }
}
