// GET /api/v1/tasks/{id}/guarantee: what happens to a task's fires and runs when something goes wrong, in sentences. Thin: what is said is
// ring/guarantee.h's.
#include "center/store.h"
#include "center/tasks.h"
#include "cloudtask/core/units.h"
#include "cloudtask/ring/guarantee.h"

namespace cloudtask::center {

namespace {

// The trial of a new version is the center's own doing.
std::optional<std::string> canary_sentence(const StoredTask& stored) {
    if (!stored.canary || stored.canary->state != Canary::State::running) return std::nullopt;
    const Canary& canary = *stored.canary;
    return fmt::format(
        "Version {} is on trial: {} of {} fires have succeeded. If one ends FAILED or TIMED_OUT, version {} is put back as soon as "
        "the center hears of it.",
        canary.version, canary.succeeded, canary.fires, canary.previous);
}

std::string guarantee_json(const StoredTask& stored, const ring::Guarantee& guarantee) {
    json::Writer out;
    out.begin_object();
    const auto name_or_null = [&out](std::string_view member, const std::string& name) {
        out.key(member);
        name.empty() ? out.null() : out.value(name);
    };
    name_or_null("owner", guarantee.owner);
    name_or_null("successor", guarantee.successor);
    out.member("fires", guarantee.fires).member("taken_over_within", format_duration(guarantee.taken_over_within));
    out.member("uncertain", format_duration(guarantee.uncertain)).member("begun_again", guarantee.begun_again);
    out.key("sentences").begin_array();
    for (const auto& sentence : guarantee.sentences) {
        out.begin_object().member("topic", sentence.topic).member("text", sentence.text).end_object();
    }
    if (const auto text = canary_sentence(stored)) out.begin_object().member("topic", "canary").member("text", *text).end_object();
    return out.end_array().end_object().text();
}

Result<http::Response> guarantee_route(Call& call) {
    std::string body;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        const auto stored = need_task(sql, call.param("id"));
        if (!stored) return propagate(stored);
        ring::GuaranteeFacts facts;
        facts.session_timeout = call.context.options.zookeeper_session_timeout;
        const auto view = call.context.cluster.get();
        const auto runtime = view->runtimes.find(stored->task.runtime);
        if (runtime != view->runtimes.end() && runtime->second.ring) facts.members = runtime->second.ring->members();
        body = guarantee_json(*stored, ring::describe_guarantee(stored->task, facts));
        return {};
    });
    if (!read) return propagate(read);
    return http::Response::json(200, std::move(body));
}

}  // namespace

void add_guarantee_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/tasks/{id}/guarantee", Access::user_read, guarantee_route);
}

}  // namespace cloudtask::center
