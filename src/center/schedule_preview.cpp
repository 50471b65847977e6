// The preview of schedules. Worker threads.
#include "center/schedule_preview.h"

#include <algorithm>

#include "center/calendars.h"
#include "center/store.h"
#include "cloudtask/task/preview.h"
#include "cloudtask/task/schedule_words.h"
#include "cloudtask/task/tzdata.h"

namespace cloudtask::center {

namespace {

using http::Response;

constexpr std::size_t kMostSchedules = 32;  // as a task may have
constexpr std::int64_t kUsualCount = 20;

struct PreviewRequest {
    std::vector<task::Schedule> schedules;
    bool is_list = false;  // else one
    std::string runtime;   // of the calendars that they name
    std::string task_id;
    Instant after{};
    std::int64_t count = kUsualCount;
};

void read_schedules(json::ObjectReader& reader, std::vector<task::Schedule>& out) {
    if (reader.has("schedule") == reader.has("schedules")) {
        reader.faults().add("", "has not one of `schedule` and `schedules`", "a schedule, or a list of them");
        for (const char* name : {"schedule", "schedules"}) reader.ignore(name);
        return;
    }
    if (const json::Value* one = reader.object("schedule")) {
        if (auto schedule = task::Schedule::read(*one, reader.pointer("schedule"), reader.faults())) out.push_back(std::move(*schedule));
    }
    if (!reader.has("schedules")) return;
    const json::Value* list = reader.array("schedules", {.min = 1, .max = kMostSchedules});
    if (list == nullptr) return;
    for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
        auto schedule = task::Schedule::read((*list)[i], pointer_to(reader.pointer("schedules"), i), reader.faults());
        if (schedule) out.push_back(std::move(*schedule));
    }
}

PreviewRequest read_preview_request(const json::Document& document, Instant now, Faults& faults) {
    PreviewRequest request;
    json::ObjectReader reader{document, "", faults};
    read_schedules(reader, request.schedules);
    request.is_list = reader.has("schedules");
    reader.read("runtime", request.runtime, {.min = 1, .max = 63});
    reader.read("task_id", request.task_id, {.min = 1, .max = 64});
    reader.read("count", request.count, {.min = 1, .max = task::kMostPreviewed});
    std::string after;
    request.after = now;
    if (reader.read("after", after, {.min = 1, .max = 40})) {
        const auto instant = parse_instant(after);
        if (instant) request.after = *instant;
        if (!instant) faults.add("/after", "is not an instant", "RFC 3339, such as 2026-11-21T02:42:11Z");
    }
    reader.finish();
    return request;
}

// Gives the schedules what the calendars that they name say now.
Result<> adopt_calendars(const Call& call, PreviewRequest& request, Faults& faults) {
    const auto names_some = [](const task::Schedule& schedule) { return !schedule.calendar_names().empty(); };
    if (std::none_of(request.schedules.begin(), request.schedules.end(), names_some)) return {};
    if (request.runtime.empty()) {
        faults.add("/runtime", "is missing, and a schedule names calendars", "the runtime whose calendars these are");
        return {};
    }
    const auto pointer_of = [&](std::size_t index) { return request.is_list ? pointer_to("/schedules", index) : std::string{"/schedule"}; };
    return call.context.store.read([&](soci::session& sql) -> Result<> {
        const auto calendars = find_calendars(sql, request.runtime, request.schedules, pointer_of, faults);
        if (!calendars) return propagate(calendars);
        for (auto& schedule : request.schedules) schedule = schedule.with_calendars(*calendars);
        return {};
    });
}

void write_fire(json::Writer& out, const task::PreviewedFire& previewed) {
    const task::ScheduledFire& fire = previewed.fire;
    out.begin_object().member("at", fire.at).member("local", previewed.local).member("offset", previewed.offset);
    out.member("abbreviation", previewed.abbreviation).member("schedule", static_cast<std::int64_t>(previewed.schedule));
    out.member("clock_change", to_string(fire.clock_change));
    if (fire.nominal != fire.at) out.member("nominal", fire.nominal);
    if (fire.exclusion) {
        out.key("excluded").begin_object().member("what", fire.dropped ? "dropped" : "deferred");
        out.member("calendar", fire.exclusion->calendar).member("entry", fire.exclusion->entry).end_object();
    }
    out.end_object();
}

}  // namespace

Result<Response> preview_schedules(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    PreviewRequest request = read_preview_request(*document, call.context.clock.now(), faults);
    if (!faults.empty()) return faulty("schedule", faults);
    if (auto adopted = adopt_calendars(call, request, faults); !adopted) return propagate(adopted);
    if (!faults.empty()) return faulty("schedule", faults);
    if (!request.task_id.empty()) {
        for (auto& schedule : request.schedules) schedule = schedule.for_task(request.task_id);
    }
    json::Writer out;
    out.begin_object().key("words").begin_object();
    for (const auto& [name, language] : {std::pair{"en", task::Language::english}, std::pair{"zh", task::Language::chinese}}) {
        out.key(name).begin_array();
        for (const auto& schedule : request.schedules) out.value(task::words(schedule, language));
        out.end_array();
    }
    out.end_object().member("tzdata", task::tzdata_version()).member("after", request.after);
    out.key("fires").begin_array();
    for (const auto& fire : task::preview(request.schedules, request.after, static_cast<std::size_t>(request.count))) write_fire(out, fire);
    out.end_array().end_object();
    return Response::json(200, out.text());
}

}  // namespace cloudtask::center
