// The rules of secrets: who may be told what of them. A value comes in, and leaves only sealed for one node: no answer, log or audit row
// has it. Worker threads; those that take a scope or session within a transaction; rows are in secret_store.h, keys in secret_keys.h.
#pragma once

#include <string>
#include <vector>

#include "center/api_routes.h"
#include "center/secret_store.h"

namespace cloudtask::center {

inline constexpr std::int64_t kMostSecrets = 1000;          // of a runtime
inline constexpr std::size_t kSecretsPageBytes = 8U << 20;  // of values in one answer to a node
inline constexpr int kRotatedAtOnce = 50;                   // in one transaction

// {"runtime", "group", "name", "version", "created_at", "updated_at", "updated_by"}
std::string secret_json(const SecretRow& row);

// A fault for each secret that the task names and that neither its group nor its runtime has.
void check_secrets(soci::session& sql, const task::Task& task, Faults& faults);

struct PutSecret {
    SecretRow row;
    bool is_new = false;
};
// A new secret, or a new value of one. Errors: not_found (runtime, group), conflict (too many).
Result<PutSecret> put_secret(const Context& context, WriteScope& scope, SecretPlace place, std::string_view value);
// Refused while tasks get it; the sentence names some of them.
Result<> delete_secret(WriteScope& scope, const SecretPlace& place);

// What a node asks for.
struct NodeSecretsRequest {
    std::string public_key;  // what the values are sealed for
    std::map<std::string, std::string> labels;
    std::vector<std::int64_t> have;  // versions
};
std::optional<NodeSecretsRequest> read_node_secrets_request(const json::Value& document, Faults& faults);

// All secrets that tasks name which the node may run: `sealed` where it has not that version yet, and as far as there is room in one
// answer; what is still to be asked for is said by `more`.
struct NodeSecrets {
    struct Item {
        SecretPlace place;
        std::string sealed;
    };
    std::int64_t revision = 0;
    std::vector<Item> items;
    bool more = false;
};
Result<NodeSecrets> secrets_for_node(soci::session& sql, const SecretKeys& keys, const Principal& node, const NodeSecretsRequest& request);

// What is sealed for a node: the value, with where it belongs in front, so that a row of the node's in another's place is not taken for it.
std::string sealed_text(const SecretPlace& place, std::string_view value);

// Reads the file of keys anew and encrypts by its first key all that is encrypted by others: in transactions of kRotatedAtOnce rows.
// Returns how many. Errors: the file; a value that none of its keys opens, which then stays as it is.
Result<std::int64_t> rotate_secrets(const Context& context);

}  // namespace cloudtask::center
