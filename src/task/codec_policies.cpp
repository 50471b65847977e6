// JSON of a task's policies: see codec_policies.h.
#include "task/codec_policies.h"

#include <fmt/format.h>

#include <memory>

#include "cloudtask/core/units.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/mutex.h"
#include "task/codec_rules.h"

namespace cloudtask::task {

namespace {

constexpr json::DurationRule kTimeLimitRule{.min = std::chrono::seconds{1}, .max = std::chrono::hours{24 * 366}};
constexpr json::DurationRule kGraceRule{.min = Duration::zero(), .max = std::chrono::hours{1}};
constexpr json::SizeRule kOutputRule{.min = 4ULL << 10, .max = 1ULL << 30};
constexpr json::DurationRule kDelayRule{.min = Duration::zero(), .max = std::chrono::hours{24 * 7}};
constexpr json::IntegerRule kAttemptsRule{.min = 2, .max = 100};
constexpr json::IntegerRule kCountRule{.min = 1, .max = 1000};
constexpr json::TextRule kPatternRule{.min = 1, .max = 1000};
constexpr std::size_t kMostRanges = 32;
constexpr double kHighestFactor = 10;

// A number from `least` to `most`.
void read_number(json::ObjectReader& reader, std::string_view name, double& out, double least, double most) {
    const json::Value* value = reader.any(name);
    if (value == nullptr) return;
    if (value->IsNumber() && value->GetDouble() >= least && value->GetDouble() <= most) {
        out = value->GetDouble();
    } else {
        reader.faults().add(reader.pointer(name), "is not such a number", fmt::format("a number from {} to {}", least, most));
    }
}

// A list of numbers and ranges: [0, "75-78"].
void read_exit_codes(json::ObjectReader& reader, ExitCodes& out) {
    const json::Value* list = reader.array("exit_codes", {.min = 1, .max = kMostRanges});
    if (list == nullptr) return;
    std::vector<ExitCodes::Range> ranges;
    for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
        const json::Value& item = (*list)[i];
        const std::string text = item.IsInt64()    ? std::to_string(item.GetInt64())
                                 : item.IsString() ? std::string(item.GetString(), item.GetStringLength())
                                                   : std::string{};
        if (const auto range = ExitCodes::parse(text)) {
            ranges.push_back(*range);
        } else {
            reader.faults().add(pointer_to(reader.pointer("exit_codes"), i), "is not an exit code",
                                "a number from 0 to 255, or a range of them such as \"75-78\"");
        }
    }
    if (ranges.size() == list->Size()) out = ExitCodes(std::move(ranges));
}

void write_exit_codes(json::Writer& out, const ExitCodes& codes) {
    out.key("exit_codes").begin_array();
    for (const auto& range : codes.ranges()) {
        if (range.first == range.last) {
            out.value(range.first);
        } else {
            out.value(ExitCodes::to_string(range));
        }
    }
    out.end_array();
}

// The owner of a task sees what it must not overlap with. An attempt on another node it does not.
void check_elsewhere(const Task& task, Faults& faults) {
    if (task.overlap != Overlap::allow) {
        faults.add(
            "/retry/node",
            fmt::format("'other' does not go with the overlap '{}': attempts on other nodes are not waited for", to_string(task.overlap)),
            "'same', or the overlap 'allow'");
    }
    if (task.mode == Mode::broadcast) {
        faults.add("/retry/node", "'other' does not go with the mode 'broadcast': each node has its own part", "'same'");
    }
}

void read_retry(json::ObjectReader& task_reader, Task& task) {
    const json::Value* value = task_reader.object("retry");
    if (value == nullptr) return;
    json::ObjectReader reader{*value, task_reader.pointer("retry"), task_reader.faults()};
    Retry retry;
    reader.read("attempts", retry.attempts, kAttemptsRule);
    reader.read_duration("delay", retry.delay, kDelayRule);
    read_number(reader, "factor", retry.factor, 1, kHighestFactor);
    reader.read_duration("max_delay", retry.max_delay, kDelayRule);
    read_number(reader, "jitter", retry.jitter, 0, 1);
    std::vector<std::string> on;
    if (reader.read("on", on, {.min = 1, .max = 3})) {
        retry.failed = retry.timed_out = retry.lost = false;
        for (std::size_t i = 0; i < on.size(); ++i) {
            bool* chosen = on[i] == "failed"      ? &retry.failed
                           : on[i] == "timed_out" ? &retry.timed_out
                           : on[i] == "lost"      ? &retry.lost
                                                  : nullptr;
            if (chosen != nullptr) {
                *chosen = true;
            } else {
                reader.faults().add(pointer_to(reader.pointer("on"), i), fmt::format("'{}' is not an outcome that is tried again", on[i]),
                                    "failed, timed_out or lost");
            }
        }
    }
    read_exit_codes(reader, retry.exit_codes);
    std::string node;
    if (reader.read_choice("node", node, {"same", "other"})) retry.elsewhere = node == "other";
    reader.finish();
    if (retry.elsewhere) check_elsewhere(task, task_reader.faults());
    task.retry = std::make_shared<const Retry>(std::move(retry));
}

void write_retry(json::Writer& out, const Retry& retry) {
    out.key("retry").begin_object();
    out.member("attempts", retry.attempts);
    out.member("delay", format_duration(retry.delay));
    out.member("factor", retry.factor);
    out.member("max_delay", format_duration(retry.max_delay));
    out.member("jitter", retry.jitter);
    out.key("on").begin_array();
    if (retry.failed) out.value("failed");
    if (retry.timed_out) out.value("timed_out");
    if (retry.lost) out.value("lost");
    out.end_array();
    if (!retry.exit_codes.empty()) write_exit_codes(out, retry.exit_codes);
    if (retry.elsewhere) out.member("node", "other");
    out.end_object();
}

std::optional<OutputRule> read_output_rule(json::ObjectReader& success_reader) {
    const json::Value* value = success_reader.object("output");
    if (value == nullptr) return std::nullopt;
    json::ObjectReader reader{*value, success_reader.pointer("output"), success_reader.faults()};
    OutputRule rule;
    std::string choice;
    if (reader.read_choice("stream", choice, {"stdout", "stderr"})) rule.standard_error = choice == "stderr";
    if (reader.require("pattern") && reader.read("pattern", rule.pattern, kPatternRule)) {
        if (const auto checked = check_pattern(rule.pattern); !checked) {
            reader.faults().add(reader.pointer("pattern"), checked.error().message, "a regular expression in the syntax of RE2");
        }
    }
    reader.read("matches", rule.matches);
    reader.finish();
    return rule;
}

void read_success(json::ObjectReader& task_reader, Task& task) {
    const json::Value* value = task_reader.object("success");
    if (value == nullptr) return;
    json::ObjectReader reader{*value, task_reader.pointer("success"), task_reader.faults()};
    SuccessRule rule;
    read_exit_codes(reader, rule.exit_codes);
    rule.output = read_output_rule(reader);
    reader.finish();
    task.success = std::make_shared<const SuccessRule>(std::move(rule));
}

void write_success(json::Writer& out, const SuccessRule& rule) {
    out.key("success").begin_object();
    write_exit_codes(out, rule.exit_codes);
    if (rule.output) {
        out.key("output").begin_object();
        out.member("stream", rule.output->standard_error ? "stderr" : "stdout");
        out.member("pattern", rule.output->pattern);
        out.member("matches", rule.output->matches);
        out.end_object();
    }
    out.end_object();
}

void read_mutex(json::ObjectReader& reader, Task& task) {
    std::string name;
    if (!reader.read("mutex", name)) return;
    if (!is_slug(name)) {
        reader.faults().add(reader.pointer("mutex"), "is not a name", "1 to 63 characters of a-z, 0-9 and '-', the first none of '-'");
        return;
    }
    task.mutex = std::make_shared<const std::string>(std::move(name));
    check_under_mutex(task, "a mutex", reader.faults());
}

void read_optional_duration(json::ObjectReader& reader, std::string_view name, std::optional<Duration>& out, json::DurationRule rule) {
    Duration value{};
    if (reader.read_duration(name, value, rule)) out = value;
}

}  // namespace

void read_policies(json::ObjectReader& reader, Task& task) {
    reader.read_duration("time_limit", task.time_limit, kTimeLimitRule);
    read_optional_duration(reader, "soft_limit", task.soft_limit, kTimeLimitRule);
    if (task.soft_limit && *task.soft_limit >= task.time_limit) {
        reader.faults().add(reader.pointer("soft_limit"), "is not below the time limit, which ends the run",
                            "less than " + format_duration(task.time_limit));
    }
    read_optional_duration(reader, "start_deadline", task.start_deadline, kTimeLimitRule);
    if (!task.http) reader.read_duration("grace", task.grace, kGraceRule);
    reader.read_size("output_limit", task.output_limit, kOutputRule);
    std::string choice;
    if (reader.read_choice("misfire", choice, {"skip", "once", "all"})) {
        task.misfire = choice == "skip" ? Misfire::skip : choice == "once" ? Misfire::once : Misfire::all;
    }
    reader.read_duration("misfire_tolerance", task.misfire_tolerance);
    reader.read("misfire_limit", task.misfire_limit, {.min = 1, .max = kMostMisfires});
    if (reader.read_choice("overlap", choice, {"forbid", "allow", "queue", "replace"})) {
        task.overlap = choice == "allow"     ? Overlap::allow
                       : choice == "queue"   ? Overlap::queue
                       : choice == "replace" ? Overlap::replace
                                             : Overlap::forbid;
    }
    reader.read("max_parallel", task.max_parallel, kCountRule);
    reader.read("queue_limit", task.queue_limit, kCountRule);
    if (reader.read_choice("guarantee", choice, {"at_most_once", "at_least_once"})) {
        task.guarantee = choice == "at_least_once" ? Guarantee::at_least_once : Guarantee::at_most_once;
    }
    read_mutex(reader, task);
    read_retry(reader, task);
    if (task.http && task.retry && !task.retry->exit_codes.empty()) {
        reader.faults().add(pointer_to(reader.pointer("retry"), "exit_codes"), "stands beside an HTTP call, and is about programs",
                            "no such member");
    }
    if (!task.http) read_success(reader, task);
}

void write_policies(json::Writer& out, const Task& task) {
    out.member("time_limit", format_duration(task.time_limit));
    if (task.soft_limit) out.member("soft_limit", format_duration(*task.soft_limit));
    if (task.start_deadline) out.member("start_deadline", format_duration(*task.start_deadline));
    if (!task.http) out.member("grace", format_duration(task.grace));
    out.member("output_limit", format_size(task.output_limit));
    if (task.misfire) out.member("misfire", to_string(*task.misfire));
    out.member("misfire_tolerance", format_duration(task.misfire_tolerance));
    if (task.misfire_limit != kMostMisfires) out.member("misfire_limit", task.misfire_limit);
    out.member("overlap", to_string(task.overlap));
    out.member("max_parallel", task.max_parallel);
    if (task.overlap == Overlap::queue || task.queue_limit != Task{}.queue_limit) out.member("queue_limit", task.queue_limit);
    out.member("guarantee", to_string(task.guarantee));
    if (task.mutex) out.member("mutex", *task.mutex);
    if (task.retry) write_retry(out, *task.retry);
    if (task.success) write_success(out, *task.success);
}

}  // namespace cloudtask::task
