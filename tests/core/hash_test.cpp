// Hashes by their published vectors; encodings by RFC 4648's, and by what must be refused.
#include "cloudtask/core/hash.h"

#include <catch2/catch.hpp>

#include "cloudtask/core/random.h"

using namespace cloudtask;

TEST_CASE("xxHash64 gives the published values") {
    CHECK(xxhash64("") == 0xef46db3751d8e999);
    CHECK(xxhash64("a") == 0xd24ec4f1a98c6e5b);
    CHECK(xxhash64("abc") == 0x44bc2cf5ad770999);
    CHECK(xxhash64("", 1) == 0xd5afba1336a3be4b);
    CHECK(xxhash64("abc", 1) != xxhash64("abc"));
}

TEST_CASE("SHA-256 gives the values of FIPS 180-4") {
    CHECK(sha256_hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256_hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(sha256_hex(std::string(1'000'000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("SHA-256 of a stream does not depend on its pieces, also when the hash is moved") {
    const std::string text(10'000, 'x');
    for (const std::size_t piece : {1u, 63u, 64u, 65u, 4096u}) {
        Sha256 hash;
        for (std::size_t i = 0; i < text.size(); i += piece) {
            hash.update(std::string_view{text}.substr(i, piece));
            Sha256 moved = std::move(hash);
            hash = std::move(moved);
        }
        CHECK(hash.finish_hex() == sha256_hex(text));
    }
}

TEST_CASE("a SHA-256 in text is told from what is none") {
    CHECK(is_sha256_hex(sha256_hex("")));
    CHECK_FALSE(is_sha256_hex(""));
    CHECK_FALSE(is_sha256_hex(std::string(63, 'a')));
    CHECK_FALSE(is_sha256_hex(std::string(65, 'a')));
    CHECK_FALSE(is_sha256_hex(std::string(64, 'A')));
    CHECK_FALSE(is_sha256_hex(std::string(63, 'a') + "/"));
}

TEST_CASE("hex and base64 give the values of RFC 4648") {
    CHECK(to_hex("") == "");
    CHECK(to_hex(std::string("\0\x7f\xff", 3)) == "007fff");
    const std::vector<std::pair<std::string, std::string>> table{
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (const auto& [bytes, text] : table) {
        CHECK(to_base64(bytes) == text);
        CHECK(from_base64(text).value() == bytes);
        CHECK(to_base64url(bytes) == text.substr(0, text.find('=')));
    }
    CHECK(to_base64("\xfb\xff\xfe") == "+//+");
    CHECK(to_base64url("\xfb\xff\xfe") == "-__-");
}

TEST_CASE("encoded bytes are read back") {
    SeededRandom random(1);
    for (std::size_t size = 0; size < 300; ++size) {
        std::string bytes(size, '\0');
        random.fill(std::as_writable_bytes(std::span{bytes}));
        REQUIRE(from_base64(to_base64(bytes)).value() == bytes);
        REQUIRE(from_base64url(to_base64url(bytes)).value() == bytes);
    }
}

TEST_CASE("what is not base64 is refused") {
    for (const std::string text :
         {"Z", "Zg", "Zg=", "Zg===", "Z===", "====", "Zh==", "Zm9v!", "Zm 9v", "Zm9v\n", "Zm9v=", "-__-", "Zg==Zg=="}) {
        INFO(text);
        CHECK_FALSE(from_base64(text).has_value());
    }
    for (const std::string text : {"Z", "Zg==", "Zh", "+//+", "Zm9v ", "Zm9v="}) {
        INFO(text);
        CHECK_FALSE(from_base64url(text).has_value());
    }
    CHECK_FALSE(from_base64(std::string("Zm9v\0", 5)).has_value());
}
