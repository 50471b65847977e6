// The rules of calendars, through the API: what tasks carry, what a change does to them, imports, and what the ledger says of fires.
#include "center/calendars.h"

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/ledger.h"
#include "cloudtask/task/codec.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

std::string calendar_definition(const std::string& name, const std::string& rules) {
    return R"({"runtime":"demo","name":")" + name + R"(",)" + rules + "}";
}

const std::string kChristmas = R"("zone":"UTC","holidays":[{"yearly":"12-25","name":"Christmas Day"}])";

std::string make_calendar(ApiFixture& api, const std::string& name, const std::string& rules = kChristmas) {
    const auto made = api.post("/api/v1/calendars", calendar_definition(name, rules));
    INFO(made.body);
    REQUIRE(made.status == 201);
    return made.text("id");
}

std::string import_body(const std::string& format, const std::string& text, const std::string& more = {}) {
    json::Writer out;
    out.begin_object().member("runtime", "demo").member("name", "days").member("format", format).member("text", text).end_object();
    std::string body = out.text();
    body.insert(body.size() - 1, more);
    return body;
}

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a calendar is made, read, listed, changed and deleted like every resource") {
    ApiFixture api;
    api.make_group();
    const auto made = api.post("/api/v1/calendars", calendar_definition("uk", kChristmas));
    INFO(made.body);
    REQUIRE(made.status == 201);
    const auto path = "/api/v1/calendars/" + made.text("id");
    CHECK(made.headers.at("location") == path);
    CHECK(made.headers.at("etag") == "\"1\"");
    CHECK(made.text("excludes") == "holidays");
    CHECK(api.get(path).body == made.body);
    CHECK(holds(api.get("/api/v1/calendars?runtime=demo&name=uk").body, made.text("id")));
    CHECK_FALSE(holds(api.get("/api/v1/calendars?runtime=other").body, made.text("id")));
    CHECK(api.post("/api/v1/calendars", calendar_definition("uk", kChristmas)).status == 409);
    CHECK(api.post("/api/v1/calendars", R"({"runtime":"none","name":"x"})").status == 422);
    CHECK(api.call("PUT", path, calendar_definition("uk", kChristmas)).status == 428);
    CHECK(api.put(path, "7", calendar_definition("uk", kChristmas)).status == 412);
    CHECK(api.put(path, "1", made.body).text("version") == "1");  // says what is there
    CHECK(api.put(path, "1", calendar_definition("other", kChristmas)).status == 422);
    const auto changed = api.put(path, "1", calendar_definition("uk", R"("description":"x",)" + kChristmas));
    CHECK(changed.text("version") == "2");
    const auto faulty = api.put(path, "2", calendar_definition("uk", R"("holidays":[{"date":"2026-02-30"}])"));
    CHECK(faulty.status == 422);
    CHECK(holds(faulty.body, "/holidays/0/date"));
    CHECK(api.erase(path).status == 204);
    CHECK(api.get(path).status == 404);
    CHECK(api.count("SELECT count(*) FROM audit WHERE action LIKE 'calendar.%'") == 3);
}

TEST_CASE("a task carries the calendars that it uses, and a change of one makes its next version") {
    ApiFixture api;
    api.make_group();
    const auto id = make_calendar(api, "uk");
    const std::string uses = R"(,"schedules":[{"cron":"0 9 * * *","exclude":["uk"]}])";
    const auto task = "/api/v1/tasks/" + api.make_task("daily", uses);
    const auto other = "/api/v1/tasks/" + api.make_task("other", R"(,"schedules":[{"cron":"0 9 * * *"}])");
    const auto seen = api.get(task);
    CHECK(holds(seen.body, R"("calendars":{"uk":{"zone":"UTC",)"));
    // What was read can be sent back, and what a user says of the content does not count.
    CHECK(api.put(task, "1", seen.body).text("version") == "1");
    CHECK(api.put(task, "1", task_definition("daily", uses + R"(,"calendars":{"uk":{}})")).text("version") == "1");

    api.clock.advance(std::chrono::hours{1});
    const auto before = api.catalog_changes.size();
    const auto changed = api.put("/api/v1/calendars/" + id, "1",
                                 calendar_definition("uk", R"("holidays":[{"yearly":"12-25","name":"Christmas Day"},{"yearly":"01-01"}])"));
    INFO(changed.body);
    REQUIRE(changed.status == 200);
    const auto after = api.get(task);
    CHECK(after.text("version") == "2");
    CHECK(after.text("effective_from") == format_instant(api.clock.now()));
    CHECK(after.text("effective_revision") == after.text("revision"));
    CHECK(holds(after.body, R"({"yearly":"01-01"})"));
    CHECK(api.get(other).text("version") == "1");
    CHECK(api.catalog_changes.size() == before + 1);
    CHECK(api.count("SELECT count(*) FROM task_versions WHERE document LIKE '%\"yearly\":\"01-01\"%'") == 1);
    CHECK(api.count("SELECT count(*) FROM task_versions WHERE version = 2 AND note = 'version 2 of the calendar uk'") == 1);
    CHECK(api.count("SELECT count(*) FROM audit WHERE action = 'calendar.update' AND after LIKE '%01-01%' AND principal LIKE 'user:%'") ==
          1);
    // Its description is no business of the tasks.
    CHECK(
        api.put("/api/v1/calendars/" + id, "2",
                calendar_definition("uk", R"("description":"x","holidays":[{"yearly":"12-25","name":"Christmas Day"},{"yearly":"01-01"}])"))
            .text("version") == "3");
    CHECK(api.get(task).text("version") == "2");

    const auto refused = api.erase("/api/v1/calendars/" + id);
    CHECK(refused.status == 409);
    CHECK(holds(refused.body, "reports/daily"));
    CHECK(api.put(task, "2", task_definition("daily")).status == 200);
    CHECK(api.erase("/api/v1/calendars/" + id).status == 204);
}

TEST_CASE("a schedule names calendars that are there, not too many, and they leave some of its fires") {
    ApiFixture api;
    api.make_group();
    const auto refused = [&](const std::string& schedules, const std::string& part) {
        const auto answer = api.post("/api/v1/tasks", task_definition("daily", R"(,"schedules":)" + schedules));
        INFO(answer.body);
        CHECK(answer.status == 422);
        CHECK(holds(answer.body, part));
    };
    refused(R"([{"every":"1h","exclude":["uk"]}])", "not a calendar of the runtime demo");
    refused(R"([{"cron":"0 9 LW * ?","working_days":"uk"}])", "not a calendar of the runtime demo");
    make_calendar(api, "uk", R"("holidays":[{"date":"2030-12-24"},{"yearly":"12-25"}])");
    refused(R"([{"at":"2030-12-24T18:00","exclude":["uk"]}])", "never fires");
    refused(R"([{"cron":"0 9 25 12 *","exclude":["uk"]}])", "never fires");
    CHECK(api.post("/api/v1/tasks",
                   task_definition("deferred", R"(,"schedules":[{"at":"2030-12-24T18:00","exclude":["uk"],"on_excluded":"defer"}])"))
              .text("next_fire") == "2030-12-26T00:00:00Z");
    std::string nine = "[";
    for (int i = 0; i < 9; ++i) {
        make_calendar(api, fmt::format("c{}", i));
        nine += fmt::format(R"({}{{"every":"1h","exclude":["c{}"]}})", i == 0 ? "" : ",", i);
    }
    refused(nine + "]", "8 at most");
}

TEST_CASE("files of holidays become calendars, and their faults name lines") {
    ApiFixture api;
    api.make_group();
    const std::string ics =
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTAMP:20260101T000000Z\r\n"
        "DTSTART;VALUE=DATE:20261228\r\nDTEND;VALUE=DATE:20261229\r\nSUMMARY:Boxing Day\\, sub\r\n stitute\r\nEND:VEVENT\r\n"
        "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20201225\r\nRRULE:FREQ=YEARLY\r\nSUMMARY:Christmas Day\r\nEND:VEVENT\r\n"
        "BEGIN:VEVENT\r\nDTSTART;VALUE=DATE:20200525\r\nRRULE:FREQ=YEARLY;BYMONTH=5;BYDAY=-1MO\r\nEND:VEVENT\r\n"
        "BEGIN:VEVENT\r\nDTSTART;TZID=Europe/"
        "Berlin:20260630T190000\r\nDTEND:20260701T050000Z\r\nSUMMARY:Close\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    const auto made = api.post("/api/v1/calendars/import", import_body("ics", ics, R"(,"zone":"Europe/London")"));
    INFO(made.body);
    REQUIRE(made.status == 201);
    CHECK(holds(made.body, R"("holidays":[{"date":"2026-12-28","name":"Boxing Day, substitute"},{"yearly":"last mon of may"},)"
                           R"({"yearly":"12-25","name":"Christmas Day"}])"));
    CHECK(holds(made.body, R"("blackouts":[{"from":"2026-06-30T18:00:00","to":"2026-07-01T06:00:00","name":"Close"}])"));
    // A later file takes the place of the holidays; the rest stays.
    const auto again =
        api.post("/api/v1/calendars/import",
                 import_body("csv", "date,name\n2027-01-01,\"New Year, \"\"first\"\"\"\n2027-12-24,2027-12-27,Closed\n\n# end\n"));
    INFO(again.body);
    CHECK(again.status == 200);
    CHECK(again.text("version") == "2");
    CHECK(again.text("zone") == "Europe/London");
    CHECK(holds(
        again.body,
        R"("holidays":[{"date":"2027-01-01","name":"New Year, \"first\""},{"from":"2027-12-24","to":"2027-12-27","name":"Closed"}])"));
    CHECK(holds(again.body, "Close"));

    const auto refused = [&](const std::string& format, const std::string& text, const std::string& pointer, const std::string& part) {
        const auto answer = api.post("/api/v1/calendars/import", import_body(format, text));
        INFO(answer.body);
        CHECK(answer.status == 422);
        CHECK(holds(answer.body, "\"" + pointer + "\""));
        CHECK(holds(answer.body, part));
    };
    refused("csv", "2027-01-01,a\n2027-01-02,b\n2027-01-01,c\n", "/text/3", "overlaps line 1 (a)");
    refused("csv", "2027-01-01,a\n2027-02-30,b\n", "/text/2", "not a date");
    refused("csv", "2027-01-05,2027-01-05,a\n", "/text/1", "not after");
    refused("csv", "2027-01-05,\"a\n", "/text/1", "quote");
    refused("csv", "", "/text", "holds no entry");
    refused("csv", std::string("2027-01-05,a\x01\n"), "/text/1", "");
    const auto event = [](const std::string& lines) { return "BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + lines + "END:VEVENT\nEND:VCALENDAR\n"; };
    refused("ics", event("DTSTART;VALUE=DATE:20261228\nRRULE:FREQ=WEEKLY\n"), "/text/4", "cannot be taken over");
    refused("ics", event("DTSTART;VALUE=DATE:20261225\nRRULE:FREQ=YEARLY;COUNT=3\n"), "/text/4", "cannot be taken over");
    refused("ics", event("DTSTART;VALUE=DATE:20261226\nRRULE:FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25\n"), "/text/4", "does not name the day");
    refused("ics", event("DTSTART;VALUE=DATE:20261228\nEXDATE:20261228\n"), "/text/4", "EXDATE");
    refused("ics", event("DTSTART;TZID=Nowhere/Here:20261228T100000\nDTEND:20261228T110000Z\n"), "/text/3", "Nowhere/Here");
    refused("ics", event("DTSTART:20261228T100000Z\n"), "/text/2", "no DTEND");
    refused("ics", event("DTSTART;VALUE=DATE:20261301\n"), "/text/3", "not a date");
    refused("ics", event("SUMMARY:x\n"), "/text/2", "no DTSTART");
    refused("ics", "BEGIN:VCALENDAR\nBEGIN:VTODO\nEND:VTODO\nEND:VCALENDAR\n", "/text/2", "VTODO");
    refused("ics", "BEGIN:VCALENDAR\nBEGIN:VEVENT\n", "/text/2", "no end");
    refused("ics", "END:VCALENDAR\n", "/text/1", "not open");
    refused("ics", "hello\n", "/text/1", "not a property");
    refused("ics", std::string(600 * 1024, 'x'), "/text", "bytes");
    CHECK(api.count("SELECT count(*) FROM calendars WHERE version = 2") == 1);
}

TEST_CASE("the ledger accounts for fires that a calendar dropped, each once, and why names the entry") {
    ApiFixture api;
    api.make_group();
    make_calendar(api, "uk", R"("holidays":[{"date":"2030-01-02","name":"Founding Day"}])");
    const auto id = api.make_task("daily", R"(,"schedules":[{"cron":"0 */6 * * *","exclude":["uk"]},{"cron":"0 12 * * *"},
        {"cron":"30 9 * * *","exclude":["uk"],"on_excluded":"defer"}])");
    api.clock.advance(std::chrono::hours{72});
    api.admin_token = api.log_in("root");
    // Of 2 January: 0, 6 and 18 h are dropped; at 12 h another schedule fires; 9:30 is deferred to the 3rd, where 0 h is due anyway.
    const auto ledger = api.get("/api/v1/ledger?from=2030-01-02T00:00:00Z&to=2030-01-03T00:00:01Z&task=" + id);
    INFO(ledger.body);
    CHECK(ledger.text("due") == "6");
    CHECK(holds(ledger.body, R"x({"verdict":"skipped","reason":"calendar uk (Founding Day)","count":3})x"));
    CHECK(holds(ledger.body, R"x({"verdict":"skipped","reason":"deferred by calendar uk (Founding Day)","count":1})x"));
    const auto why = [&](const std::string& at) { return api.get("/api/v1/tasks/" + id + "/why?at=" + at); };
    const auto dropped = why("2030-01-02T06:00:00Z");
    CHECK(dropped.text("cause") == "calendar");
    CHECK(dropped.text("verdict") == "skipped");
    CHECK(holds(dropped.body, "calendar uk (Founding Day)"));
    CHECK(holds(dropped.body, R"("effect":"dropped")"));
    const auto deferred = why("2030-01-02T09:30:00Z");
    CHECK(deferred.text("cause") == "deferred");
    CHECK(deferred.text("verdict") == "skipped");
    CHECK(holds(deferred.text("sentence"), "2030-01-03T00:00:00Z"));
    const auto there = why("2030-01-03T00:00:00Z");
    CHECK(there.text("due") == "true");
    CHECK(holds(there.text("sentence"), "It was due at 2030-01-02T09:30:00Z; calendar uk (Founding Day) deferred it."));
    CHECK(why("2030-01-02T12:00:00Z").text("due") == "true");
}

TEST_CASE("a preview and a forecast go by the calendars of the runtime") {
    ApiFixture api;
    api.make_group();
    make_calendar(api, "uk", R"("holidays":[{"date":"2030-01-02","name":"Founding Day"}])");
    const auto preview = [&](const std::string& schedule, const std::string& more) {
        return api.post("/api/v1/schedules/preview",
                        R"({"schedule":)" + schedule + R"(,"after":"2030-01-01T10:00:00Z","count":1)" + more + "}");
    };
    const std::string dropping = R"({"cron":"0 9 * * *","exclude":["uk"]})";
    const auto shown = preview(dropping, R"(,"runtime":"demo")");
    INFO(shown.body);
    REQUIRE(shown.status == 200);
    CHECK(holds(shown.body, "not where uk excludes it"));
    CHECK(holds(shown.body, R"({"at":"2030-01-02T09:00:00Z")"));
    CHECK(holds(shown.body, R"("excluded":{"what":"dropped","calendar":"uk","entry":"Founding Day"})"));
    CHECK(holds(shown.body, R"({"at":"2030-01-03T09:00:00Z")"));
    const auto deferred = preview(R"({"cron":"0 9 * * *","exclude":["uk"],"on_excluded":"defer"})", R"(,"runtime":"demo")");
    CHECK(holds(deferred.body, R"({"at":"2030-01-03T00:00:00Z")"));
    CHECK(
        holds(deferred.body, R"("nominal":"2030-01-02T09:00:00Z","excluded":{"what":"deferred","calendar":"uk","entry":"Founding Day"})"));
    const auto faulty = preview(dropping, "");
    CHECK(faulty.status == 422);
    CHECK(holds(faulty.body, R"("pointer":"/runtime")"));
    const auto unknown = preview(R"({"cron":"0 9 * * *","exclude":["us"]})", R"(,"runtime":"demo")");
    CHECK(unknown.status == 422);
    CHECK(holds(unknown.body, R"("pointer":"/schedule")"));
    CHECK(holds(unknown.body, "uses 'us', which is not a calendar of the runtime demo"));

    api.make_task("daily", R"(,"schedules":[)" + dropping + "]");
    const auto forecast = [&](const std::string& from) {
        return api.get("/api/v1/runtimes/demo/forecast?hours=24&from=" + from).text("fires");
    };
    CHECK(forecast("2030-01-01T00:00:00Z") == "1");
    CHECK(forecast("2030-01-02T00:00:00Z") == "0");
}

TEST_CASE("a calendar takes a dry run, a task stays free to be switched, copied and rolled back with it") {
    ApiFixture api;
    api.make_group();
    const auto calendar = "/api/v1/calendars/" + make_calendar(api, "uk");
    const std::string uses = R"(,"schedules":[{"cron":"0 9 * * *","exclude":["uk"]}])";
    const auto id = api.make_task("daily", uses);
    const auto task = "/api/v1/tasks/" + id;
    const std::string other = calendar_definition("uk", R"("holidays":[{"yearly":"01-01"}])");
    CHECK(api.put(calendar + "?dry_run=true", "1", other).text("version") == "2");
    CHECK(api.get(task).text("version") == "1");
    CHECK(api.post("/api/v1/calendars?dry_run=true", calendar_definition("new", kChristmas)).status == 201);
    CHECK(api.count("SELECT count(*) FROM calendars") == 1);

    // A change that leaves nothing of a schedule is refused, unless the task is off anyway.
    const std::string all = calendar_definition("uk", R"("holidays":[{"from":"2020-01-01","to":"2399-12-31"},{"date":"2399-12-31"}])");
    const auto refused = api.put(calendar, "1", all);
    CHECK(refused.status == 422);
    CHECK(holds(refused.body, "would leave nothing of /schedules/0 of the task reports/daily"));
    CHECK(api.get(calendar).text("version") == "1");
    REQUIRE(api.post(task + "/disable").status == 200);
    REQUIRE(api.put(calendar, "1", all).status == 200);
    CHECK(api.post(task + "/enable").status == 200);
    REQUIRE(api.put(calendar, "2", other).status == 200);

    // An earlier version comes back with what its calendars say now; a copy in another runtime needs a calendar there.
    REQUIRE(api.put(task, api.get(task).text("version"), task_definition("daily")).status == 200);
    const auto back = api.post(task + "/rollback", R"({"version":1})", {{"If-Match", "\"" + api.get(task).text("version") + "\""}});
    INFO(back.body);
    CHECK(back.status == 200);
    CHECK(holds(back.body, R"("calendars":{"uk":{"zone":"UTC","excludes":"holidays")"));
    CHECK(holds(back.body, R"({"yearly":"01-01"})"));
    CHECK(api.erase(calendar).status == 409);
    CHECK(api.post(task + "/clone", R"({"name":"copy"})").status == 201);
    REQUIRE(api.post("/api/v1/runtimes", R"({"name":"other"})").status == 201);
    REQUIRE(api.post("/api/v1/groups", R"({"runtime":"other","name":"reports"})").status == 201);
    CHECK(holds(api.post(task + "/clone", R"({"name":"copy","runtime":"other"})").body, "not a calendar of the runtime other"));
}

TEST_CASE("what is dropped is enumerated with what is due, in order and each once") {
    Faults faults;
    const auto calendar = task::Calendar::read(
        *json::parse(R"({"blackouts":[{"from":"2030-01-01T00:00:10","to":"2030-01-01T00:00:20"},{"cron":"0 1 * * *","lasting":"10min"}]})"),
        "", faults);
    REQUIRE(calendar);
    const auto schedule = [&](const std::string& text) {
        return task::Schedule::read(*json::parse(text), "", faults)->with_calendars({{"c", calendar}});
    };
    DefinitionVersion version;
    version.effective_from = Instant{std::chrono::seconds{1893456000}};
    version.schedules = {schedule(R"({"every":"1s","exclude":["c"]})"), schedule(R"({"every":"5s"})"),
                         schedule(R"({"every":"3s","exclude":["c"]})")};
    Definition definition;
    definition.versions = {version};
    const Instant from = version.effective_from, to = from + std::chrono::minutes{80};
    std::size_t dropped = 0, due = 0;
    Instant expected = from;
    for (DueFires fires(definition, from, to); fires.next(); fires.advance()) {
        expected += std::chrono::seconds{1};
        REQUIRE(fires.next()->time == expected);
        const bool excluded = calendar->excluded_at(expected).has_value();
        const bool of_five = (expected - from) % std::chrono::seconds{5} == Duration{};
        REQUIRE(fires.next()->excluded.has_value() == (excluded && !of_five));
        ++(fires.next()->excluded ? dropped : due);
    }
    CHECK(dropped + due == 80 * 60 - 1);
    CHECK(dropped == 8 + 480);
}
