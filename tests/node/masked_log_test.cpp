// Masked output, by the files and shapes of the real output: pieces that are sent as a run goes on, cuts, restarts in between.
#include "node/masked_log.h"

#include <catch2/catch.hpp>

#include <fstream>
#include <random>

#include "cloudtask/task/secret_mask.h"
#include "tests/node/process_support.h"

namespace cloudtask::node::test {
namespace {

void append(const std::string& path, std::string_view text) {
    std::ofstream file(path, std::ios::binary | std::ios::app);
    file << text;
}

RunMask mask_for(const std::vector<std::string>& values) {
    RunMask mask;
    for (const auto& value : values) {
        for (auto& text : masked_texts(value)) mask.texts.push_back(std::move(text));
    }
    return mask;
}

std::string masked_at_once(const RunMask& mask, std::string_view text) {
    task::SecretMask whole(mask.texts);
    std::string masked = whole.take(text);
    return masked + whole.finish();
}

// A run's stream as LiveRuns sends it: what is decided, in pieces; each is read later, when more has been written.
struct SentStream {
    TempFolder folder;
    std::string path = folder / "stdout";
    std::uint64_t limit = 1 << 20, written = 0, sent = 0;
    struct Piece {
        std::uint64_t from, until;
        LogShape shape;
    };
    std::vector<Piece> pieces;

    void write(std::string_view text) {
        append(path, text);
        written += text.size();
    }
    // A mask of its own each time, as after a restart.
    void send(const RunMask& mask, bool final = false) {
        const LogShape shape{limit, written, final};
        const std::uint64_t until = shape.available() - (final ? 0 : undecided(path, shape, mask));
        REQUIRE(until >= sent);
        if (until > sent) pieces.push_back({sent, until, shape});
        sent = until;
    }
    std::string read(const RunMask& mask) const {
        std::string all;
        for (const auto& piece : pieces) {
            const auto bytes = read_masked_log(path, piece.shape, piece.from, piece.until - piece.from, mask);
            REQUIRE(bytes);
            CHECK(bytes->size() == piece.until - piece.from);
            all += *bytes;
        }
        return all;
    }
};

}  // namespace

TEST_CASE("a secret is starred wherever the pieces of the output end") {
    const std::string secret = "correct-horse";
    const RunMask mask = mask_for({secret});
    for (std::size_t first = 0; first <= secret.size(); ++first) {
        SentStream stream;
        stream.write("a: " + secret.substr(0, first));
        stream.send(mask);
        // What is sure not to be part of it does not wait.
        CHECK(stream.sent == 3 + (first == secret.size() ? first : 0));
        stream.write(secret.substr(first) + ", and " + secret);
        stream.send(mask);
        stream.write("\n");
        stream.send(mask, true);
        CHECK(stream.read(mask) == "a: *************, and *************\n");
    }
}

TEST_CASE("what only began like a secret is told as it was") {
    const RunMask mask = mask_for({"correct-horse"});
    SentStream stream;
    stream.write("correct-h");
    stream.send(mask);
    CHECK(stream.sent == 0);
    stream.write("at");
    stream.send(mask);
    CHECK(stream.sent == 11);
    stream.write(" corr");
    stream.send(mask, true);
    CHECK(stream.read(mask) == "correct-hat corr");
}

TEST_CASE("random output in random pieces is what a mask over all of it makes") {
    std::mt19937 random(20261121);
    const auto below = [&](std::size_t bound) { return static_cast<std::size_t>(random() % bound); };
    const auto letters = [&](std::size_t count) {
        std::string text(count, 'a');
        for (char& c : text) c = "ab\n"[below(3)];
        return text;
    };
    for (int round = 0; round < 60; ++round) {
        const RunMask mask = mask_for({letters(8 + below(4)), letters(8) + "\n" + letters(9)});
        SentStream stream;
        std::string all;
        for (int step = 0; step < 12; ++step) {
            std::string text = letters(below(30));
            if (below(2) == 0) text += mask.texts[below(mask.texts.size())];
            text.resize(text.size() - std::min(text.size(), below(4)));
            stream.write(text);
            all += text;
            if (below(2) == 0) stream.send(mask);
        }
        stream.send(mask, true);
        REQUIRE(stream.read(mask) == masked_at_once(mask, all));
    }
}

TEST_CASE("a cut through a secret leaves none of it") {
    const std::string secret = "0123456789abcdef";
    const RunMask mask = mask_for({secret});
    for (std::size_t shift = 0; shift < secret.size(); ++shift) {
        SentStream stream;
        stream.limit = 100;
        // Secrets over and over, so that both edges of the cut are in one of them.
        std::string all(shift, '.');
        while (all.size() < 1000) all += secret + "\n";
        stream.write(std::string_view(all).substr(0, 70));
        stream.send(mask);
        CHECK(stream.sent <= 50);
        stream.write(std::string_view(all).substr(70));
        stream.send(mask, true);
        const std::string told = stream.read(mask);
        INFO(told);
        CHECK(told.size() == stream.sent);
        CHECK(told.find("[cloudtask: ") != std::string::npos);
        std::string rest = told;
        const auto marker = rest.find("\n[cloudtask: ");
        rest.erase(marker, rest.find("]\n") + 2 - marker);
        CHECK(rest.find_first_not_of(".*\n") == std::string::npos);
    }
}

TEST_CASE("lines of a value are starred by themselves, but no short ones") {
    CHECK(masked_texts("one-line-value") == std::vector<std::string>{"one-line-value"});
    CHECK(masked_texts("with-an-end\n") == std::vector<std::string>{"with-an-end\n", "with-an-end"});
    const std::string key = "-----BEGIN-----\r\nMIIEowIBAAKC\r\nshort\r\n";
    CHECK(masked_texts(key) ==
          std::vector<std::string>{key, "-----BEGIN-----\r\nMIIEowIBAAKC\r\nshort", "-----BEGIN-----", "MIIEowIBAAKC"});
}

TEST_CASE("of a run whose secret is not known any more nothing is told") {
    RunMask mask;
    mask.everything = true;
    SentStream stream;
    stream.write("line one\nline two\n");
    stream.send(mask);
    stream.send(mask, true);
    CHECK(stream.read(mask) == "********\n********\n");
}

}  // namespace cloudtask::node::test
