// Reads one expression: NAME [in ZONE] {+|- N UNIT [of CALENDAR] | to start|end of UNIT} [as FORMAT]. Pure; any thread.
#include "task/template_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace cloudtask::task {

namespace {

using NamedBuiltIn = std::pair<std::string_view, BuiltIn>;
constexpr std::array<NamedBuiltIn, 11> kBuiltIns{NamedBuiltIn{"fire_time", BuiltIn::fire_time},
                                                 {"fire_date", BuiltIn::fire_date},
                                                 {"attempt", BuiltIn::attempt},
                                                 {"shard", BuiltIn::shard},
                                                 {"shards", BuiltIn::shards},
                                                 {"run_id", BuiltIn::run_id},
                                                 {"trigger", BuiltIn::trigger},
                                                 {"task", BuiltIn::task},
                                                 {"group", BuiltIn::group},
                                                 {"runtime", BuiltIn::runtime},
                                                 {"node", BuiltIn::node}};

using NamedUnit = std::pair<std::string_view, DateStep::Unit>;
constexpr std::array<NamedUnit, 8> kUnits{NamedUnit{"second", DateStep::Unit::second},
                                          {"minute", DateStep::Unit::minute},
                                          {"hour", DateStep::Unit::hour},
                                          {"day", DateStep::Unit::day},
                                          {"week", DateStep::Unit::week},
                                          {"month", DateStep::Unit::month},
                                          {"quarter", DateStep::Unit::quarter},
                                          {"year", DateStep::Unit::year}};
constexpr std::string_view kAllowedUnits = "second, minute, hour, day, working day, week, month, quarter or year, with or without an s";

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n'; }
bool is_name_part(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_'; }
bool is_digit_of_step(char c) { return c >= '0' && c <= '9'; }

std::optional<DateStep::Unit> unit_named(std::string_view word) {
    if (word.ends_with('s')) word.remove_suffix(1);
    for (const auto& [name, unit] : kUnits) {
        if (name == word) return unit;
    }
    return std::nullopt;
}

bool has_time_of_day(DateStep::Unit unit) {
    return unit == DateStep::Unit::second || unit == DateStep::Unit::minute || unit == DateStep::Unit::hour;
}

class ExpressionReader {
  public:
    ExpressionReader(std::string_view text, TemplateFault& fault) : text_(text), fault_(fault) {}

    std::optional<Expression> read() {
        Expression expression;
        skip_spaces();
        expression.position = at_;
        expression.name = word(is_name_part);
        if (expression.name.empty()) return wrong(at_, "a name is missing", "a name such as ${fire_date}; a $ itself is written $$");
        if (expression.name == "secrets" && text_.substr(at_).starts_with('.')) {
            ++at_;
            expression.name += "." + word(is_name_part);
        }
        expression.built_in = built_in_named(expression.name);
        skip_spaces();
        if (at_ == text_.size()) return expression;
        is_date_ = expression.built_in == BuiltIn::fire_date;
        if (!is_date_ && expression.built_in != BuiltIn::fire_time) {
            return wrong(at_, fmt::format("nothing can follow '{}'", expression.name), "only fire_time and fire_date can be computed with");
        }
        if (!read_zone(expression) || !read_steps(expression) || !read_format(expression)) return std::nullopt;
        return expression;
    }

  private:
    std::nullopt_t wrong(std::size_t position, std::string problem, std::string allowed) {
        fault_ = {position, std::move(problem), std::move(allowed)};
        return std::nullopt;
    }
    bool refuse(std::size_t position, std::string problem, std::string allowed) {
        fault_ = {position, std::move(problem), std::move(allowed)};
        return false;
    }

    void skip_spaces() {
        while (at_ < text_.size() && is_space(text_[at_])) ++at_;
    }

    template <class Belongs>
    std::string word(Belongs belongs) {
        const std::size_t begin = at_;
        while (at_ < text_.size() && belongs(text_[at_])) ++at_;
        return std::string{text_.substr(begin, at_ - begin)};
    }

    // Takes `keyword` if it is the next word.
    bool takes(std::string_view keyword) {
        skip_spaces();
        const std::string_view rest = text_.substr(at_);
        if (!rest.starts_with(keyword) || (rest.size() > keyword.size() && is_name_part(rest[keyword.size()]))) return false;
        at_ += keyword.size();
        skip_spaces();
        return true;
    }

    bool read_zone(Expression& expression) {
        if (!takes("in")) return true;
        const std::size_t begin = at_;
        expression.zone = word([](char c) { return !is_space(c); });
        if (Zone::load(expression.zone)) return true;
        return refuse(begin, fmt::format("'{}' is not a zone of the IANA database", expression.zone), "a zone such as Europe/Berlin");
    }

    bool read_steps(Expression& expression) {
        for (skip_spaces(); at_ < text_.size(); skip_spaces()) {
            const std::size_t begin = at_;
            DateStep step;
            if (text_[at_] == '+' || text_[at_] == '-') {
                if (!read_added(step)) return false;
            } else if (takes("to")) {
                if (!read_bound(step)) return false;
            } else {
                return true;
            }
            if (is_date_ && has_time_of_day(step.unit)) {
                return refuse(begin, "a date has no time of day", "days and longer; begin with fire_time to compute with hours");
            }
            if (expression.steps.size() == kMostSteps) {
                return refuse(begin, "there are too many steps", fmt::format("{} at the most", kMostSteps));
            }
            expression.steps.push_back(std::move(step));
        }
        return true;
    }

    bool read_added(DateStep& step) {
        const bool back = text_[at_] == '-';
        ++at_;
        skip_spaces();
        const std::size_t begin = at_;
        const std::string digits = word(is_digit_of_step);
        skip_spaces();
        const bool working = takes("working");
        const std::size_t unit_at = at_;
        const auto unit = unit_named(word(is_name_part));
        if (digits.empty()) return refuse(begin, "a number is missing", "a number and a unit, such as 1 day");
        if (!unit || (working && *unit != DateStep::Unit::day)) return refuse(unit_at, "this is not a unit", std::string{kAllowedUnits});
        step.unit = working ? DateStep::Unit::working_day : *unit;
        const int most = working ? kMostWorkingDays : kMostAdded;
        const int amount = digits.size() > 4 ? kMostAdded + 1 : std::stoi(digits);
        if (amount < 1 || amount > most) return refuse(begin, fmt::format("{} is out of bounds", digits), fmt::format("1 to {}", most));
        step.amount = back ? -amount : amount;
        if (working && takes("of")) {
            const std::size_t calendar_at = at_;
            step.calendar = word([](char c) { return (c >= 'a' && c <= 'z') || is_digit_of_step(c) || c == '-'; });
            if (step.calendar.empty()) return refuse(calendar_at, "the name of a calendar is missing", "a calendar that the task has");
        }
        return true;
    }

    bool read_bound(DateStep& step) {
        const std::size_t begin = at_;
        const bool start = takes("start");
        if ((!start && !takes("end")) || !takes("of")) return refuse(begin, "this is not a step", "to start of UNIT, or to end of UNIT");
        step.kind = start ? DateStep::Kind::start_of : DateStep::Kind::end_of;
        const std::size_t unit_at = at_;
        const auto unit = unit_named(word(is_name_part));
        if (!unit || *unit == DateStep::Unit::second) {
            return refuse(unit_at, "this is not a unit", "minute, hour, day, week, month, quarter or year");
        }
        step.unit = *unit;
        return true;
    }

    bool read_format(Expression& expression) {
        skip_spaces();
        if (at_ == text_.size()) return true;
        const std::size_t begin = at_;
        if (!takes("as")) {
            return refuse(begin, "this is not understood", "in ZONE, then steps such as - 1 day or to start of month, then as FORMAT");
        }
        std::string_view format = text_.substr(at_);
        while (!format.empty() && is_space(format.back())) format.remove_suffix(1);
        if (format.empty()) return refuse(begin, "a format is missing", "a format such as %Y-%m-%d");
        if (auto problem = format_problem(format, is_date_); !problem.empty()) {
            return refuse(at_, "the format " + std::move(problem),
                          "%Y %y %m %d %j %u %a %A %b %B %G %V %F %%, of a time also %H %M %S %T %z %Z %s");
        }
        expression.format = std::string{format};
        at_ = text_.size();
        return true;
    }

    std::string_view text_;
    TemplateFault& fault_;
    std::size_t at_ = 0;
    bool is_date_ = false;
};

}  // namespace

std::optional<BuiltIn> built_in_named(std::string_view name) {
    for (const auto& [known, built_in] : kBuiltIns) {
        if (known == name) return built_in;
    }
    return std::nullopt;
}

bool is_built_in(std::string_view name) { return built_in_named(name).has_value(); }

std::optional<Expression> read_expression(std::string_view text, TemplateFault& fault) { return ExpressionReader{text, fault}.read(); }

}  // namespace cloudtask::task
