// Routes of calendars. Thin: the rules are in calendars.h.
#include <fmt/format.h>

#include "center/calendar_store.h"
#include "center/calendars.h"
#include "center/store.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

using http::Response;

constexpr RouteOptions kCalendarBody{.max_body_bytes = 256 * 1024, .dry_run = true};
constexpr RouteOptions kImportBody{.max_body_bytes = 1024 * 1024, .dry_run = true};

std::string calendar_json(const task::NamedCalendar& calendar) { return task::to_json(calendar); }

Result<Response> list_calendars_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kCalendarList, faults);
    if (!query) return faulty_query(faults);
    std::vector<std::string> items;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        next = list_calendars(sql, *query, items);
        return {};
    });
    if (!read) return propagate(read);
    return Response::json(200, list_body(items, next));
}

Result<Response> get_calendar_route(Call& call) {
    Response response;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        const auto calendar = find_calendar(sql, call.param("id"));
        if (!calendar) return propagate(calendar);
        if (!*calendar) return fail(Errc::not_found, "there is no calendar {}", call.param("id"));
        response = versioned_json(200, calendar_json(**calendar), (*calendar)->version);
        return {};
    });
    if (!read) return propagate(read);
    return response;
}

Response updated(const task::NamedCalendar& calendar) { return versioned_json(200, calendar_json(calendar), calendar.version); }

Response created(const task::NamedCalendar& calendar) {
    auto response = versioned_json(201, calendar_json(calendar), calendar.version);
    response.headers.set("Location", "/api/v1/calendars/" + calendar.id);
    return response;
}

// The calendar of the request's body, checked, is given to `save(scope, input, faults)`; `answer` is made of what it saved.
template <class Save>
Result<Response> save_calendar(Call& call, Save save, Response (*answer)(const task::NamedCalendar&)) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = task::read_calendar_input(*document, faults);
    if (!input) return faulty("calendar", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto calendar = save(scope, *input, faults);
        if (!faults.empty()) return faulty("calendar", faults);
        if (!calendar) return propagate(calendar);
        return answer(*calendar);
    });
}

Result<Response> create_calendar_route(Call& call) {
    return save_calendar(
        call, [&](WriteScope& scope, const auto& input, Faults& faults) { return create_calendar(call.context, scope, input, faults); },
        &created);
}

Result<Response> update_calendar_route(Call& call) {
    const auto expected = call.if_match();
    if (!expected) return propagate(expected);
    return save_calendar(
        call,
        [&](WriteScope& scope, const auto& input, Faults& faults) {
            return update_calendar(scope, call.param("id"), *expected, input, faults);
        },
        &updated);
}

Result<Response> erase_calendar_route(Call& call) {
    const auto expected = call.if_match_or_any();
    if (!expected) return propagate(expected);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (auto deleted = delete_calendar(scope, call.param("id"), *expected); !deleted) return propagate(deleted);
        return Response::no_content();
    });
}

struct Import {
    std::string runtime, name, text, format, zone, description;
};

std::optional<Import> read_import(const json::Value& document, Faults& faults) {
    json::ObjectReader reader{document, "", faults};
    Import import;
    for (const std::string_view needed : {"runtime", "name", "text", "format"}) reader.require(needed);
    reader.read("runtime", import.runtime, {.min = 1, .max = 63});
    reader.read("name", import.name, {.min = 1, .max = 63});
    // Not as a text of ours: its lines may end with CRLF.
    if (const json::Value* text = reader.any("text"); text != nullptr && text->IsString()) {
        import.text.assign(text->GetString(), text->GetStringLength());
    } else if (text != nullptr) {
        faults.add("/text", "is not a text", "the content of the file");
    }
    reader.read_choice("format", import.format, {"ics", "csv"});
    reader.read("zone", import.zone, {.min = 1, .max = 64});
    reader.read("description", import.description, {.min = 0, .max = 4096, .multi_line = true});
    reader.finish();
    return faults.empty() ? std::optional{std::move(import)} : std::nullopt;
}

// The calendar that the file is read into: the one of that name, else an empty one.
std::optional<task::NamedCalendar> base_of(const Import& import, const std::optional<task::NamedCalendar>& present, Faults& faults) {
    json::Writer out;
    out.begin_object().member("runtime", import.runtime).member("name", import.name);
    const bool keeps_text = present && import.description.empty();
    out.member("description", keeps_text ? present->description : import.description);
    if (present) {
        const auto rules = json::parse(present->calendar->text());
        for (const auto& member : rules->GetObject()) {
            const std::string_view name{member.name.GetString(), member.name.GetStringLength()};
            if (name != "zone" || import.zone.empty()) out.key(name).value(member.value);
        }
    }
    if (!import.zone.empty()) out.member("zone", import.zone);
    const auto document = json::parse(out.end_object().text());
    return task::read_calendar_input(*document, faults);
}

// Faults of a file carry its line as "/text/LINE".
std::optional<task::NamedCalendar> imported(const Import& import, const std::optional<task::NamedCalendar>& present, Faults& faults) {
    auto base = base_of(import, present, faults);
    if (!base) return std::nullopt;
    std::vector<task::LineFault> lines;
    const auto format = import.format == "ics" ? task::CalendarFormat::ics : task::CalendarFormat::csv;
    const auto entries = task::read_calendar_file(import.text, format, base->calendar->zone(), lines);
    if (entries) base->calendar = task::with_imported(*base->calendar, *entries, lines);
    for (const auto& fault : lines) {
        faults.add(fault.line > 0 ? fmt::format("/text/{}", fault.line) : "/text", fault.problem, fault.allowed);
    }
    if (!faults.empty()) return std::nullopt;
    return base;
}

Result<Response> import_calendar_route(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto import = read_import(*document, faults);
    if (!import) return faulty("import", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto present = find_calendar_by_name(scope.sql, import->runtime, import->name);
        if (!present) return propagate(present);
        const auto input = imported(*import, *present, faults);
        if (!input) return faulty("import", faults);
        const auto calendar =
            *present ? update_calendar(scope, (*present)->id, 0, *input, faults) : create_calendar(call.context, scope, *input, faults);
        if (!faults.empty()) return faulty("import", faults);
        if (!calendar) return propagate(calendar);
        return *present ? updated(*calendar) : created(*calendar);
    });
}

}  // namespace

void add_calendar_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/calendars", Access::user_read, list_calendars_route);
    table.add("POST", "/api/v1/calendars", Access::user_write, create_calendar_route, kCalendarBody);
    table.add("POST", "/api/v1/calendars/import", Access::user_write, import_calendar_route, kImportBody);
    table.add("GET", "/api/v1/calendars/{id}", Access::user_read, get_calendar_route);
    table.add("PUT", "/api/v1/calendars/{id}", Access::user_write, update_calendar_route, kCalendarBody);
    table.add("DELETE", "/api/v1/calendars/{id}", Access::user_write, erase_calendar_route);
}

}  // namespace cloudtask::center
