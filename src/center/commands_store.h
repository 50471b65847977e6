// The rows of commands: what the center asks of a node, kept until the node reports that it is done or refused. SQL only.
//
// Any thread that holds a transaction of Store. Functions throw SOCI's errors, which Store maps.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"

namespace soci {
class session;
}

namespace cloudtask::center {

struct Command {
    std::string id, node_id, kind;     // kind: "start", "stop", "cordon" or "uncordon"
    std::string run_id;                // of a start or stop
    std::string document;              // as the node gets it (JSON)
    std::string state;                 // "open", "done", "refused", "withdrawn"
    std::optional<Instant> delivered;  // when it was last handed to the node
};

void insert_command(soci::session& sql, const Command& command, Instant now);
std::optional<Command> find_command(soci::session& sql, std::string_view id);
// The open command of this kind for the run.
std::optional<Command> open_command(soci::session& sql, std::string_view run_id, std::string_view kind);
// At most `limit`, oldest first.
std::vector<Command> open_commands(soci::session& sql, std::string_view node_id, std::size_t limit);
// Remembers that they were handed to their node at `now`.
void mark_delivered(soci::session& sql, const std::vector<std::string>& ids, Instant now);
// Ends an open command. Returns false if it is not open.
bool close_command(soci::session& sql, std::string_view id, std::string_view state, std::string_view detail);
// Ends all open commands of a run that is over.
void withdraw_commands(soci::session& sql, std::string_view run_id);
// Ends the node's open commands of this kind.
void withdraw_node_commands(soci::session& sql, std::string_view node_id, std::string_view kind);
// Whether the node has an open command of this kind.
bool has_open_command(soci::session& sql, std::string_view node_id, std::string_view kind);
long long count_open_commands(soci::session& sql);

}  // namespace cloudtask::center
