// One expression of a template, read. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/task/template.h"
#include "task/date_steps.h"

namespace cloudtask::task {

enum class BuiltIn { fire_time, fire_date, attempt, shard, shards, run_id, trigger, task, group, runtime, node };

std::optional<BuiltIn> built_in_named(std::string_view name);

struct Expression {
    std::size_t position = 0;         // of its name, see TemplateFault
    std::string name;                 // "secrets.NAME" is a secret's, which only an HTTP call can have
    std::optional<BuiltIn> built_in;  // none: a parameter
    std::string zone;                 // empty: that of the fire
    std::vector<DateStep> steps;
    std::string format;  // empty: ISO 8601
};

// Reads what stands between ${ and }. Positions of faults count from the beginning of `text`, in bytes and from 0 on.
std::optional<Expression> read_expression(std::string_view text, TemplateFault& fault);

// Private to src/task: literal text and expressions in turn.
struct Template::Parts {
    struct Part {
        std::string text;
        std::optional<Expression> expression;  // follows the text
    };
    std::vector<Part> parts;
};

}  // namespace cloudtask::task
