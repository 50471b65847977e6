// Keys of secrets, by libsodium: see secret_keys.h.
#include "center/secret_keys.h"

#include <sodium.h>

#include <algorithm>
#include <array>
#include <span>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/private_file.h"

namespace cloudtask::center {

namespace {

constexpr std::size_t kKeySize = crypto_aead_xchacha20poly1305_ietf_KEYBYTES;
constexpr std::size_t kNonceSize = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES;
constexpr std::size_t kTagSize = crypto_aead_xchacha20poly1305_ietf_ABYTES;
constexpr std::size_t kKeyIdDigits = 16;

const unsigned char* bytes_of(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytes_of(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

// Names have neither '/' nor '@', so that no two places have one text.
std::string associated_data(const SecretPlace& place) {
    return fmt::format("cloudtask secret {}/{}/{}@{}", place.runtime, place.group, place.name, place.version);
}

std::string random_bytes(Random& random, std::size_t size) {
    std::string bytes(size, '\0');
    random.fill(std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
    return bytes;
}

std::string_view trimmed(std::string_view line) {
    const auto from = line.find_first_not_of(" \t\r");
    return from == std::string_view::npos ? std::string_view{} : line.substr(from, line.find_last_not_of(" \t\r") - from + 1);
}

}  // namespace

Result<SecretKeys> SecretKeys::parse(std::string_view content, const std::string& path) {
    SecretKeys keys;
    for (std::size_t at = 0, number = 1; at < content.size(); ++number) {
        const std::size_t end = std::min(content.find('\n', at), content.size());
        const std::string_view line = trimmed(content.substr(at, end - at));
        at = end + 1;
        if (line.empty() || line.front() == '#') continue;
        auto key = from_base64(line);
        if (!key || key->size() != kKeySize) {
            return fail(Errc::invalid_argument, "{}, line {}: this is not a key, which is {} bytes in base64 (openssl rand -base64 {})",
                        path, number, kKeySize, kKeySize);
        }
        std::string id = sha256_hex(*key).substr(0, kKeyIdDigits);
        if (keys.keys_.emplace(id, std::move(*key)).second) keys.ids_.push_back(std::move(id));
    }
    if (keys.ids_.empty()) return fail(Errc::invalid_argument, "{} has no key: a line of {} bytes in base64", path, kKeySize);
    return keys;
}

std::string SecretKeys::make_line(Random& random) { return to_base64(random_bytes(random, kKeySize)) + "\n"; }

Encrypted SecretKeys::encrypt(std::string_view value, const SecretPlace& place, Random& random) const {
    const std::string nonce = random_bytes(random, kNonceSize), associated = associated_data(place);
    std::string sealed(value.size() + kTagSize, '\0');
    crypto_aead_xchacha20poly1305_ietf_encrypt(bytes_of(sealed), nullptr, bytes_of(value), value.size(), bytes_of(associated),
                                               associated.size(), nullptr, bytes_of(nonce), bytes_of(keys_.at(primary())));
    return {primary(), to_base64(nonce + sealed)};
}

Result<std::string> SecretKeys::decrypt(const Encrypted& encrypted, const SecretPlace& place) const {
    const auto key = keys_.find(encrypted.key_id);
    if (key == keys_.end()) {
        return fail(Errc::not_found, "it is encrypted by the key {}, which is not in the file of keys", encrypted.key_id);
    }
    const auto sealed = from_base64(encrypted.text);
    const std::string associated = associated_data(place);
    std::string value(sealed && sealed->size() >= kNonceSize + kTagSize ? sealed->size() - kNonceSize - kTagSize : 0, '\0');
    if (!sealed || sealed->size() < kNonceSize + kTagSize ||
        crypto_aead_xchacha20poly1305_ietf_decrypt(bytes_of(value), nullptr, nullptr, bytes_of(*sealed) + kNonceSize,
                                                   sealed->size() - kNonceSize, bytes_of(associated), associated.size(), bytes_of(*sealed),
                                                   bytes_of(key->second)) != 0) {
        return fail(Errc::corrupt, "it is not what was written for {}", associated_data(place));
    }
    return value;
}

Result<std::unique_ptr<SecretKeyFile>> SecretKeyFile::open(std::string path, bool may_make, Random& random) {
    std::unique_ptr<SecretKeyFile> file{new SecretKeyFile(std::move(path))};
    auto content = read_private_file(file->path_);
    if (!content) return propagate(content);
    if (!*content) {
        if (!may_make) {
            return fail(
                Errc::not_found,
                "there is no file {}, and there are secrets that are encrypted by keys of it: put it back, or name the right one in "
                "secrets.key-file",
                file->path_);
        }
        const std::string line = SecretKeys::make_line(random);
        if (const auto made = make_private_file(file->path_, line); !made) return propagate(made);
        file->made_ = true;
        *content = line;
    }
    auto keys = SecretKeys::parse(**content, file->path_);
    if (!keys) return propagate(keys);
    file->keys_ = std::make_shared<const SecretKeys>(std::move(*keys));
    return file;
}

std::shared_ptr<const SecretKeys> SecretKeyFile::keys() const {
    const std::lock_guard lock(mutex_);
    return keys_;
}

Result<> SecretKeyFile::reload() {
    const auto content = read_private_file(path_);
    if (!content) return propagate(content);
    if (!*content) return fail(Errc::not_found, "there is no file {} any more", path_);
    auto keys = SecretKeys::parse(**content, path_);
    if (!keys) return propagate(keys);
    const std::lock_guard lock(mutex_);
    keys_ = std::make_shared<const SecretKeys>(std::move(*keys));
    return {};
}

}  // namespace cloudtask::center
