// run: get, stop and log. One thread.
#include <algorithm>
#include <fstream>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/log_follower.h"
#include "cli/pack.h"
#include "cli/resources.h"

namespace cloudtask::cli {

namespace {

constexpr std::int64_t kMaxOffset = INT64_MAX;

Result<json::Document> named_run(Invocation& invocation) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    return resolve(**center, *find_resource("run"), invocation.arguments().text("RUN"));
}

// "day=2026-11-20 (task), region=us (manual)"
std::string parameters_in_words(const json::Value& parameters) {
    std::string text;
    for (const auto& member : parameters.GetObject()) {
        const std::string name(member.name.GetString(), member.name.GetStringLength());
        if (!member.value.IsObject()) continue;
        text += fmt::format("{}{}={} ({})", text.empty() ? "" : ", ", name, text_member(member.value, "value"),
                            text_member(member.value, "from"));
    }
    return text;
}

// A run has too many fields for one line: one field a line.
void print_fields(std::ostream& out, const json::Value& run) {
    std::size_t width = 0;
    for (const auto& member : run.GetObject()) width = std::max<std::size_t>(width, member.name.GetStringLength());
    for (const auto& member : run.GetObject()) {
        const std::string name(member.name.GetString(), member.name.GetStringLength());
        std::string value = member.value.IsString() ? text_member(run, name.c_str()) : json::to_text(member.value);
        if (name == "parameters" && member.value.IsObject()) value = parameters_in_words(member.value);
        std::replace_if(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
        if (!value.empty() && !member.value.IsNull()) out << fmt::format("{:<{}}  {}\n", name, width, value);
    }
}

Result<> get_run(Invocation& invocation) {
    auto run = named_run(invocation);
    if (!run) return propagate(run);
    if (!run->IsObject()) return fail(Exit::failed, "get run: the center's answer is not a run");
    switch (invocation.format()) {
        case Format::json:
            invocation.out() << pretty_json(*run);
            break;
        case Format::yaml:
            invocation.out() << to_yaml(*run);
            break;
        case Format::table:
            print_fields(invocation.out(), *run);
            break;
    }
    return {};
}

Result<> stop_run(Invocation& invocation) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    const std::string id = invocation.arguments().text("RUN");
    auto stopped = (*center)->write(
        {.method = "POST", .path = "/runs/" + http::encode_component(id) + "/stop", .body = "", .doing = "stop run " + id});
    if (!stopped) return propagate(stopped);
    if (!invocation.quiet()) invocation.out() << "run " << id << " is being stopped\n";
    return {};
}

// The log as it is now. It goes through a file, so that a log of any size fits into memory.
Result<> print_log(Invocation& invocation, Center& center, const std::string& id, const std::string& stream, std::uint64_t from) {
    auto file = TemporaryFile::make();
    if (!file) return propagate(file);
    const Query query{{"stream", stream}, {"from", std::to_string(from)}};
    http::ClientRequest request = make_request("GET", target("/runs/" + http::encode_component(id) + "/log", query));
    request.save_to = (*file)->path().string();
    request.timeout = std::chrono::minutes{30};
    auto response = center.api().call(std::move(request));
    if (!response) return tl::unexpected(center.no_answer(response.error()));
    if (response->status >= 400) return tl::unexpected(center.refusal(*response, "log of run " + id));
    std::ifstream in((*file)->path(), std::ios::binary);
    if (in.peek() == std::ifstream::traits_type::eof()) {
        if (from == 0) {
            const std::string other = stream == "stdout" ? "stderr" : "stdout";
            invocation.remark(
                fmt::format("nothing is on {0} of run {1}; the other stream: cloudtask run log {1} --stream {2}", stream, id, other));
        }
        return {};
    }
    invocation.out() << in.rdbuf();
    return {};
}

Result<> log(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    auto from = arguments.integer("from", 0, kMaxOffset, 0);
    if (!from) return propagate(from);
    auto center = invocation.center();
    if (!center) return propagate(center);
    const std::string id = arguments.text("RUN");
    const std::string stream = arguments.has("stream") ? arguments.text("stream") : "stdout";
    if (!arguments.has("follow")) return print_log(invocation, **center, id, stream, static_cast<std::uint64_t>(*from));

    LogFollower follower(**center, id, stream, static_cast<std::uint64_t>(*from), invocation.out());
    auto state = follower.follow();
    if (!state) return propagate(state);
    invocation.remark(fmt::format("run {} {}", id, *state));
    return {};
}

}  // namespace

std::vector<Command> run_commands() {
    const Positional run{"RUN", "the run's id"};
    return {
        {.name = "run get",
         .summary = "Show everything about one run",
         .details = "",
         .positionals = {run},
         .options = {},
         .examples = {{"cloudtask run get 0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10", "one field a line"}},
         .run = get_run},
        {.name = "run stop",
         .summary = "Stop one run",
         .details =
             "Its processes are asked to end, and after the task's grace time they are killed. Exits with 6 if the run has ended already.",
         .positionals = {run},
         .options = {},
         .examples = {{"cloudtask run stop 0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10", "with all of its processes"}},
         .run = stop_run},
        {.name = "run log",
         .summary = "Print the output of a run",
         .details = "With --follow it goes on until the run has ended; a dropped connection is taken up again where the output broke off.",
         .positionals = {run},
         .options = {{"follow", 'f', "", "go on until the run has ended"},
                     {"stream", 0, "STREAM", "which output (default stdout)", {"stdout", "stderr"}},
                     {"from", 0, "N", "begin at byte N (default 0)"}},
         .examples = {{"cloudtask run log 0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10 -f", "live"},
                      {"cloudtask run log 0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10 --stream stderr", "what it complained of"}},
         .run = log},
    };
}

}  // namespace cloudtask::cli
