// The way of one command to its center. One thread.
#include "cli/invocation.h"

#include <ostream>

#include "cli/credentials.h"
#include "cli/exit.h"

namespace cloudtask::cli {

Invocation::Invocation(Context& context, const std::vector<Command>& commands, Parsed parsed)
    : context_(context), commands_(commands), parsed_(std::move(parsed)) {}

Format Invocation::format() const {
    const std::string text = arguments().text("output");
    if (text == "json") return Format::json;
    return text == "yaml" ? Format::yaml : Format::table;
}

void Invocation::remark(const std::string& sentence) {
    if (!quiet()) context_.err << sentence << '\n';
}

Result<std::string> Invocation::ask_twice(const std::string& prompt) {
    auto first = context_.ask_secret(prompt);
    if (!first) return first;
    auto second = context_.ask_secret("once more: ");
    if (!second) return second;
    if (*first != *second) return fail(Exit::usage, "what was typed differs from what was typed before; nothing was changed");
    return first;
}

std::filesystem::path Invocation::credentials_file() const {
    if (arguments().has("config")) return path(arguments().text("config"));
    if (const std::string file = context_.variable("CLOUDTASK_CONFIG"); !file.empty()) return path(file);
    return default_credentials_file(context_);
}

Result<std::string> Invocation::server() const {
    std::string server = arguments().text("server");
    if (server.empty()) server = context_.variable("CLOUDTASK_SERVER");
    if (server.empty()) {
        auto credentials = load_credentials(credentials_file());
        if (!credentials) return propagate(credentials);
        server = credentials->current;
    }
    if (server.empty()) return fail(Exit::denied, "not logged in\n  run: cloudtask login --server URL --user NAME");
    while (server.ends_with('/')) server.pop_back();
    if (!server.starts_with("http://") && !server.starts_with("https://")) {
        return fail(Exit::usage, "the server \"{}\" is not an address\n  it looks like http://127.0.0.1:8080", server);
    }
    return server;
}

Result<Center*> Invocation::center() {
    if (center_) return center_.get();
    auto address = server();
    if (!address) return propagate(address);
    std::string token = arguments().text("token");
    if (token.empty()) token = context_.variable("CLOUDTASK_TOKEN");
    if (token.empty()) {
        auto credentials = load_credentials(credentials_file());
        if (!credentials) return propagate(credentials);
        if (const auto login = credentials->logins.find(*address); login != credentials->logins.end()) token = login->second.token;
    }
    if (token.empty()) return fail(Exit::denied, "not logged in at {0}\n  run: cloudtask login --server {0} --user NAME", *address);
    center_ = std::make_unique<Center>(context_.connect({.server = *address, .token = token}), *address, context_.random);
    return center_.get();
}

}  // namespace cloudtask::cli
