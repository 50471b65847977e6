// Joining: see join.h.
#include "center/join.h"

#include "center/auth.h"
#include "center/cordon.h"
#include "center/join_token_store.h"
#include "center/node_store.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

std::string document_of(const JoinRequest& request) {
    json::Writer out;
    out.begin_object();
    out.member("labels", request.labels).member("weight", request.weight).member("version", request.version);
    out.end_object();
    return out.text();
}

// Whether the name is free for this node. A row that nobody ever came back to is what a lost answer left: it gives way.
Result<> claim_name(soci::session& sql, const ClusterView& cluster, const JoinRequest& request, const std::string& node_id) {
    const auto holder = find_node_by_name(sql, request.runtime, request.name);
    if (!holder || holder->id == node_id) return {};
    if (cluster.online(holder->runtime, holder->id)) {
        return fail(Errc::already_exists, "the name {} belongs to another node of runtime {} that is online", request.name,
                    request.runtime);
    }
    if (holder->last_seen_at > holder->registered_at) {
        return fail(Errc::already_exists,
                    "the name {} belongs to node {} of runtime {}, which is offline: join with its node_id, or delete it", request.name,
                    holder->id, request.runtime);
    }
    forget_cordon(sql, holder->id);
    erase_node(sql, holder->id);
    return {};
}

}  // namespace

std::optional<JoinRequest> read_join_request(const json::Value& value, Faults& faults) {
    JoinRequest request;
    json::ObjectReader reader(value, "", faults);
    for (const auto* name : {"token", "runtime", "name"}) reader.require(name);
    reader.read("token", request.token, {.min = 1, .max = 200});
    reader.read("runtime", request.runtime, {.min = 1, .max = 63});
    reader.read("node_id", request.node_id, {.min = 0, .max = 36});
    reader.read("name", request.name, {.min = 1, .max = 63});
    reader.read("labels", request.labels, {.min = 0, .max = 64, .item = {.min = 0, .max = 256}});
    reader.read("weight", request.weight, {.min = 1, .max = 100});
    reader.read("version", request.version, {.min = 0, .max = 64});
    reader.finish();
    if (!request.name.empty() && !task::is_slug(request.name)) {
        faults.add("/name", "is not a name of a node", "1 to 63 characters of a-z, 0-9 and '-', beginning with a letter or digit");
    }
    if (!request.node_id.empty() && !is_uuid(request.node_id)) faults.add("/node_id", "is not the id of a node", "a UUID");
    return faults.empty() ? std::optional<JoinRequest>(std::move(request)) : std::nullopt;
}

Result<Joined> join_node(const Context& context, const JoinRequest& request) {
    Joined joined;
    const auto cluster = context.cluster.get();
    const Instant now = context.clock.now();
    const auto written = context.store.write([&](soci::session& sql) -> Result<> {
        const auto token = find_valid_join_token(sql, hash_token(request.token), now);
        if (!token) return fail(Errc::unauthenticated, "the join token is unknown or has expired");
        if (token->runtime != request.runtime) {
            return fail(Errc::permission_denied, "the join token is not for runtime {}", request.runtime);
        }
        joined.node_id = request.node_id.empty() ? make_uuid(now, context.random) : request.node_id;
        joined.node_token = make_token(context.random);
        const auto known = find_node(sql, joined.node_id);
        if (known && known->runtime != request.runtime) {
            return fail(Errc::invalid_argument, "node {} is one of runtime {}", known->id, known->runtime);
        }
        // The join token admits a machine to the runtime; it is no right to the place of another one that is at work.
        if (known && cluster->online(request.runtime, known->id)) {
            return fail(Errc::conflict, "node {} is online: stop it before another takes its place", known->name);
        }
        if (const auto free = claim_name(sql, *cluster, request, joined.node_id); !free) return free;
        NodeRow node{.id = joined.node_id,
                     .runtime = request.runtime,
                     .name = request.name,
                     .token_hash = hash_token(joined.node_token),
                     .document = document_of(request),
                     .registered_at = known ? known->registered_at : now,
                     .last_seen_at = now};
        if (known) {
            update_node(sql, node);
            // Its new data folder does not know.
            if (known->cordoned) ask_node_to_cordon(sql, known->id, true, make_uuid(now, context.random), now);
        } else {
            insert_node(sql, node);
        }
        return {};
    });
    if (!written) return propagate(written);
    log::info("node {} ({}) has joined runtime {}", request.name, joined.node_id, request.runtime);
    return joined;
}

}  // namespace cloudtask::center
