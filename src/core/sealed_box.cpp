// Sealed boxes by libsodium.
#include "cloudtask/core/sealed_box.h"

#include <sodium.h>

#include "cloudtask/core/check.h"

namespace cloudtask {

namespace {

const unsigned char* as_bytes(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* as_bytes(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// Before anything else of it is called; again costs nothing.
void begin_sodium() { CLOUDTASK_CHECK(sodium_init() >= 0, "libsodium cannot be initialised"); }

}  // namespace

KeyPair make_key_pair() {
    begin_sodium();
    KeyPair keys{std::string(crypto_box_PUBLICKEYBYTES, '\0'), std::string(crypto_box_SECRETKEYBYTES, '\0')};
    crypto_box_keypair(as_bytes(keys.public_key), as_bytes(keys.private_key));
    return keys;
}

Result<KeyPair> key_pair_of(std::string_view private_key) {
    begin_sodium();
    KeyPair keys{std::string(crypto_box_PUBLICKEYBYTES, '\0'), std::string(private_key)};
    if (private_key.size() != crypto_box_SECRETKEYBYTES || crypto_scalarmult_base(as_bytes(keys.public_key), as_bytes(private_key)) != 0) {
        return fail(Errc::invalid_argument, "this is not a private key of 32 bytes");
    }
    return keys;
}

Result<std::string> seal(std::string_view public_key, std::string_view bytes) {
    begin_sodium();
    std::string sealed(crypto_box_SEALBYTES + bytes.size(), '\0');
    if (public_key.size() != crypto_box_PUBLICKEYBYTES ||
        crypto_box_seal(as_bytes(sealed), as_bytes(bytes), bytes.size(), as_bytes(public_key)) != 0) {
        return fail(Errc::invalid_argument, "this is not a public key of 32 bytes");
    }
    return sealed;
}

Result<std::string> open_sealed(const KeyPair& keys, std::string_view sealed) {
    begin_sodium();
    if (sealed.size() < crypto_box_SEALBYTES) return fail(Errc::corrupt, "this is not a sealed box");
    std::string bytes(sealed.size() - crypto_box_SEALBYTES, '\0');
    if (crypto_box_seal_open(as_bytes(bytes), as_bytes(sealed), sealed.size(), as_bytes(keys.public_key), as_bytes(keys.private_key)) !=
        0) {
        return fail(Errc::corrupt, "it was sealed for another key, or is damaged");
    }
    return bytes;
}

}  // namespace cloudtask
