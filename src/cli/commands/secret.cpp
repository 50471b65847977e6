// secret: set, list, delete and rotate. A value comes from a file, the standard input or a prompt: never from the command line, which
// everybody on the machine can read. One thread.
#include <algorithm>
#include <fstream>
#include <istream>
#include <iterator>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cloudtask/core/hash.h"

namespace cloudtask::cli {

namespace {

const Positional kSecret{"SECRET", "RUNTIME/NAME, or RUNTIME/GROUP/NAME for one of a group"};

struct SecretName {
    std::string runtime, group, name;

    std::string path() const { return "/runtimes/" + http::encode_component(runtime) + "/secrets/" + http::encode_component(name); }
    Query query() const { return {{"group", group}}; }
    std::string text() const { return group.empty() ? runtime + "/" + name : runtime + "/" + group + "/" + name; }
};

Result<SecretName> secret_name(const Invocation& invocation) {
    const std::string given = invocation.arguments().text("SECRET");
    std::vector<std::string> parts;
    for (std::size_t at = 0; at <= given.size();) {
        const std::size_t slash = std::min(given.find('/', at), given.size());
        parts.push_back(given.substr(at, slash - at));
        at = slash + 1;
    }
    const bool whole = (parts.size() == 2 || parts.size() == 3) && std::find(parts.begin(), parts.end(), "") == parts.end();
    if (!whole) return fail(Exit::usage, "\"{}\" does not name a secret; it is RUNTIME/NAME or RUNTIME/GROUP/NAME", given);
    return parts.size() == 2 ? SecretName{parts[0], {}, parts[1]} : SecretName{parts[0], parts[1], parts[2]};
}

// The line end behind a single line is of the tool that wrote it: `echo` and editors add one.
std::string without_line_end(std::string value) {
    if (value.find('\n') != value.size() - 1 || value.empty()) return value;
    value.pop_back();
    if (value.ends_with('\r')) value.pop_back();
    return value;
}

Result<std::string> read_secret_value(Invocation& invocation, const SecretName& name) {
    const Arguments& arguments = invocation.arguments();
    Context& context = invocation.context();
    std::string value;
    if (const std::string file = arguments.text("file"); !file.empty() && file != "-") {
        std::ifstream in(invocation.path(file), std::ios::binary);
        if (!in) return fail(Exit::usage, "cannot read {}", file);
        value.assign(std::istreambuf_iterator<char>(in), {});
    } else if (context.in_is_terminal) {
        return invocation.ask_twice("value of " + name.text() + ": ");
    } else {
        value.assign(std::istreambuf_iterator<char>(context.in), {});
    }
    return arguments.has("exact") ? value : without_line_end(std::move(value));
}

Result<> set_secret(Invocation& invocation) {
    const auto name = secret_name(invocation);
    if (!name) return propagate(name);
    auto center = invocation.center();
    if (!center) return propagate(center);
    const auto value = read_secret_value(invocation, *name);
    if (!value) return propagate(value);
    json::Writer body;
    body.begin_object().member("value", to_base64(*value)).member("encoding", "base64").end_object();
    auto set = (*center)->write(
        {.method = "PUT", .path = name->path(), .body = body.text(), .doing = "set secret " + name->text(), .query = name->query()});
    if (!set) return propagate(set);
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(*set);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(*set);
    } else if (invocation.quiet()) {
        invocation.out() << name->text() << '\n';
    } else {
        invocation.out() << fmt::format("secret {} set, version {}\n", name->text(), integer_member(*set, "version"));
    }
    return {};
}

Result<> list_secrets(Invocation& invocation) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    const Arguments& arguments = invocation.arguments();
    const std::string path = "/runtimes/" + http::encode_component(arguments.text("RUNTIME")) + "/secrets";
    auto items = (*center)->list(path, {{"group", arguments.text("group")}}, 0);
    if (!items) return propagate(items);
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(*items);
        return {};
    }
    if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(*items);
        return {};
    }
    Table table({"SECRET", "VERSION", "SET", "BY"});
    for (const auto& item : items->GetArray()) {
        const SecretName name{text_member(item, "runtime"), text_member(item, "group"), text_member(item, "name")};
        if (invocation.quiet()) {
            invocation.out() << name.text() << '\n';
        } else {
            table.add({name.text(), std::to_string(integer_member(item, "version")),
                       short_time(text_member(item, "updated_at"), invocation.context().clock.now()), text_member(item, "updated_by")});
        }
    }
    if (!invocation.quiet()) table.print(invocation.out(), false);
    return {};
}

Result<> delete_secret(Invocation& invocation) {
    const auto name = secret_name(invocation);
    if (!name) return propagate(name);
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto deleted = (*center)->write(
        {.method = "DELETE", .path = name->path(), .body = "", .doing = "delete secret " + name->text(), .query = name->query()});
    if (!deleted) return propagate(deleted);
    invocation.out() << (invocation.quiet() ? name->text() : fmt::format("secret {} deleted", name->text())) << '\n';
    return {};
}

Result<> rotate_secrets(Invocation& invocation) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto rotated = (*center)->write({.method = "POST", .path = "/secrets/rotate", .body = "", .doing = "rotate secrets"});
    if (!rotated) return propagate(rotated);
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(*rotated);
        return {};
    }
    if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(*rotated);
        return {};
    }
    const std::string file = text_member(*rotated, "file");
    const auto keys = rotated->FindMember("keys");
    if (keys == rotated->MemberEnd() || !keys->value.IsArray() || keys->value.Empty()) {
        return fail(Exit::failed, "rotate secrets: the center's answer names no key");
    }
    invocation.out() << fmt::format("{} secrets encrypted anew; all are by the key {} now\n", integer_member(*rotated, "encrypted"),
                                    text_member(keys->value[0], "id"));
    if (keys->value.Size() == 1) {
        invocation.out() << fmt::format(
            "{} has no other key: for a new one, put a line of `openssl rand -base64 32` on top and rotate again\n", file);
    }
    for (rapidjson::SizeType i = 1; i < keys->value.Size(); ++i) {
        const auto needed = keys->value[i].FindMember("needed");
        if (needed == keys->value[i].MemberEnd() || !needed->value.IsFalse()) continue;
        invocation.out() << fmt::format(
            "the key {} (number {} in {}) is not needed any more: take its line away, and keep it with old backups\n",
            text_member(keys->value[i], "id"), i + 1, file);
    }
    return {};
}

}  // namespace

std::vector<Command> secret_commands() {
    return {
        {.name = "secret set",
         .summary = "Give a secret a value",
         .details = "The value comes from a file or the standard input; at a terminal it is asked for, twice. It has 8 bytes to 64 KiB. A "
                    "line end "
                    "behind a single line is dropped. Nobody can read the value again.",
         .positionals = {kSecret},
         .options = {{"file", 'f', "FILE", "the file with the value, or - for the standard input", {}, false, true},
                     {"exact", 0, "", "keep the line end behind a single line"}},
         .examples = {{"cloudtask secret set demo/reports/db < password.txt", "a secret of the group reports"},
                      {"cloudtask secret set demo/tls-key --file key.pem", "a secret of the runtime demo"}},
         .run = set_secret},
        {.name = "secret list",
         .summary = "List the secrets of a runtime and its groups",
         .details = "Names, versions, and who set them when.",
         .positionals = {{"RUNTIME", "the runtime"}},
         .options = {{"group", 'g', "NAME", "only those of this group"}},
         .examples = {{"cloudtask secret list demo", ""}},
         .run = list_secrets},
        {.name = "secret delete",
         .summary = "Delete a secret",
         .details = "Refused while tasks are given it.",
         .positionals = {kSecret},
         .options = {},
         .examples = {{"cloudtask secret delete demo/reports/db", ""}},
         .run = delete_secret},
        {.name = "secret rotate",
         .summary = "Encrypt all secrets by the first key of the center's file of keys",
         .details = "Put a new line on top of that file before (openssl rand -base64 32). Says which keys are not needed any more.",
         .positionals = {},
         .options = {},
         .examples = {{"cloudtask secret rotate", ""}},
         .run = rotate_secrets},
    };
}

}  // namespace cloudtask::cli
