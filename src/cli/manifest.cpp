// Reads and checks what `apply` is given. Reads files; one thread.
#include "cli/manifest.h"

#include <algorithm>

#include "cli/yaml.h"
#include "cloudtask/core/check.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/definition.h"
#include "cloudtask/task/named_calendar.h"

namespace cloudtask::cli {

namespace fs = std::filesystem;

namespace {

template <class T>
std::string body_of(const T& value) {
    json::Writer out;
    task::write(out, value);
    auto document = json::parse(out.text());
    CLOUDTASK_CHECK(document.has_value(), "the codec wrote what the parser does not read");
    task::keep_definition(*document);
    return json::to_text(*document);
}

// Validates `value` as a definition of `kind`; fills the key and the body if it has no fault.
void read_body(Kind kind, const json::Value& value, Definition& definition, Faults& faults) {
    switch (kind) {
        case Kind::runtime:
            if (const auto runtime = task::read_runtime_input(value, faults); runtime && faults.empty()) {
                definition.name = runtime->name;
                definition.body = body_of(*runtime);
            }
            return;
        case Kind::group:
            if (const auto group = task::read_group_input(value, faults); group && faults.empty()) {
                definition.runtime = group->runtime;
                definition.name = group->name;
                definition.body = body_of(*group);
            }
            return;
        case Kind::calendar:
            if (const auto calendar = task::read_calendar_input(value, faults); calendar && faults.empty()) {
                definition.runtime = calendar->runtime;
                definition.name = calendar->name;
                definition.body = body_of(*calendar);
            }
            return;
        case Kind::task:
            if (const auto one = task::read_task_input(value, faults); one && faults.empty()) {
                definition.runtime = one->runtime;
                definition.group = one->group;
                definition.name = one->name;
                for (const auto& schedule : one->schedules) {
                    for (std::string& calendar : schedule.calendar_names()) definition.calendars.insert(std::move(calendar));
                }
                definition.body = body_of(*one);
            }
            return;
    }
}

// Entries of a calendar that a problem names, as "/holidays/3 (Christmas Day)", with their lines.
std::string with_lines(std::string problem, const YamlDocument& document) {
    for (const std::string_view list : {"/holidays/", "/blackouts/", "/extra_working_days/"}) {
        for (std::size_t at = problem.find(list); at != std::string::npos; at = problem.find(list, at + list.size())) {
            const std::size_t end = problem.find_first_not_of("0123456789", at + list.size());
            const std::string pointer = problem.substr(at, end == std::string::npos ? end : end - at);
            problem.replace(at, pointer.size(), fmt::format("{} at line {}", pointer.substr(1), document.line_of(pointer)));
        }
    }
    return problem;
}

std::string fault_text(const Fault& fault, const YamlDocument& document) {
    std::string text = fault.pointer.empty() ? "the definition" : fault.pointer.substr(1);
    text += " " + with_lines(fault.problem, document);
    if (!fault.allowed.empty()) text += fmt::format(" (allowed: {})", fault.allowed);
    return text;
}

class Reader {
  public:
    explicit Reader(Manifest& manifest) : manifest_(manifest) {}

    void read(const Source& source) {
        auto documents = read_yaml(source.text);
        if (!documents) {
            problem(source, documents.error().line, documents.error().problem);
            return;
        }
        if (documents->empty()) problem(source, 0, "holds no definition");
        for (YamlDocument& document : *documents) read_document(source, document);
    }

    void finish() {
        std::stable_sort(manifest_.definitions.begin(), manifest_.definitions.end(),
                         [](const Definition& a, const Definition& b) { return a.kind < b.kind; });
    }

  private:
    void problem(const Source& source, int line, std::string text) { manifest_.problems.push_back({source.name, line, std::move(text)}); }

    void read_document(const Source& source, YamlDocument& document) {
        if (!document.value.IsObject()) {
            problem(source, document.line, "is not a mapping with `kind`, `name` and so on");
            return;
        }
        const auto kind = take_kind(source, document);
        if (!kind) return;

        Definition definition;
        definition.kind = *kind;
        definition.file = source.name;
        definition.line = document.line;
        if (*kind == Kind::task) {
            definition.says_enabled = document.value.HasMember("enabled");
            take_package(source, document, definition);
        }
        task::keep_definition(document.value);
        Faults faults;
        read_body(*kind, document.value, definition, faults);
        for (const Fault& fault : faults.list()) problem(source, document.line_of(fault.pointer), fault_text(fault, document));
        if (!faults.empty()) return;

        const auto [earlier, is_new] = seen_.try_emplace({*kind, definition.key()}, fmt::format("{}:{}", source.name, document.line));
        if (!is_new) {
            problem(source, document.line,
                    fmt::format("{} {} is defined already at {}", to_string(*kind), definition.key(), earlier->second));
            return;
        }
        manifest_.definitions.push_back(std::move(definition));
    }

    std::optional<Kind> take_kind(const Source& source, YamlDocument& document) {
        const auto member = document.value.FindMember("kind");
        if (member == document.value.MemberEnd() || !member->value.IsString()) {
            problem(source, document.line_of("/kind"), "kind is missing (allowed: runtime, group, calendar, task)");
            return std::nullopt;
        }
        const std::string text = member->value.GetString();
        document.value.RemoveMember("kind");
        for (const Kind kind : {Kind::runtime, Kind::group, Kind::calendar, Kind::task}) {
            if (text == to_string(kind)) return kind;
        }
        problem(source, document.line_of("/kind"), fmt::format("kind \"{}\" is unknown (allowed: runtime, group, calendar, task)", text));
        return std::nullopt;
    }

    // Puts the SHA-256 of the program in the place of its path. A SHA-256 stands for a package that the center has.
    void take_package(const Source& source, YamlDocument& document, Definition& definition) {
        const auto member = document.value.FindMember("package");
        if (member == document.value.MemberEnd() || !member->value.IsString() || member->value.GetStringLength() == 0) return;
        const std::string text(member->value.GetString(), member->value.GetStringLength());
        if (is_sha256_hex(text)) return;
        const fs::path path = (source.folder / text).lexically_normal();
        auto packed = packed_.find(path);
        if (packed == packed_.end()) {
            auto program = pack_program(path);
            if (!program) {
                problem(source, document.line_of("/package"), "package: " + program.error().message);
                document.value.RemoveMember("package");  // so that the other faults of the task are found too
                return;
            }
            packed = packed_.emplace(path, std::move(*program)).first;
        }
        definition.program = packed->second;
        member->value.SetString(packed->second.sha256.c_str(), document.value.GetAllocator());
    }

    Manifest& manifest_;
    std::map<fs::path, PackedProgram> packed_;  // a program that several tasks name is packed once
    std::map<std::pair<Kind, std::string>, std::string> seen_;
};

}  // namespace

std::string_view to_string(Kind kind) {
    switch (kind) {
        case Kind::runtime:
            return "runtime";
        case Kind::group:
            return "group";
        case Kind::calendar:
            return "calendar";
        case Kind::task:
            return "task";
    }
    return "";
}

std::string Definition::key() const {
    switch (kind) {
        case Kind::runtime:
            return name;
        case Kind::group:
        case Kind::calendar:
            return runtime + "/" + name;
        case Kind::task:
            return runtime + "/" + group + "/" + name;
    }
    return name;
}

Result<std::vector<fs::path>> manifest_files(const fs::path& path) {
    std::error_code failed;
    if (!fs::is_directory(path, failed)) return std::vector<fs::path>{path};
    std::vector<fs::path> files;
    for (fs::directory_iterator it(path, failed), end; !failed && it != end; it.increment(failed)) {
        const std::string ending = it->path().extension().string();
        if ((ending == ".yaml" || ending == ".yml") && it->is_regular_file()) files.push_back(it->path());
    }
    if (failed) return fail(failed, "cannot read {}: {}", path.string(), failed.message());
    if (files.empty()) return fail(Errc::not_found, "there is no .yaml or .yml file in {}", path.string());
    std::sort(files.begin(), files.end());
    return files;
}

Manifest read_manifest(const std::vector<Source>& sources) {
    Manifest manifest;
    Reader reader(manifest);
    for (const Source& source : sources) reader.read(source);
    reader.finish();
    return manifest;
}

Result<Definition> read_resource(Kind kind, const json::Value& resource) {
    json::Document copy;
    copy.CopyFrom(resource, copy.GetAllocator());
    task::keep_definition(copy);
    Definition definition;
    definition.kind = kind;
    Faults faults;
    read_body(kind, copy, definition, faults);
    if (!faults.empty())
        return fail(Errc::unsupported, "this program does not understand the center's {}: {}", to_string(kind), faults.summary());
    return definition;
}

Result<std::string> normalised(Kind kind, const json::Value& resource) {
    auto definition = read_resource(kind, resource);
    if (!definition) return propagate(definition);
    return std::move(definition->body);
}

}  // namespace cloudtask::cli
