// Template: text and expressions in turn, their check and their evaluation. Pure; any thread.
#include "cloudtask/task/template.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "task/calendar_rules.h"
#include "task/template_expression.h"

namespace cloudtask::task {

namespace {

// Bytes from 0 on to characters from 1 on.
std::size_t character_at(std::string_view text, std::size_t byte) {
    const std::string_view before = text.substr(0, byte);
    return 1 + static_cast<std::size_t>(
                   std::count_if(before.begin(), before.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

Result<const WorkingDays*> working_days_of(const FireFacts& facts, const std::string& calendar) {
    const std::string& name = calendar.empty() ? facts.working_days : calendar;
    if (name.empty()) return &mondays_to_fridays();
    const auto found = facts.calendars.find(name);
    if (found == facts.calendars.end() || found->second == nullptr)
        return fail(Errc::invalid_argument, "the definition lacks the calendar {}", name);
    return &found->second->working_days();
}

Result<std::string> moment_text(const Expression& expression, const FireFacts& facts) {
    const std::string& zone_name = expression.zone.empty() ? facts.zone : expression.zone;
    const auto zone = Zone::load(zone_name);
    if (!zone) return fail(Errc::invalid_argument, "'{}' is not a zone of the IANA database", zone_name);
    WallMoment moment{.zone = *zone, .is_date = expression.built_in == BuiltIn::fire_date};
    moment.instant = std::chrono::floor<std::chrono::seconds>(facts.fire_time);
    moment.date = Date{zone->local(moment.instant)};
    for (const DateStep& step : expression.steps) {
        const auto working_days = working_days_of(facts, step.calendar);
        if (!working_days) return propagate(working_days);
        if (const auto applied = apply_step(step, **working_days, moment); !applied) return propagate(applied);
    }
    return format_moment(moment, expression.format);
}

Result<std::string> shard_text(const std::optional<std::int64_t>& number) {
    if (!number) return fail(Errc::invalid_argument, "the run is no shard");
    return std::to_string(*number);
}

Result<std::string> built_in_text(const Expression& expression, const FireFacts& facts) {
    switch (*expression.built_in) {
        case BuiltIn::fire_time:
        case BuiltIn::fire_date:
            return moment_text(expression, facts);
        case BuiltIn::attempt:
            return std::to_string(facts.attempt);
        case BuiltIn::shard:
            return shard_text(facts.shard);
        case BuiltIn::shards:
            return shard_text(facts.shards);
        case BuiltIn::run_id:
            return facts.run_id;
        case BuiltIn::trigger:
            return facts.trigger;
        case BuiltIn::task:
            return facts.task;
        case BuiltIn::group:
            return facts.group;
        case BuiltIn::runtime:
            return facts.runtime;
        case BuiltIn::node:
            return facts.node;
    }
    return fail(Errc::internal, "a name has no value");
}

void add_once(std::vector<std::string>& list, const std::string& name) {
    if (std::find(list.begin(), list.end(), name) == list.end()) list.push_back(name);
}

}  // namespace

std::string TemplateFault::sentence() const { return fmt::format("character {}: {}", position, problem); }

std::optional<Template> Template::parse(std::string_view text, TemplateFault& fault) {
    const auto refuse = [&](std::size_t byte, std::string problem, std::string allowed) {
        fault = {character_at(text, byte), std::move(problem), std::move(allowed)};
        return std::nullopt;
    };
    if (text.size() > kLongestTemplate)
        return refuse(kLongestTemplate, "the text is too long", fmt::format("{} bytes at the most", kLongestTemplate));
    auto parts = std::make_shared<Parts>();
    std::string before;
    for (std::size_t at = 0; at < text.size();) {
        if (text.substr(at).starts_with("$$")) {
            before += '$';
            at += 2;
            continue;
        }
        if (!text.substr(at).starts_with("${")) {
            before += text[at++];
            continue;
        }
        const std::size_t end = text.find('}', at);
        if (end == std::string_view::npos) return refuse(at, "the expression has no end", "${NAME}; a $ itself is written $$");
        const std::string_view inside = text.substr(at + 2, end - at - 2);
        if (inside.size() > kLongestTemplateExpression) {
            return refuse(at, "the expression is too long", fmt::format("{} bytes at the most", kLongestTemplateExpression));
        }
        if (inside.find("${") != std::string_view::npos) return refuse(at, "an expression stands in another", "one after the other");
        auto expression = read_expression(inside, fault);
        if (!expression) {
            fault.position = character_at(text, at + 2 + fault.position);
            return std::nullopt;
        }
        expression->position = character_at(text, at + 2 + expression->position);
        if (parts->parts.size() == kMostExpressions)
            return refuse(at, "there are too many expressions", fmt::format("{} at the most", kMostExpressions));
        parts->parts.push_back({.text = std::move(before), .expression = std::move(*expression)});
        before.clear();
        at = end + 1;
    }
    parts->parts.push_back({.text = std::move(before), .expression = std::nullopt});
    return Template{std::move(parts)};
}

Template Template::literal(std::string_view text) {
    auto parts = std::make_shared<Parts>();
    parts->parts.push_back({.text = std::string{text}, .expression = std::nullopt});
    return Template{std::move(parts)};
}

std::string Template::escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        out += c;
        if (c == '$') out += c;
    }
    return out;
}

std::optional<TemplateFault> Template::unknown(const KnownNames& known) const {
    for (const auto& [text, expression] : parts_->parts) {
        if (!expression) continue;
        const bool needs_shards = expression->built_in == BuiltIn::shard || expression->built_in == BuiltIn::shards;
        if (needs_shards && !known.sharded) return TemplateFault{expression->position, "the task has no shards", "a task with shards"};
        const bool is_known = expression->built_in || known.is_parameter(expression->name);
        if (!is_known && expression->name.starts_with("secrets.")) {
            return TemplateFault{expression->position, "a secret cannot stand here",
                                 "headers and body of an HTTP call; a program finds it in the variable that 'secrets' names"};
        }
        if (!is_known) {
            return TemplateFault{expression->position, fmt::format("'{}' is not a name that the task has", expression->name),
                                 "a parameter of the task, or fire_time, fire_date, attempt, run_id, trigger, task, group, runtime, node"};
        }
        for (const DateStep& step : expression->steps) {
            if (step.calendar.empty() || known.is_calendar(step.calendar)) continue;
            return TemplateFault{expression->position, fmt::format("there is no calendar '{}'", step.calendar),
                                 "a calendar of the runtime"};
        }
    }
    return std::nullopt;
}

std::vector<std::string> Template::parameters() const {
    std::vector<std::string> names;
    for (const auto& part : parts_->parts) {
        if (part.expression && !part.expression->built_in) add_once(names, part.expression->name);
    }
    return names;
}

std::vector<std::string> Template::calendars() const {
    std::vector<std::string> names;
    for (const auto& part : parts_->parts) {
        if (!part.expression) continue;
        for (const DateStep& step : part.expression->steps) {
            if (!step.calendar.empty()) add_once(names, step.calendar);
        }
    }
    return names;
}

std::size_t Template::working_day_steps() const {
    std::size_t count = 0;
    for (const auto& part : parts_->parts) {
        if (!part.expression) continue;
        const auto& steps = part.expression->steps;
        count += static_cast<std::size_t>(
            std::count_if(steps.begin(), steps.end(), [](const DateStep& step) { return step.unit == DateStep::Unit::working_day; }));
    }
    return count;
}

bool Template::has_expressions() const { return parts_->parts.size() > 1; }

Result<std::string> Template::evaluate(const FireFacts& facts,
                                       const std::function<const std::string*(const std::string&)>& parameter) const {
    std::string out;
    for (const auto& [text, expression] : parts_->parts) {
        out += text;
        if (expression && expression->built_in) {
            const auto value = built_in_text(*expression, facts);
            if (!value) return propagate(value);
            out += *value;
        } else if (expression) {
            const std::string* value = parameter(expression->name);
            if (value == nullptr) return fail(Errc::invalid_argument, "the parameter {} has no value", expression->name);
            out += *value;
        }
        if (out.size() > kLongestTemplateValue) return fail(Errc::too_large, "a value has more than {} bytes", kLongestTemplateValue);
    }
    return out;
}

}  // namespace cloudtask::task
