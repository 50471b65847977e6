// Argon2id hashes.
#include "center/passwords.h"

#include <catch2/catch.hpp>

using namespace cloudtask::center;

TEST_CASE("a password verifies against its own hash only, and two hashes of it differ") {
    const auto first = hash_password("correct horse", cheapest_password_cost());
    const auto second = hash_password("correct horse", cheapest_password_cost());
    REQUIRE(first);
    REQUIRE(second);
    CHECK(*first != *second);
    CHECK(first->rfind("$argon2id$", 0) == 0);
    CHECK(verify_password(*first, "correct horse"));
    CHECK_FALSE(verify_password(*first, "correct horsf"));
    CHECK_FALSE(verify_password(*first, ""));
    CHECK_FALSE(verify_password("", "correct horse"));
    CHECK_FALSE(verify_password("$argon2id$broken", "correct horse"));
    CHECK_FALSE(verify_password(std::string(4096, 'x'), "correct horse"));
}

TEST_CASE("the default cost is at least libsodium's interactive one") {
    CHECK(PasswordCost{}.operations >= 2);
    CHECK(PasswordCost{}.memory_bytes >= 64ULL << 20);
}

TEST_CASE("which passwords are accepted") {
    CHECK(password_problem("12345678").empty());
    CHECK(password_problem(std::string(256, 'x')).empty());
    CHECK_FALSE(password_problem("1234567").empty());
    CHECK_FALSE(password_problem(std::string(257, 'x')).empty());
    CHECK_FALSE(password_problem("with a\nnewline").empty());
}
