// Auth: who somebody is. Passwords become bearer tokens (login), bearer tokens become a Principal (authenticate).
//
// A token is 32 random bytes in base64url; the database holds only its SHA-256, which suffices for what cannot be guessed. Unknown names
// cost as much time as wrong passwords, and failures are throttled by name and address.
// Threads: any but the loop; login() takes a tenth of a second and 64 MiB, and belongs on Context::slow_worker.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "center/login_throttle.h"
#include "center/passwords.h"
#include "center/principal.h"
#include "cloudtask/core/clock.h"
#include "cloudtask/core/random.h"
#include "cloudtask/core/result.h"

namespace cloudtask::center {

class Store;
struct WriteScope;

// A new secret for a user's session, a node or a join token.
std::string make_token(Random& random);
// What the database keeps of it.
std::string hash_token(std::string_view token);
// The token of an Authorization header; empty if it is none of the Bearer scheme (RFC 6750, section 2.1).
std::string_view bearer_token(std::string_view authorization);

struct Login {
    std::string token;
    Instant expires_at;
    std::string user_id;
};

struct AuthOptions {
    Duration lifetime = std::chrono::hours{12};
    PasswordCost cost;
};

class Auth {
  public:
    Auth(Store& store, const Clock& clock, Random& random, AuthOptions options);

    // Errors: unauthenticated (wrong name or password, without saying which), CenterErrc::too_many_attempts (failures of this name from
    // this address lately; `wait`, if given, then says for how long), unavailable.
    Result<Login> login(const std::string& name, const std::string& password, const std::string& remote_address,
                        std::chrono::seconds* wait = nullptr);

    // Ends the session of one token.
    Result<> logout(const Principal& principal);

    // The user of a bearer token. Errors: unauthenticated (unknown or expired), unavailable.
    Result<Principal> user(std::string_view token);
    // The node of one.
    Result<Principal> node(std::string_view token);

    // Hashes a new password with the cost that this center uses.
    Result<std::string> hash_password(const std::string& password) const;

    // Makes the user `admin` with a random password if there is no user at all. Returns the password, or nothing when there were users.
    Result<std::optional<std::string>> make_first_admin(const std::string& password_file);

    // Erases sessions that have expired and idempotency keys older than a day, a few at a time.
    Result<> sweep();

  private:
    Store& store_;
    const Clock& clock_;
    Random& random_;
    AuthOptions options_;
    LoginThrottle throttle_;
    std::string dummy_hash_;  // compared with when the name is unknown
};

}  // namespace cloudtask::center
