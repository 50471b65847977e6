// login and logout: a name and a password for a token, which is remembered. One thread.
#include <fstream>
#include <istream>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/credentials.h"
#include "cli/exit.h"
#include "cli/invocation.h"

namespace cloudtask::cli {

namespace {

// The first line, without its line end.
Result<std::string> first_line(std::istream& in, const std::string& from) {
    std::string line;
    if (!std::getline(in, line) || line.empty()) return fail(Exit::usage, "there is no password in {}", from);
    if (line.back() == '\r') line.pop_back();
    return line;
}

Result<std::string> password_for(Invocation& invocation, const std::string& user, const std::string& server) {
    Context& context = invocation.context();
    if (invocation.arguments().has("password-file")) {
        const auto file = invocation.path(invocation.arguments().text("password-file"));
        std::ifstream in(file);
        if (!in) return fail(Exit::usage, "cannot read the password file {}", file.string());
        return first_line(in, file.string());
    }
    if (std::string password = context.variable("CLOUDTASK_PASSWORD"); !password.empty()) return password;
    if (!context.in_is_terminal) return first_line(context.in, "the standard input");
    return context.ask_secret(fmt::format("password of {} at {}: ", user, server));
}

Result<> login(Invocation& invocation) {
    const std::string user = invocation.arguments().text("user");
    if (user.empty()) return fail(Exit::usage, "--user is missing\n  run: cloudtask login --server URL --user NAME");
    auto server = invocation.server();
    if (!server && exit_for(server.error()) == Exit::denied) {
        return fail(Exit::usage, "--server is missing\n  run: cloudtask login --server URL --user NAME");
    }
    if (!server) return propagate(server);
    // Read before the password is asked for: a file that cannot be read would make the login useless.
    auto credentials = load_credentials(invocation.credentials_file());
    if (!credentials) return propagate(credentials);
    auto password = password_for(invocation, user, *server);
    if (!password) return propagate(password);

    json::Writer body;
    body.begin_object().member("name", user).member("password", *password).end_object();
    Center center(invocation.context().connect({.server = *server, .token = ""}), *server, invocation.context().random);
    http::ClientRequest request = make_request("POST", target("/login"));
    request.body = body.text();
    auto response = center.api().call(std::move(request));
    if (!response) return tl::unexpected(center.no_answer(response.error()));
    if (response->status == 401) return fail(Exit::denied, "login at {}: the name or the password is wrong", *server);
    if (response->status >= 400) return tl::unexpected(center.refusal(*response, "login"));
    auto answer = json::parse(response->body);
    const std::string token = answer ? text_member(*answer, "token") : std::string{};
    if (token.empty()) return fail(Exit::failed, "login: {} did not answer with a token; is it a CloudTask center?", *server);

    credentials->current = *server;
    credentials->logins[*server] = {.user = user, .token = token, .expires_at = text_member(*answer, "expires_at")};
    if (auto saved = save_credentials(invocation.credentials_file(), *credentials); !saved) return saved;
    invocation.remark(fmt::format("logged in at {} as {}", *server, user));
    return {};
}

Result<> logout(Invocation& invocation) {
    auto credentials = load_credentials(invocation.credentials_file());
    if (!credentials) return propagate(credentials);
    auto server = invocation.server();
    if (!server) return propagate(server);
    const auto login = credentials->logins.find(*server);
    if (login == credentials->logins.end()) return fail(Exit::denied, "not logged in at {}", *server);

    Center center(invocation.context().connect({.server = *server, .token = login->second.token}), *server, invocation.context().random);
    auto ended = center.write({.method = "DELETE", .path = "/login", .body = "", .doing = "logout"});
    credentials->logins.erase(login);
    if (credentials->current == *server) credentials->current.clear();
    if (auto saved = save_credentials(invocation.credentials_file(), *credentials); !saved) return saved;
    // A token that the center does not know any more is as good as ended; with the center away it lives on until it expires.
    if (!ended && exit_for(ended.error()) != Exit::denied) {
        return fail(ended.error().code, "the login is forgotten here, but not ended at the center: {}", ended.error().message);
    }
    invocation.remark(fmt::format("logged out at {}", *server));
    return {};
}

}  // namespace

std::vector<Command> login_commands() {
    return {
        {.name = "login",
         .summary = "Log in at a center and remember the token",
         .details = "The password comes from --password-file, else $CLOUDTASK_PASSWORD, else the standard input if that is not a terminal; "
                    "else it is "
                    "asked for. Only the token is kept, in a file that no other user may read.",
         .positionals = {},
         .options = {{"user", 'u', "NAME", "who logs in"},
                     {"password-file", 0, "FILE", "a file whose first line is the password", {}, false, true}},
         .examples = {{"cloudtask login --server http://127.0.0.1:8080 --user admin", "asks for the password"},
                      {"cloudtask login --server http://127.0.0.1:8080 --user admin --password-file ./admin.password", "for scripts"}},
         .run = login},
        {.name = "logout",
         .summary = "End the login and forget its token",
         .details = "",
         .positionals = {},
         .options = {},
         .examples = {{"cloudtask logout", "at the center of the last login"}},
         .run = logout},
    };
}

}  // namespace cloudtask::cli
