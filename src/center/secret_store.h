// The tables secrets and task_secrets: values as they are encrypted, and which tasks name them. Functions that take a session throw SOCI's
// errors, which Store maps.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "center/listing.h"
#include "center/secret_keys.h"
#include "cloudtask/core/clock.h"
#include "cloudtask/ring/ring.h"
#include "cloudtask/task/types.h"

namespace soci {
class session;
}

namespace cloudtask::center {

struct SecretRow {
    SecretPlace place;
    Encrypted encrypted;  // empty in lists
    Instant created_at{}, updated_at{};
    std::string updated_by;
};

std::optional<SecretRow> find_secret(soci::session& sql, const std::string& runtime, const std::string& group, const std::string& name);
// The version alone, without reading the value.
std::optional<std::int64_t> secret_version(soci::session& sql, const std::string& runtime, const std::string& group,
                                           const std::string& name);
// By its place but for the version, which may be another.
void put_secret_row(soci::session& sql, const SecretRow& row);
void erase_secret(soci::session& sql, const SecretPlace& place);
void erase_secrets_of(soci::session& sql, const std::string& runtime);
void erase_secrets_of_group(soci::session& sql, const std::string& runtime, const std::string& group);
bool group_has_secrets(soci::session& sql, const std::string& runtime, const std::string& group);
std::int64_t count_secrets(soci::session& sql, const std::string& runtime);
bool any_secret(soci::session& sql);

extern const ListSpec kSecretList;
// Those of a runtime; of one group of it ("" for none) if `group` is given. Returns the cursor of the next page, or "".
std::string list_secrets(soci::session& sql, const std::string& runtime, const std::optional<std::string>& group, const ListQuery& query,
                         std::vector<SecretRow>& out);

// The secret that a task of the group means by the name: the group's, else the runtime's.
bool secret_known(soci::session& sql, const std::string& runtime, const std::string& group, const std::string& name);

// Notes which secrets a task names; for each write of a task's row.
void note_secrets(soci::session& sql, const task::Task& task);
void forget_secrets(soci::session& sql, const std::string& task_id);
// "group/name" of up to `limit` tasks that get this one.
std::vector<std::string> tasks_given(soci::session& sql, const SecretPlace& place, int limit);

// Calls `visit` for each (group, secret, placement) of the runtime's tasks, once.
void visit_secret_uses(
    soci::session& sql, const std::string& runtime,
    const std::function<void(const std::string& group, const std::string& name, const ring::Placement& placement)>& visit);

// The catalog's revision of the last change of a secret of the runtime; 0 if there never was one.
std::int64_t secrets_revision(soci::session& sql, const std::string& runtime);
void set_secrets_revision(soci::session& sql, const std::string& runtime, std::int64_t revision);

// Up to `limit` rows that are encrypted by another key than this.
std::vector<SecretRow> secrets_by_other_keys(soci::session& sql, const std::string& key_id, int limit);
// How many are encrypted by each key.
std::map<std::string, std::int64_t> count_by_key(soci::session& sql);

}  // namespace cloudtask::center
