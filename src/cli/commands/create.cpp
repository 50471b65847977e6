// create: runtimes, calendars, join tokens and users, one at a time from the command line. One thread.
#include <fstream>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cloudtask/core/units.h"

namespace cloudtask::cli {

namespace {

// Sends the body, and prints the answer, or in a table `shown`.
Result<json::Document> create(Invocation& invocation, const std::string& path, const json::Writer& body, const std::string& doing) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto made = (*center)->write({.method = "POST", .path = path, .body = body.text(), .doing = doing});
    if (!made) return made;
    if (invocation.format() == Format::json) invocation.out() << pretty_json(*made);
    if (invocation.format() == Format::yaml) invocation.out() << to_yaml(*made);
    return made;
}

Result<> create_runtime(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    const std::string name = arguments.text("NAME");
    json::Writer body;
    body.begin_object().member("name", name);
    if (arguments.has("description")) body.member("description", arguments.text("description"));
    if (arguments.has("notify")) body.member("notify", arguments.list("notify"));
    body.end_object();
    auto made = create(invocation, "/runtimes", body, "create runtime " + name);
    if (!made) return propagate(made);
    if (invocation.format() == Format::table) invocation.out() << (invocation.quiet() ? name : "runtime " + name + " created") << '\n';
    return {};
}

Result<> create_calendar(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    const std::string name = arguments.text("NAME"), runtime = arguments.text("runtime");
    if (runtime.empty()) return fail(Exit::usage, "--runtime is missing\n  run: cloudtask create calendar NAME --runtime RUNTIME");
    json::Writer body;
    body.begin_object().member("runtime", runtime).member("name", name);
    for (const char* optional : {"zone", "description", "excludes"}) {
        if (arguments.has(optional)) body.member(optional, arguments.text(optional));
    }
    body.end_object();
    const std::string key = runtime + "/" + name;
    auto made = create(invocation, "/calendars", body, "create calendar " + key);
    if (!made) return propagate(made);
    if (invocation.format() == Format::table) invocation.out() << (invocation.quiet() ? key : "calendar " + key + " created") << '\n';
    return {};
}

Result<> create_join_token(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    const std::string runtime = arguments.text("runtime");
    if (runtime.empty()) return fail(Exit::usage, "--runtime is missing\n  run: cloudtask create join-token --runtime NAME");
    json::Writer body;
    body.begin_object().member("runtime", runtime);
    if (arguments.has("description")) body.member("description", arguments.text("description"));
    if (arguments.has("expires-in")) {
        const auto expires = parse_duration(arguments.text("expires-in"));
        if (!expires) return fail(Exit::usage, "--expires-in: {}", expires.error().message);
        body.member("expires_in", arguments.text("expires-in"));
    }
    body.end_object();
    auto made = create(invocation, "/join-tokens", body, "create join token for runtime " + runtime);
    if (!made) return propagate(made);
    if (invocation.format() == Format::table) {
        const std::string token = text_member(*made, "token");
        if (token.empty()) return fail(Exit::failed, "create join token: the center's answer holds no token; make another one");
        invocation.out() << token << '\n';
        invocation.remark("this token lets a node join the runtime; it is not shown again");
    }
    return {};
}

Result<std::string> new_password(Invocation& invocation, const std::string& name) {
    Context& context = invocation.context();
    if (invocation.arguments().has("password-file")) {
        const auto file = invocation.path(invocation.arguments().text("password-file"));
        std::ifstream in(file);
        std::string line;
        if (!std::getline(in, line) || line.empty()) return fail(Exit::usage, "there is no password in {}", file.string());
        return line;
    }
    if (!context.in_is_terminal) {
        std::string line;
        if (!std::getline(context.in, line) || line.empty())
            return fail(Exit::usage, "there is no password on the standard input; or give --password-file");
        return line;
    }
    return invocation.ask_twice(fmt::format("password for {}: ", name));
}

Result<> create_user(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    const std::string name = arguments.text("NAME");
    auto password = new_password(invocation, name);
    if (!password) return propagate(password);
    json::Writer body;
    body.begin_object().member("name", name);
    body.member("role", arguments.has("role") ? arguments.text("role") : std::string("viewer"));
    if (arguments.has("email")) body.member("email", arguments.text("email"));
    body.member("password", *password).end_object();
    auto made = create(invocation, "/users", body, "create user " + name);
    if (!made) return propagate(made);
    if (invocation.format() == Format::table) invocation.out() << (invocation.quiet() ? name : "user " + name + " created") << '\n';
    return {};
}

}  // namespace

std::vector<Command> create_commands() {
    return {
        {.name = "create runtime",
         .summary = "Create a runtime",
         .details = "",
         .positionals = {{"NAME", "1 to 63 characters of a-z, 0-9 and -"}},
         .options = {{"description", 'd', "TEXT", "what it is for"},
                     {"notify", 0, "ADDRESS", "a mail address that is told of failures", {}, true}},
         .examples = {{"cloudtask create runtime demo --description 'machines for trying out'", "a new runtime"}},
         .run = create_runtime},
        {.name = "create calendar",
         .summary = "Create a calendar without entries",
         .details = "Its holidays come from a file (calendar import) or, with all else, from a definition (apply).",
         .positionals = {{"NAME", "1 to 63 characters of a-z, 0-9 and -"}},
         .options = {{"runtime", 'r', "NAME", "the runtime whose tasks may use it"},
                     {"zone", 0, "ZONE", "its time zone (default UTC)"},
                     {"excludes", 0, "DAYS", "which days it excludes (default holidays)", {"holidays", "non_working_days"}},
                     {"description", 'd', "TEXT", "what it is for"}},
         .examples = {{"cloudtask create calendar uk-holidays --runtime demo --zone Europe/London", "a new calendar"}},
         .run = create_calendar},
        {.name = "create join-token",
         .summary = "Create a token with which nodes join a runtime",
         .details = "Prints the token alone on the standard output; the center does not show it again.",
         .positionals = {},
         .options = {{"runtime", 'r', "NAME", "the runtime that nodes may join with it"},
                     {"description", 'd', "TEXT", "what it is for"},
                     {"expires-in", 0, "TIME", "how long it may be used, such as 12h (default: the center's)"}},
         .examples = {{"cloudtask create join-token --runtime demo > demo.token", "for the node's configuration"}},
         .run = create_join_token},
        {.name = "create user",
         .summary = "Create a user",
         .details =
             "The password comes from --password-file, else from the standard input if that is not a terminal; else it is asked for.",
         .positionals = {{"NAME", "the name to log in with"}},
         .options = {{"role", 0, "ROLE", "what the user may do (default viewer)", {"admin", "viewer"}},
                     {"email", 0, "ADDRESS", "the user's mail address"},
                     {"password-file", 0, "FILE", "a file whose first line is the password", {}, false, true}},
         .examples = {{"cloudtask create user ada --role admin --email ada@example.org", "asks for the password"}},
         .run = create_user},
    };
}

}  // namespace cloudtask::cli
