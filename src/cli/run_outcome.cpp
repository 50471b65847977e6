// Waiting for the end of a run. One thread; blocks.
#include "cli/run_outcome.h"

#include "cli/exit.h"
#include "cloudtask/task/types.h"

namespace cloudtask::cli {

Result<json::Document> wait_for_end(Center& center, const std::string& run_id) {
    int unanswered = 0;
    for (;;) {
        auto run = center.get("/runs/" + http::encode_component(run_id), "run " + run_id);
        if (run) {
            unanswered = 0;
            const auto state = task::parse_run_state(text_member(*run, "state"));
            if (!state) return propagate(state);
            if (task::is_terminal(*state)) return run;
        } else if (exit_for(run.error()) != Exit::unreachable || ++unanswered >= kTriesUnanswered) {
            return run;
        }
        center.api().wait(kAskAgain);
    }
}

std::string describe_end(const json::Value& run) {
    std::string text = fmt::format("run {} of {}/{}/{} {}", text_member(run, "id"), text_member(run, "runtime"), text_member(run, "group"),
                                   text_member(run, "task_name"), text_member(run, "state"));
    if (const std::string reason = text_member(run, "reason"); !reason.empty()) {
        text += ": " + reason;
    } else if (const auto code = run.FindMember("exit_code"); code != run.MemberEnd() && code->value.IsInt64()) {
        text += fmt::format(": exit code {}", code->value.GetInt64());
    } else if (const auto signal = run.FindMember("signal"); signal != run.MemberEnd() && signal->value.IsInt64()) {
        text += fmt::format(": ended by signal {}", signal->value.GetInt64());
    }
    if (const std::string node = text_member(run, "node_name"); !node.empty()) text += " on " + node;
    return text;
}

}  // namespace cloudtask::cli
