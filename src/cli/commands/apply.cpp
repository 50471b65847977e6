// apply: makes the center hold what YAML files define. Everything is read and checked first; then runtimes, groups and tasks are
// created or updated by their natural keys, and what is the same already is left alone. One thread.
#include <fstream>
#include <istream>
#include <iterator>
#include <ostream>
#include <set>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/manifest.h"
#include "cloudtask/core/units.h"

namespace cloudtask::cli {

namespace {

Result<std::vector<Source>> read_sources(Invocation& invocation) {
    std::vector<Source> sources;
    for (const std::string& name : invocation.arguments().list("file")) {
        if (name == "-") {
            std::istream& in = invocation.context().in;
            sources.push_back({"standard input", std::string(std::istreambuf_iterator<char>(in), {}), invocation.context().folder});
            continue;
        }
        auto files = manifest_files(invocation.path(name));
        if (!files) return fail(Exit::usage, "{}", files.error().message);
        for (const auto& file : *files) {
            std::ifstream in(file, std::ios::binary);
            if (!in) return fail(Exit::usage, "cannot read {}", file.string());
            // Shown as the user named it.
            const std::string shown =
                files->size() == 1 && file == invocation.path(name) ? name : (std::filesystem::path(name) / file.filename()).string();
            sources.push_back({shown, std::string(std::istreambuf_iterator<char>(in), {}), file.parent_path()});
        }
    }
    return sources;
}

Error problems_error(const std::vector<Problem>& problems) {
    std::string message = fmt::format("nothing was sent: {} {} found", problems.size(), problems.size() == 1 ? "fault was" : "faults were");
    for (const Problem& problem : problems) {
        message += problem.line > 0 ? fmt::format("\n  {}:{}: {}", problem.file, problem.line, problem.text)
                                    : fmt::format("\n  {}: {}", problem.file, problem.text);
    }
    return {Exit::failed, std::move(message)};
}

class Applier {
  public:
    Applier(Invocation& invocation, Center& center)
        : invocation_(invocation), center_(center), dry_run_(invocation.arguments().has("dry-run")) {}

    Result<> apply(const Definition& definition) {
        if (definition.program) {
            if (auto uploaded = upload(*definition.program); !uploaded) return uploaded;
        }
        auto present = find(definition);
        // A list within a runtime that does not exist yet, which only a dry run comes to see.
        if (!present && exit_for(present.error()) == Exit::not_found) present = json::Document{};
        if (!present) return propagate(present);
        if (present->IsNull()) return write(definition, *present, definition.body, "created");

        auto held = normalised(definition.kind, *present);
        if (!held) return propagate(held);
        auto wanted = definition.says_enabled || definition.kind != Kind::task ? definition.body : keep_enabled(definition.body, *present);
        if (*held == wanted) {
            note(to_string(definition.kind), definition.key(), "unchanged");
            return {};
        }
        return write(definition, *present, wanted, "updated");
    }

    void print_structured() {
        if (invocation_.format() == Format::table) return;
        json::Document array(rapidjson::kArrayType);
        auto& allocator = array.GetAllocator();
        for (const Outcome& outcome : outcomes_) {
            json::Value one(rapidjson::kObjectType);
            one.AddMember("kind", json::Value(outcome.kind.c_str(), allocator), allocator);
            one.AddMember("name", json::Value(outcome.name.c_str(), allocator), allocator);
            one.AddMember("outcome", json::Value(outcome.outcome.c_str(), allocator), allocator);
            array.PushBack(std::move(one), allocator);
        }
        invocation_.out() << (invocation_.format() == Format::json ? pretty_json(array) : to_yaml(array));
    }

  private:
    struct Outcome {
        std::string kind, name, outcome;
    };

    // The body with the center's word on whether the task is enabled.
    static std::string keep_enabled(const std::string& body, const json::Value& present) {
        auto document = json::parse(body);
        const auto enabled = present.FindMember("enabled");
        if (!document || enabled == present.MemberEnd() || !enabled->value.IsBool()) return body;
        (*document)["enabled"].SetBool(enabled->value.GetBool());
        return json::to_text(*document);
    }

    void note(std::string_view kind, const std::string& name, std::string outcome) {
        if (dry_run_ && outcome != "unchanged") outcome = "would be " + outcome;
        if (invocation_.format() == Format::table && !invocation_.quiet())
            invocation_.out() << kind << ' ' << name << ' ' << outcome << std::endl;
        outcomes_.push_back({std::string(kind), name, std::move(outcome)});
    }

    Result<> upload(const PackedProgram& program) {
        if (!uploaded_.insert(program.sha256).second) return {};
        auto known = center_.get("/packages/" + program.sha256, "package " + program.filename);
        if (known) return {};
        if (exit_for(known.error()) != Exit::not_found) return propagate(known);
        if (!dry_run_) {
            http::ClientRequest request = make_request("POST", target("/packages", {{"filename", program.filename}}));
            request.headers.set("X-Content-SHA256", program.sha256);
            request.content_type = "application/octet-stream";
            request.body_file = program.file.string();
            request.timeout = kUploadTime;
            auto response = center_.api().call(std::move(request));
            if (!response) return tl::unexpected(center_.no_answer(response.error()));
            if (response->status >= 400) return tl::unexpected(center_.refusal(*response, "upload package " + program.filename));
        }
        note("package", fmt::format("{} ({} bytes, {})", program.filename, program.size, program.sha256.substr(0, 12)), "uploaded");
        return {};
    }

    // The resource that has the definition's natural key; null if there is none.
    Result<json::Document> find(const Definition& definition) {
        switch (definition.kind) {
            case Kind::runtime:
                return center_.get("/runtimes/" + http::encode_component(definition.name), "runtime " + definition.name);
            case Kind::group:
                return center_.find("/groups", {{"runtime", definition.runtime}, {"name", definition.name}}, [&](const json::Value& item) {
                    return text_member(item, "runtime") == definition.runtime && text_member(item, "name") == definition.name;
                });
            case Kind::task:
                break;
        }
        return center_.find("/tasks", {{"runtime", definition.runtime}, {"group", definition.group}, {"name", definition.name}},
                            [&](const json::Value& item) {
                                return text_member(item, "runtime") == definition.runtime &&
                                       text_member(item, "group") == definition.group && text_member(item, "name") == definition.name;
                            });
    }

    Result<> write(const Definition& definition, const json::Value& present, const std::string& body, const std::string& outcome) {
        const std::string list = fmt::format("/{}s", to_string(definition.kind));
        Write request{.method = "POST", .path = list, .body = body, .doing = {}};
        if (!present.IsNull()) {
            const std::string id = definition.kind == Kind::runtime ? definition.name : text_member(present, "id");
            request.method = "PUT";
            request.path = list + "/" + http::encode_component(id);
            request.version = integer_member(present, "version");
        }
        request.doing = fmt::format("{} {} {} ({}:{})", present.IsNull() ? "create" : "update", to_string(definition.kind),
                                    definition.key(), definition.file, definition.line);
        if (!dry_run_) {
            if (auto written = center_.write(request); !written) return propagate(written);
        }
        note(to_string(definition.kind), definition.key(), outcome);
        return {};
    }

    static constexpr Duration kUploadTime = std::chrono::hours{1};

    Invocation& invocation_;
    Center& center_;
    bool dry_run_;
    std::set<std::string> uploaded_;
    std::vector<Outcome> outcomes_;
};

Result<> apply(Invocation& invocation) {
    if (!invocation.arguments().has("file")) return fail(Exit::usage, "--file is missing\n  run: cloudtask apply -f FILE");
    auto sources = read_sources(invocation);
    if (!sources) return propagate(sources);
    const Manifest manifest = read_manifest(*sources);
    if (!manifest.problems.empty()) return tl::unexpected(problems_error(manifest.problems));

    auto center = invocation.center();
    if (!center) return propagate(center);
    Applier applier(invocation, **center);
    Result<> outcome;
    for (const Definition& definition : manifest.definitions) {
        outcome = applier.apply(definition);
        if (!outcome) break;
    }
    applier.print_structured();
    return outcome;
}

}  // namespace

std::vector<Command> apply_commands() {
    return {{
        .name = "apply",
        .summary = "Create or update runtimes, groups and tasks from YAML files",
        .details =
            "All files are read and checked first; with any fault nothing is sent, and every fault is printed with its file and line. Then "
            "runtimes, groups and tasks are created or updated, in this order; what is the same already is not written. A program that "
            "a task names by a path is packed and uploaded, unless the center has that content. At the first refusal apply stops; "
            "running it again goes on from there. The format is described in docs/apply.md.",
        .positionals = {},
        .options = {{"file", 'f', "FILE", "a YAML file, a folder with *.yaml and *.yml files, or - for the standard input", {}, true, true},
                    {"dry-run", 0, "", "check everything and say what would be done, but change nothing"}},
        .examples = {{"cloudtask apply -f examples/package-report", "a folder"},
                     {"cloudtask apply -f demo.yaml --dry-run", "what would change?"},
                     {"cloudtask get tasks --runtime demo -o yaml | cloudtask apply -f -", "definitions go both ways"}},
        .run = apply,
    }};
}

}  // namespace cloudtask::cli
