// An explanation as the API gives it: see why.h.
#include "center/runs.h"
#include "center/why.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

namespace {

void write_pieces(json::Writer& out, const std::vector<Why>& pieces) {
    out.key("pieces").begin_array();
    for (const auto& piece : pieces) {
        out.begin_object();
        if (piece.shard) out.member("shard", *piece.shard);
        if (!piece.node.empty()) out.member("node", piece.node);
        if (piece.verdict) out.member("verdict", to_string(*piece.verdict));
        out.member("cause", piece.cause).member("sentence", piece.sentence).end_object();
    }
    out.end_array();
}

}  // namespace

std::string why_json(const Why& why) {
    json::Writer out;
    out.begin_object().member("task_id", why.task_id).member("runtime", why.runtime).member("group", why.group);
    out.member("task_name", why.name).member("at", why.at).member("cause", why.cause).member("sentence", why.sentence);
    out.member("due", why.due);
    if (why.verdict) out.member("verdict", to_string(*why.verdict));
    if (why.version) {
        out.key("version").begin_object().member("version", why.version->version).member("enabled", why.version->enabled);
        out.member("changed_at", why.version->changed_at).member("changed_by", why.version->changed_by);
        out.member("effective_from", why.version->effective_from).end_object();
    }
    out.member("before", why.before).member("after", why.after).member("since", why.since);
    if (!why.by.empty()) out.member("by", why.by);
    if (why.excluded) {
        out.key("calendar")
            .begin_object()
            .member("name", why.excluded->exclusion->calendar)
            .member("entry", why.excluded->exclusion->entry);
        out.member("effect", why.excluded->dropped ? "dropped" : "deferred").member("due", why.excluded->due);
        out.member("at", why.excluded->at).end_object();
    }
    out.key("runs").begin_array();
    for (const auto& stored : why.runs) out.raw(run_json(stored));
    out.end_array();
    if (why.other_run) out.key("other_run").raw(run_json(*why.other_run));
    if (why.shard) out.member("shard", *why.shard);
    if (!why.node.empty()) out.member("node", why.node);
    if (!why.pieces.empty()) write_pieces(out, why.pieces);
    out.end_object();
    return out.text();
}

}  // namespace cloudtask::center
