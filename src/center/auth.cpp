// Logins, tokens, and the first administrator.
#include "center/auth.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>

#include "center/errors.h"
#include "center/idempotency_store.h"
#include "center/node_store.h"
#include "center/store.h"
#include "center/user_store.h"
#include "cloudtask/core/check.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/units.h"

namespace cloudtask::center {

namespace {

constexpr std::size_t kTokenBytes = 32;
constexpr int kSweepBatch = 200;

Principal principal_of(const User& user, std::string token_hash) {
    Principal principal;
    principal.kind = Principal::Kind::user;
    principal.id = user.id;
    principal.name = user.name;
    principal.role = user.role == "admin" ? Principal::Role::admin : Principal::Role::viewer;
    principal.token_hash = std::move(token_hash);
    return principal;
}

// Durable and readable by the owner only, before the password can be used.
Result<> write_secret_file(const std::string& path, const std::string& text) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return tl::unexpected<Error>(system_error(errno, "cannot write " + path));
    bool good = ::fchmod(fd, 0600) == 0;
    good = good && ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
    const int error_number = errno;
    ::close(fd);
    if (!good) return tl::unexpected<Error>(system_error(error_number, "cannot write " + path));
    return {};
}

}  // namespace

std::string make_token(Random& random) {
    std::array<std::byte, kTokenBytes> bytes{};
    random.fill(bytes);
    return to_base64url({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string hash_token(std::string_view token) { return sha256_hex(token); }

std::string_view bearer_token(std::string_view authorization) {
    constexpr std::string_view kScheme = "bearer ";
    if (authorization.size() <= kScheme.size()) return {};
    for (std::size_t i = 0; i < kScheme.size(); ++i) {
        const char c = authorization[i];
        if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != kScheme[i]) return {};
    }
    return authorization.substr(kScheme.size());
}

Auth::Auth(Store& store, const Clock& clock, Random& random, AuthOptions options)
    : store_(store), clock_(clock), random_(random), options_(options), throttle_(clock) {
    auto dummy = center::hash_password(make_token(random_), options_.cost);
    if (dummy) dummy_hash_ = std::move(*dummy);
}

Result<Login> Auth::login(const std::string& name, const std::string& password, const std::string& remote_address,
                          std::chrono::seconds* wait) {
    const auto left = std::chrono::ceil<std::chrono::seconds>(throttle_.begin(name, remote_address));
    if (left > left.zero()) {
        if (wait != nullptr) *wait = left;
        return fail(CenterErrc::too_many_attempts, "too many failed logins for this name from this address; try again in {}",
                    format_duration(left));
    }
    std::optional<User> user;
    auto found = store_.read([&](soci::session& sql) -> Result<> {
        user = find_user_by_name(sql, name);
        return {};
    });
    if (!found) return propagate(found);
    // The same work whether or not the name exists, so that the time does not tell.
    const bool right = verify_password(user ? user->password_hash : dummy_hash_, password);
    if (!user || !right) return fail(Errc::unauthenticated, "the name or the password is wrong");

    const Instant now = clock_.now();
    Login login{make_token(random_), now + options_.lifetime, user->id};
    auto written = store_.write([&](soci::session& sql) -> Result<> {
        // The password may have been changed while it was compared.
        const auto still = find_user(sql, user->id);
        if (!still || still->password_hash != user->password_hash) return fail(Errc::unauthenticated, "the name or the password is wrong");
        insert_user_token(sql, hash_token(login.token), user->id, now, login.expires_at);
        return {};
    });
    if (!written) return propagate(written);
    throttle_.succeeded(name, remote_address);
    return login;
}

Result<> Auth::logout(const Principal& principal) {
    return store_.write([&](soci::session& sql) -> Result<> {
        erase_user_token(sql, principal.token_hash);
        return {};
    });
}

Result<Principal> Auth::user(std::string_view token) {
    const std::string hash = hash_token(token);
    std::optional<User> user;
    auto found = store_.read([&](soci::session& sql) -> Result<> {
        user = find_user_of_token(sql, hash, clock_.now());
        return {};
    });
    if (!found) return propagate(found);
    if (!user) return fail(Errc::unauthenticated, "the token is not known or has expired; log in again");
    return principal_of(*user, hash);
}

Result<Principal> Auth::node(std::string_view token) {
    const std::string hash = hash_token(token);
    std::optional<NodeRow> node;
    auto found = store_.read([&](soci::session& sql) -> Result<> {
        node = find_node_of_token(sql, hash);
        return {};
    });
    if (!found) return propagate(found);
    if (!node) return fail(Errc::unauthenticated, "this node's token is not known; the node must join again");
    Principal principal;
    principal.kind = Principal::Kind::node;
    principal.id = node->id;
    principal.name = node->name;
    principal.runtime = node->runtime;
    principal.token_hash = hash;
    return principal;
}

Result<std::string> Auth::hash_password(const std::string& password) const { return center::hash_password(password, options_.cost); }

Result<std::optional<std::string>> Auth::make_first_admin(const std::string& password_file) {
    bool users = false;
    auto looked = store_.read([&](soci::session& sql) -> Result<> {
        users = any_user(sql);
        return {};
    });
    if (!looked) return propagate(looked);
    if (users) return std::optional<std::string>{};

    const std::string password = make_token(random_).substr(0, 24);
    auto hash = hash_password(password);
    if (!hash) return propagate(hash);
    // The file first: a crash in between leaves a password that opens nothing, and the next start makes another.
    if (auto saved = write_secret_file(password_file, password + "\n"); !saved) return propagate(saved);
    User admin;
    admin.created_at = admin.updated_at = clock_.now();
    admin.id = make_uuid(admin.created_at, random_);
    admin.name = "admin";
    admin.role = "admin";
    admin.password_hash = *hash;
    auto written = store_.write([&](soci::session& sql) -> Result<> {
        insert_user(sql, admin);
        return {};
    });
    if (!written) return propagate(written);
    return std::optional<std::string>{password};
}

Result<> Auth::sweep() {
    // In small batches, so that the writer is never held for long.
    for (bool more = true; more;) {
        auto swept = store_.write([&](soci::session& sql) -> Result<> {
            const Instant now = clock_.now();
            const int tokens = erase_expired_user_tokens(sql, now, kSweepBatch);
            const int answers = erase_old_answers(sql, now, kSweepBatch);
            more = tokens == kSweepBatch || answers == kSweepBatch;
            return {};
        });
        if (!swept) return swept;
    }
    return {};
}

}  // namespace cloudtask::center
