// calendar import: a file of holidays becomes a calendar of a runtime, or takes the place of the holidays of one. The center reads it. One
// thread.
#include <fstream>
#include <istream>
#include <iterator>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"

namespace cloudtask::cli {

namespace {

// "text/12", by which the center names line 12 of what it was sent, as "holidays.ics:12".
std::string with_file_lines(std::string message, const std::string& file) {
    constexpr std::string_view kLine = "text/";
    for (std::size_t at = message.find(kLine); at != std::string::npos; at = message.find(kLine, at + 1)) {
        const std::size_t digits = at + kLine.size();
        const bool begins_a_word = at == 0 || message[at - 1] == ' ' || message[at - 1] == '/' || message[at - 1] == '\n';
        if (!begins_a_word || digits >= message.size() || message[digits] < '0' || message[digits] > '9') continue;
        const std::size_t from = at > 0 && message[at - 1] == '/' ? at - 1 : at;
        message.replace(from, digits - from, file + ":");
        at = from + file.size();
    }
    return message;
}

Result<std::string> read_file(Invocation& invocation, const std::string& name) {
    if (name == "-") return std::string(std::istreambuf_iterator<char>(invocation.context().in), {});
    std::ifstream in(invocation.path(name), std::ios::binary);
    if (!in) return fail(Exit::usage, "cannot read {}", name);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

// By its name's ending, else by how it begins.
std::string format_of(const std::string& file, const std::string& text) {
    if (file.ends_with(".ics") || file.ends_with(".ical")) return "ics";
    if (file.ends_with(".csv")) return "csv";
    return text.find("BEGIN:VCALENDAR") < 8 ? "ics" : "csv";
}

Result<> import_calendar(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    for (const char* needed : {"runtime", "name"}) {
        if (arguments.text(needed).empty())
            return fail(Exit::usage, "--{} is missing\n  run: cloudtask calendar import FILE --runtime RUNTIME --name NAME", needed);
    }
    const std::string file = arguments.text("FILE");
    auto text = read_file(invocation, file);
    if (!text) return propagate(text);
    json::Writer body;
    body.begin_object().member("runtime", arguments.text("runtime")).member("name", arguments.text("name"));
    body.member("format", arguments.has("format") ? arguments.text("format") : format_of(file, *text)).member("text", *text);
    for (const char* optional : {"zone", "description"}) {
        if (arguments.has(optional)) body.member(optional, arguments.text(optional));
    }
    body.end_object();
    auto center = invocation.center();
    if (!center) return propagate(center);
    const std::string key = arguments.text("runtime") + "/" + arguments.text("name");
    auto made = (*center)->write({.method = "POST", .path = "/calendars/import", .body = body.text(), .doing = "import calendar " + key});
    if (!made) {
        Error error = made.error();
        error.message = with_file_lines(std::move(error.message), file == "-" ? "standard input" : file);
        return tl::unexpected<Error>(std::move(error));
    }
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(*made);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(*made);
    } else if (invocation.quiet()) {
        invocation.out() << key << '\n';
    } else {
        const auto holidays = made->FindMember("holidays");
        const bool has_list = holidays != made->MemberEnd() && holidays->value.IsArray();
        invocation.out() << fmt::format("calendar {} has {} holidays now, version {}\n", key, has_list ? holidays->value.Size() : 0,
                                        integer_member(*made, "version"));
    }
    return {};
}

}  // namespace

std::vector<Command> calendar_commands() {
    return {
        {.name = "calendar import",
         .summary = "Read a file of holidays into a calendar",
         .details = "FILE is iCalendar (.ics) or CSV (lines date,name or from,to,name; `to` is the first day after). A calendar that is "
                    "not there is made; of "
                    "one that is, the holidays are replaced, and if the file has events with times, its blackout ranges too; all else "
                    "stays. What the "
                    "file says beyond that, overlaps and repeated days are refused, each with its line, and then nothing changes.",
         .positionals = {{"FILE", "the file, or - for the standard input"}},
         .options = {{"runtime", 'r', "NAME", "the runtime of the calendar"},
                     {"name", 0, "NAME", "the calendar's name"},
                     {"zone", 0, "ZONE", "its time zone (default: as it is; UTC for a new one)"},
                     {"format", 0, "FORMAT", "what the file is (default: by its name)", {"ics", "csv"}},
                     {"description", 'd', "TEXT", "what the calendar is for"}},
         .examples = {{"cloudtask calendar import england.ics --runtime demo --name uk-holidays --zone Europe/London",
                       "a new calendar, or a new year"}},
         .run = import_calendar},
    };
}

}  // namespace cloudtask::cli
