// SecretKeys: the keys by which the center's store keeps secrets, and the file that they are in; encryption by them.
//
// The file is outside the data folder, so that no backup of that folder has both: a line for each key, 32 bytes in base64; empty lines and
// those that begin with '#' count for nothing. The first key encrypts, all decrypt. XChaCha20-Poly1305 with the secret's place as
// additional data: a row that somebody puts in another's place does not open.
//
// SecretKeys is a value; SecretKeyFile is for any thread.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/random.h"
#include "cloudtask/core/result.h"

namespace cloudtask::center {

// Where a value belongs. A version is the catalog's revision that brought it: none is given twice.
struct SecretPlace {
    std::string runtime, group, name;  // group: empty for a secret of the runtime
    std::int64_t version = 0;
};

struct Encrypted {
    std::string key_id;  // 16 hexadecimal digits of the key's SHA-256
    std::string text;    // nonce and ciphertext, base64
};

class SecretKeys {
  public:
    // Error: invalid_argument, which line is no key; or there is none.
    static Result<SecretKeys> parse(std::string_view content, const std::string& path);
    // A line for the file.
    static std::string make_line(Random& random);

    Encrypted encrypt(std::string_view value, const SecretPlace& place, Random& random) const;
    // Errors: not_found, its key is not in the file; corrupt, it is not what was written at this place.
    Result<std::string> decrypt(const Encrypted& encrypted, const SecretPlace& place) const;

    // The key that encrypts.
    const std::string& primary() const { return ids_.front(); }
    // All, in the order of the file.
    const std::vector<std::string>& ids() const { return ids_; }

  private:
    std::vector<std::string> ids_;
    std::map<std::string, std::string> keys_;  // by id
};

class SecretKeyFile {
  public:
    // Reads the file; makes it, with one key, if there is none and `may_make`. Errors: it is missing, may be read by others than this user,
    // or has a line that is no key.
    static Result<std::unique_ptr<SecretKeyFile>> open(std::string path, bool may_make, Random& random);

    std::shared_ptr<const SecretKeys> keys() const;
    // Reads it anew. On an error the keys stay as they are.
    Result<> reload();
    const std::string& path() const { return path_; }
    bool made() const { return made_; }

  private:
    explicit SecretKeyFile(std::string path) : path_(std::move(path)) {}

    const std::string path_;
    bool made_ = false;
    mutable std::mutex mutex_;
    std::shared_ptr<const SecretKeys> keys_;
};

}  // namespace cloudtask::center
