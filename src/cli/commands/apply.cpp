// apply and diff: make the center hold what files define, or show what that would change. Everything is read and checked first; then
// runtimes, groups, calendars and tasks are created or updated by their natural keys, and what is the same already is left alone. One
// thread.
#include <algorithm>
#include <fstream>
#include <istream>
#include <iterator>
#include <limits>
#include <ostream>
#include <set>

#include "cli/commands/commands.h"
#include "cli/comparison.h"
#include "cli/differences.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/manifest.h"
#include "cli/package_folder.h"
#include "cloudtask/core/units.h"
#include "cloudtask/task/definition.h"

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

constexpr std::int64_t kMostCanaryFires = 1000;

// What is done with what differs.
enum class Purpose { write, try_out, show };

class Applier {
  public:
    // `canary`: for so many fires a task's new version is on trial; 0: it is not.
    Applier(Invocation& invocation, Center& center, Purpose purpose, std::int64_t canary)
        : invocation_(invocation), center_(center), purpose_(purpose), canary_(canary) {}

    Result<> apply(const Definition& definition) {
        if (auto supplied = supply(definition); !supplied) return supplied;
        const auto comparison = compare(center_, definition);
        if (!comparison) return propagate(comparison);
        const std::string kind(to_string(definition.kind));
        if (comparison->same()) {
            note({kind, definition.key(), "unchanged"});
            return {};
        }
        if (purpose_ == Purpose::write || (purpose_ == Purpose::try_out && can_be_tried(definition))) {
            if (auto written = write(definition, *comparison); !written) return written;
        }
        if (comparison->missing()) to_come_.insert(kind + " " + definition.key());
        if (definition.kind != Kind::task && changes_tasks(comparison->differences)) changing_.insert(kind + " " + definition.key());
        note({kind, definition.key(), comparison->missing() ? "created" : "updated", comparison->differences});
        return {};
    }

    void print_structured() {
        if (invocation_.format() == Format::table) return;
        json::Writer out;
        out.begin_array();
        for (const Outcome& outcome : outcomes_) {
            out.begin_object().member("kind", outcome.kind).member("name", outcome.name).member("outcome", outcome.outcome);
            if (!outcome.differences.empty()) {
                out.key("differences");
                task::write(out, outcome.differences);
            }
            out.end_object();
        }
        const auto array = json::parse(out.end_array().text(), {.max_bytes = std::numeric_limits<std::size_t>::max(), .max_depth = 32});
        if (array) invocation_.out() << (invocation_.format() == Format::json ? pretty_json(*array) : to_yaml(*array));
    }

    std::size_t differing() const { return differing_; }

  private:
    struct Outcome {
        std::string kind, name, outcome;
        std::vector<json::Difference> differences = {};
    };

    void note(Outcome outcome) {
        const bool unchanged = outcome.outcome == "unchanged";
        if (!unchanged) ++differing_;
        if (!unchanged && purpose_ != Purpose::write) outcome.outcome = "would be " + outcome.outcome;
        if (invocation_.format() == Format::table && !invocation_.quiet() && !(unchanged && purpose_ == Purpose::show)) {
            invocation_.out() << outcome.kind << ' ' << outcome.name << ' ' << outcome.outcome << std::endl;
            if (purpose_ != Purpose::write) print_differences(invocation_.out(), outcome.differences);
        }
        outcomes_.push_back(std::move(outcome));
    }

    // The package that the definition names, if the center may not have it.
    Result<> supply(const Definition& definition) {
        if (definition.program) return upload(*definition.program);
        const std::string folder = invocation_.arguments().text("packages"), sha256 = package_of(definition);
        if (folder.empty() || sha256.empty()) return {};
        const auto held = find_package_file(invocation_.path(folder), sha256);
        if (!held) return propagate(held);
        return *held ? upload(**held) : Result<>{};
    }

    static std::string package_of(const Definition& definition) {
        const auto body = json::parse(definition.body);
        return body && body->IsObject() ? text_member(*body, "package") : std::string{};
    }

    Result<> upload(const PackedProgram& program) {
        if (!uploaded_.insert(program.sha256).second) return {};
        auto known = center_.get("/packages/" + program.sha256, "package " + program.filename);
        if (known) return {};
        if (exit_for(known.error()) != Exit::not_found) return propagate(known);
        if (purpose_ == Purpose::write) {
            http::ClientRequest request = make_request("POST", target("/packages", {{"filename", program.filename}}));
            request.headers.set("X-Content-SHA256", program.sha256);
            request.content_type = "application/octet-stream";
            request.body_file = program.file.string();
            request.timeout = kUploadTime;
            auto response = center_.api().call(std::move(request));
            if (!response) return tl::unexpected(center_.no_answer(response.error()));
            if (response->status >= 400) return tl::unexpected(center_.refusal(*response, "upload package " + program.filename));
        }
        to_come_.insert("package " + program.sha256);
        note({"package", fmt::format("{} ({} bytes, {})", program.filename, program.size, program.sha256.substr(0, 12)), "uploaded"});
        return {};
    }

    // Of a runtime or group: what its tasks are judged by.
    static bool changes_tasks(const std::vector<json::Difference>& differences) {
        return std::any_of(differences.begin(), differences.end(), [](const json::Difference& difference) {
            return difference.pointer.starts_with("/parameters") || difference.pointer == "/exclusive";
        });
    }

    // The center can judge a definition only if it has what that refers to.
    bool can_be_tried(const Definition& definition) const {
        const std::string group = "group " + definition.runtime + "/" + definition.group;
        if (definition.kind == Kind::task && (changing_.contains("runtime " + definition.runtime) || changing_.contains(group)))
            return false;
        const auto is_to_come = [&](const std::string& calendar) {
            return to_come_.contains("calendar " + definition.runtime + "/" + calendar);
        };
        return !to_come_.contains("runtime " + definition.runtime) && !to_come_.contains(group) &&
               !to_come_.contains("package " + package_of(definition)) &&
               std::none_of(definition.calendars.begin(), definition.calendars.end(), is_to_come);
    }

    Result<> write(const Definition& definition, const Comparison& comparison) {
        const std::string list = fmt::format("/{}s", to_string(definition.kind));
        Write request{.method = "POST", .path = list, .body = comparison.wanted, .doing = {}};
        if (!comparison.missing()) {
            const std::string id = definition.kind == Kind::runtime ? definition.name : text_member(comparison.present, "id");
            request.method = "PUT";
            request.path = list + "/" + http::encode_component(id);
            request.version = integer_member(comparison.present, "version");
        }
        Query query;
        if (purpose_ == Purpose::try_out) query.emplace_back("dry_run", "true");
        if (canary_ != 0 && definition.kind == Kind::task && !comparison.missing()) query.emplace_back("canary", std::to_string(canary_));
        if (invocation_.arguments().has("allow-ended") && definition.kind == Kind::task) query.emplace_back("allow_ended", "true");
        request.query = std::move(query);
        request.doing = fmt::format("{} {} {} ({}:{})", comparison.missing() ? "create" : "update", to_string(definition.kind),
                                    definition.key(), definition.file, definition.line);
        if (auto written = center_.write(request); !written) return propagate(written);
        return {};
    }

    static constexpr Duration kUploadTime = std::chrono::hours{1};

    Invocation& invocation_;
    Center& center_;
    Purpose purpose_;
    std::int64_t canary_;
    std::set<std::string> uploaded_;
    std::set<std::string> to_come_;   // what is not there yet; but for a dry run, it is by now
    std::set<std::string> changing_;  // so it is with runtimes and groups that give their tasks other values
    std::vector<Outcome> outcomes_;
    std::size_t differing_ = 0;
};

// Goes through the definitions of --file. Returns how many differ.
Result<std::size_t> work_through(Invocation& invocation, Purpose purpose, const std::string& usage) {
    auto canary = invocation.arguments().integer("canary", 1, kMostCanaryFires, 0);
    if (!canary) return propagate(canary);
    if (!invocation.arguments().has("file")) return fail(Exit::usage, "--file is missing\n  run: {}", usage);
    auto sources = read_sources(invocation);
    if (!sources) return propagate(sources);
    const Manifest manifest = read_manifest(*sources);
    if (!manifest.problems.empty()) return tl::unexpected(problems_error(manifest.problems));

    auto center = invocation.center();
    if (!center) return propagate(center);
    Applier applier(invocation, **center, purpose, *canary);
    Result<> outcome;
    for (const Definition& definition : manifest.definitions) {
        outcome = applier.apply(definition);
        if (!outcome) break;
    }
    applier.print_structured();
    if (!outcome) return propagate(outcome);
    return applier.differing();
}

Result<> apply(Invocation& invocation) {
    const bool dry_run = invocation.arguments().has("dry-run");
    const auto worked = work_through(invocation, dry_run ? Purpose::try_out : Purpose::write, "cloudtask apply -f FILE");
    if (!worked) return propagate(worked);
    return {};
}

// As diff(1): 1 says that something differs, so that everything else is 2.
Result<> diff_files(Invocation& invocation) {
    const auto differing = work_through(invocation, Purpose::show, "cloudtask diff -f FILE");
    if (!differing) return fail(Exit::usage, "{}", differing.error().message);
    if (*differing == 0) return {};
    return fail(Exit::failed, "{} {}", *differing, *differing == 1 ? "definition differs" : "definitions differ");
}

}  // namespace

std::vector<Command> apply_commands() {
    const Option files{"file", 'f',  "FILE", "a YAML or JSON file, a folder with *.yaml and *.yml files, or - for the standard input",
                       {},     true, true};
    return {
        {.name = "apply",
         .summary = "Create or update runtimes, groups, calendars and tasks from files",
         .details =
             "All files are read and checked first; with any fault nothing is sent, and every fault is printed with its file and line. "
             "Then "
             "runtimes, groups, calendars and tasks are created or updated, in this order; what is the same already is not written. A "
             "program that "
             "a task names by a path is packed and uploaded, unless the center has that content. At the first refusal apply stops; "
             "running it again goes on from there. The format is described in docs/apply.md.",
         .positionals = {},
         .options = {files,
                     {"dry-run", 0, "", "have everything checked, by the center too, and show what would change; write nothing"},
                     {"packages", 0, "FOLDER", "where export --packages has put packages that the center may not have", {}, false, true},
                     {"allow-ended", 0, "", "take schedules that have no fire left: those of an export that came to their end"},
                     {"canary", 0, "N",
                      "a task's new version is on trial for its next N fires: if one fails, the task goes back by itself"}},
         .examples = {{"cloudtask apply -f examples/package-report", "a folder"},
                      {"cloudtask apply -f demo.yaml --dry-run", "would the center take it?"},
                      {"cloudtask apply -f demo.yaml --canary 5", "and back, if one of 5 fires fails"},
                      {"cloudtask export --runtime demo | cloudtask apply -f - --server http://other:8080", "definitions go both ways"}},
         .run = apply},
        {.name = "diff",
         .summary = "Show what apply would change",
         .details =
             "Exits with 0 if the center holds what the files define, with 1 if something differs, and with 2 if that cannot be told. "
             "Needs no right to change anything. What differs between two versions of a task is shown by cloudtask task diff.",
         .positionals = {},
         .options = {files},
         .examples = {{"cloudtask diff -f conf/", "is what is in version control what runs?"}},
         .run = diff_files},
    };
}

}  // namespace cloudtask::cli
