// Routes of the versions of a task: who changed it when, what differs, and back to an earlier one. Thin: the rules are in tasks.h, what is
// a difference in task/definition.h.
#include <charconv>

#include "center/store.h"
#include "center/task_view.h"
#include "center/tasks.h"
#include "center/version_store.h"
#include "cloudtask/task/definition.h"

namespace cloudtask::center {

namespace {

using http::Response;

Result<std::int64_t> version_of(const Call& call, const std::string& name) {
    const std::string& text = call.param(name);
    std::int64_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc{} || end != text.data() + text.size() || version < 1) {
        return fail(Errc::invalid_argument, "'{}' is not a version: versions are numbered from 1", text.substr(0, 32));
    }
    return version;
}

Result<VersionRow> need_version(soci::session& sql, const std::string& id, std::int64_t version) {
    auto row = find_version(sql, id, version);
    if (!row) return fail(Errc::not_found, "task {} has no version {}", id, version);
    return std::move(*row);
}

Result<json::Document> parsed(const VersionRow& row) {
    auto document = json::parse(row.document);
    if (!document) return fail(Errc::corrupt, "version {} of the task cannot be read: {}", row.version, document.error().message);
    return document;
}

// What a version changed, in a line. A version that cannot be read does not hide the others.
std::string change_of(const VersionRow& row, const std::optional<VersionRow>& before) {
    if (row.version == 1) return "created";
    if (!before) return "the version before it is not kept";
    const auto then = json::parse(before->document), now = json::parse(row.document);
    if (!then || !now) return "one of the two versions cannot be read";
    return task::summarise(task::compare_definitions(*then, *now));
}

void write_stamp(json::Writer& out, const VersionRow& row) {
    out.member("version", row.version).member("at", row.at).member("by", row.by);
    if (!row.note.empty()) out.member("note", row.note);
}

Result<Response> list_versions_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kVersionList, faults);
    if (!query) return faulty_query(faults);
    std::vector<std::string> items;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        const std::string& id = call.param("id");
        std::vector<VersionRow> rows;
        next = list_versions(sql, id, *query, rows);
        if (rows.empty() && !query->after) return fail(Errc::not_found, "there is no task {}, and never was", id);
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const std::size_t neighbour = query->descending ? i + 1 : i - 1;
            const bool on_page = neighbour < rows.size() && rows[neighbour].version == rows[i].version - 1;
            const auto before = on_page ? std::optional(rows[neighbour]) : find_version(sql, id, rows[i].version - 1);
            json::Writer out;
            out.begin_object();
            write_stamp(out, rows[i]);
            items.push_back(out.member("change", change_of(rows[i], before)).end_object().text());
        }
        return {};
    });
    if (!read) return propagate(read);
    return Response::json(200, list_body(items, next));
}

Result<Response> get_version_route(Call& call) {
    const auto version = version_of(call, "version");
    if (!version) return propagate(version);
    json::Writer out;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        const auto row = need_version(sql, call.param("id"), *version);
        if (!row) return propagate(row);
        const auto document = parsed(*row);
        if (!document) return propagate(document);
        out.begin_object();
        write_stamp(out, *row);
        out.key("task").raw(row->document).end_object();
        return {};
    });
    if (!read) return propagate(read);
    return Response::json(200, out.text());
}

Result<Response> diff_route(Call& call) {
    const auto from = version_of(call, "from"), to = version_of(call, "to");
    if (!from) return propagate(from);
    if (!to) return propagate(to);
    json::Writer out;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        out.begin_object();
        std::vector<json::Document> documents;
        for (const auto& [name, version] : {std::pair{"from", *from}, std::pair{"to", *to}}) {
            const auto row = need_version(sql, call.param("id"), version);
            if (!row) return propagate(row);
            auto document = parsed(*row);
            if (!document) return propagate(document);
            documents.push_back(std::move(*document));
            out.key(name).begin_object();
            write_stamp(out, *row);
            out.end_object();
        }
        out.key("differences");
        task::write(out, task::compare_definitions(documents[0], documents[1]));
        out.end_object();
        return {};
    });
    if (!read) return propagate(read);
    return Response::json(200, out.text());
}

Result<Response> roll_back_route(Call& call) {
    const auto expected = call.if_match();
    if (!expected) return propagate(expected);
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    json::ObjectReader reader{*document, "", faults};
    std::int64_t version = 0;
    if (reader.require("version")) reader.read("version", version, {.min = 1});
    reader.finish();
    if (!faults.empty()) return faulty("rollback", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto stored = roll_back_task(scope, call.param("id"), *expected, version, faults);
        if (!faults.empty()) return faulty("rollback", faults);
        if (!stored) return propagate(stored);
        return versioned_json(200, task_json(*stored, *call.context.cluster.get(), scope.now), stored->task.version);
    });
}

}  // namespace

void add_version_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/tasks/{id}/versions", Access::user_read, list_versions_route);
    table.add("GET", "/api/v1/tasks/{id}/versions/{version}", Access::user_read, get_version_route);
    table.add("GET", "/api/v1/tasks/{id}/versions/{from}/diff/{to}", Access::user_read, diff_route);
    table.add("POST", "/api/v1/tasks/{id}/rollback", Access::user_write, roll_back_route, {.dry_run = true});
}

}  // namespace cloudtask::center
