// JSON of Runtime, Group and Package. Tasks and runs have files of their own. Pure; any thread.
#include "cloudtask/task/codec.h"

#include <memory>
#include "cloudtask/task/networks.h"

#include "cloudtask/task/parameters.h"
#include "task/codec_rules.h"

namespace cloudtask::task {

namespace {

void ignore_server_fields(json::ObjectReader& reader) {
    for (const std::string_view name : {"version", "created_at", "updated_at"}) reader.ignore(name);
}

std::shared_ptr<const Parameters> read_shared_parameters(json::ObjectReader& reader, ParameterOrigin origin) {
    auto parameters = read_parameters(reader, "parameters", origin);
    return parameters && !parameters->empty() ? std::make_shared<const Parameters>(std::move(*parameters)) : nullptr;
}

}  // namespace

std::optional<Runtime> read_runtime_input(const json::Value& value, Faults& faults) {
    const FaultCount count{faults};
    json::ObjectReader reader{value, "", faults};
    Runtime runtime;
    read_slug(reader, "name", runtime.name);
    reader.read("description", runtime.description, kDescriptionRule);
    read_notify(reader, runtime.notify);
    if (const json::Value* http = reader.object("http")) {
        if (auto rules = read_network_rules(*http, reader.pointer("http"), faults); rules && !(*rules == NetworkRules{})) {
            runtime.http = std::make_shared<const NetworkRules>(std::move(*rules));
        }
    }
    runtime.parameters = read_shared_parameters(reader, ParameterOrigin::runtime);
    ignore_server_fields(reader);
    reader.finish();
    if (!count.none_since()) return std::nullopt;
    return runtime;
}

std::optional<Group> read_group_input(const json::Value& value, Faults& faults) {
    const FaultCount count{faults};
    json::ObjectReader reader{value, "", faults};
    Group group;
    read_slug(reader, "runtime", group.runtime);
    read_slug(reader, "name", group.name);
    reader.read("description", group.description, kDescriptionRule);
    read_notify(reader, group.notify);
    reader.read("exclusive", group.exclusive);
    group.parameters = read_shared_parameters(reader, ParameterOrigin::group);
    reader.ignore("id");
    ignore_server_fields(reader);
    reader.finish();
    if (!count.none_since()) return std::nullopt;
    return group;
}

void write(json::Writer& out, const Runtime& runtime) {
    out.begin_object();
    out.member("name", runtime.name);
    out.member("description", runtime.description);
    out.member("notify", runtime.notify);
    if (runtime.http) {
        out.key("http");
        write_network_rules(out, *runtime.http);
    }
    if (runtime.parameters) write_parameters(out, "parameters", *runtime.parameters);
    out.member("version", runtime.version);
    out.member("created_at", runtime.created_at);
    out.member("updated_at", runtime.updated_at);
    out.end_object();
}

void write(json::Writer& out, const Group& group) {
    out.begin_object();
    out.member("id", group.id);
    out.member("runtime", group.runtime);
    out.member("name", group.name);
    out.member("description", group.description);
    out.member("notify", group.notify);
    if (group.exclusive) out.member("exclusive", true);
    if (group.parameters) write_parameters(out, "parameters", *group.parameters);
    out.member("version", group.version);
    out.member("created_at", group.created_at);
    out.member("updated_at", group.updated_at);
    out.end_object();
}

void write(json::Writer& out, const Package& package) {
    out.begin_object();
    out.member("sha256", package.sha256);
    out.member("filename", package.filename);
    out.member("format", package.format);
    out.member("size", package.size);
    out.member("uploaded_by", package.uploaded_by);
    out.member("created_at", package.created_at);
    out.end_object();
}

}  // namespace cloudtask::task
