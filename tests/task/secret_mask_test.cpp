// SecretMask against an oracle that sees the whole stream at once.
#include "cloudtask/task/secret_mask.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "tests/support/sanitized.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

std::string starred(const std::string& text, const std::vector<std::string>& secrets) {
    std::string out = text;
    for (const std::string& secret : secrets) {
        if (secret.empty()) continue;
        for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 1))
            out.replace(at, secret.size(), secret.size(), '*');
    }
    return out;
}

}  // namespace

TEST_CASE("secret mask: exact matches are starred, and what cannot be a secret does not wait") {
    SecretMask mask({"hunter2hunter2", "", "p4ssword"});
    CHECK(mask.take("the word is p4ss") == "the word is ");
    CHECK(mask.held() == 4);
    CHECK(mask.take("word, not p4ssworx\n") == "********, not p4ssworx\n");
    CHECK(mask.held() == 0);
    CHECK(mask.take("hunter2hunter2hunter2") == std::string(14, '*'));
    CHECK(mask.held() == 7);
    CHECK(mask.finish() == "*******");
    CHECK(mask.take("p4ss") == "");
    CHECK(mask.finish() == "p4ss");
    CHECK(mask.take("word") == "word");
}

TEST_CASE("secret mask: any stream in any pieces is as if it were seen at once") {
    std::mt19937 random{3};
    const auto some = [&](unsigned most) {
        std::string text;
        for (unsigned left = random() % (most + 1); left > 0; --left) text += "ab\n"[random() % 8 == 0 ? 2 : random() % 2];
        return text;
    };
    int covered = 0;
    for (int round = 0; round < (kSanitized ? 1'000 : 10'000); ++round) {
        std::vector<std::string> secrets;
        for (unsigned left = random() % 4; left > 0; --left) secrets.push_back(some(7));
        const std::string text = some(60);
        CAPTURE(text, secrets);
        SecretMask mask(secrets);
        std::string out;
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t length = random() % 9;
            out += mask.take(std::string_view{text}.substr(at, length));
            at += std::min(length, text.size() - at);
            // What waits and what is out are the whole stream.
            CHECK(out.size() + mask.held() == at);
        }
        out += mask.finish();
        CHECK(out == starred(text, secrets));
        if (out != text) ++covered;
    }
    CHECK(covered > 300);
}

TEST_CASE("secret mask: a stream can be gone on with at any byte") {
    const std::vector<std::string> secrets{"abab", "bb", "abaabaab"};
    const std::string text = "abaabaabaabbababab abbb abaabaab";
    for (std::size_t released = 0; released <= text.size(); ++released) {
        SecretMask mask(secrets);
        const std::size_t from = released - std::min(released, mask.lookback());
        std::string out = mask.take(std::string_view{text}.substr(from));
        out += mask.finish();
        CHECK(out.substr(released - from) == starred(text, secrets).substr(released));
    }
    CHECK(SecretMask{{}}.lookback() == 0);
}
