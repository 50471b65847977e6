// JSON of secrets in tasks and runs: see codec_secrets.h.
#include "task/codec_secrets.h"

#include <fmt/format.h>

#include <memory>
#include <utility>

#include "cloudtask/task/codec.h"
#include "task/codec_rules.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kMostSecrets = 32;  // of a task
constexpr std::string_view kAllowedUse = "the name of a secret, or {\"secret\": NAME, \"as\": \"env\" or \"file\"}";

SecretUse read_use(const json::Value& value, const std::string& pointer, Faults& faults) {
    SecretUse use;
    if (value.IsString()) {
        use.secret.assign(value.GetString(), value.GetStringLength());
        if (!is_slug(use.secret)) faults.add(pointer, "is not the name of a secret", std::string{kAllowedSlug});
        return use;
    }
    if (!value.IsObject()) {
        faults.add(pointer, "names no secret", std::string{kAllowedUse});
        return use;
    }
    json::ObjectReader reader{value, pointer, faults};
    read_slug(reader, "secret", use.secret);
    std::string as;
    if (reader.read_choice("as", as, {"env", "file"})) use.as_file = as == "file";
    reader.finish();
    return use;
}

}  // namespace

void read_secrets(json::ObjectReader& task_reader, Task& task) {
    const json::Value* object = task_reader.object("secrets");
    if (object == nullptr || object->MemberCount() == 0) return;
    const std::string pointer = task_reader.pointer("secrets");
    Faults& faults = task_reader.faults();
    if (object->MemberCount() > kMostSecrets) {
        faults.add(pointer, fmt::format("has {} entries", object->MemberCount()), fmt::format("{} at most", kMostSecrets));
        return;
    }
    SecretUses uses;
    for (const auto& member : object->GetObject()) {
        std::string variable{member.name.GetString(), member.name.GetStringLength()};
        const std::string at = pointer_to(pointer, variable);
        check_variable(variable, at, faults);
        if (task.environment.contains(variable))
            faults.add(at, "is a variable of 'environment' as well", "a variable that is in one of the two");
        uses.emplace(std::move(variable), read_use(member.value, at, faults));
    }
    task.secrets = std::make_shared<const SecretUses>(std::move(uses));
}

void read_secret_versions(json::ObjectReader& run_reader, Run& run) {
    const json::Value* object = run_reader.object("secrets");
    if (object == nullptr || object->MemberCount() == 0) return;
    json::ObjectReader reader{*object, run_reader.pointer("secrets"), run_reader.faults()};
    SecretVersions versions;
    for (const auto& member : object->GetObject()) {
        const std::string name{member.name.GetString(), member.name.GetStringLength()};
        std::int64_t version = 0;
        if (reader.read(name, version, {.min = 1})) versions.emplace(name, version);
    }
    run.secrets = std::make_shared<const SecretVersions>(std::move(versions));
}

void write_secrets(json::Writer& out, const Task& task) {
    if (!task.secrets) return;
    out.key("secrets").begin_object();
    for (const auto& [variable, use] : *task.secrets) {
        if (use.as_file) {
            out.key(variable).begin_object().member("secret", use.secret).member("as", "file").end_object();
        } else {
            out.member(variable, use.secret);
        }
    }
    out.end_object();
}

void write_secret_versions(json::Writer& out, const Run& run) {
    if (!run.secrets) return;
    out.key("secrets").begin_object();
    for (const auto& [name, version] : *run.secrets) out.member(name, version);
    out.end_object();
}

}  // namespace cloudtask::task
