// Template: text with expressions such as ${fire_date - 1 working day}, in the values of parameters, the words of a command and the values
// of its environment. docs/parameters.md has the language. Pure: the time of the fire is passed in, and no clock is read.
//
// Immutable, cheap to copy; any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/result.h"
#include "cloudtask/task/calendar.h"

namespace cloudtask::task {

inline constexpr std::size_t kLongestTemplate = 16 * 1024;       // bytes
inline constexpr std::size_t kLongestTemplateExpression = 256;   // bytes between ${ and }
inline constexpr std::size_t kMostExpressions = 32;              // of one template
inline constexpr std::size_t kMostSteps = 8;                     // of date arithmetic in one expression
inline constexpr std::size_t kLongestTemplateValue = 16 * 1024;  // bytes of what comes out

// What an attempt knows of itself.
struct FireFacts {
    Instant fire_time{};  // of a manual start: when it was asked for, or the time that it was given
    std::string zone = "UTC";
    std::string working_days;  // the calendar of the schedule; empty: Monday to Friday
    Calendars calendars;       // those of the definition
    std::int64_t attempt = 1;
    std::optional<std::int64_t> shard, shards;
    std::string run_id, trigger, task, group, runtime, node;
};

struct TemplateFault {
    std::size_t position = 0;  // of a character, from 1 on
    std::string problem;
    std::string allowed;

    // "character 7: 'fire_dat' is not a name"
    std::string sentence() const;
};

// Whether a template may be checked against these: what the definition around it has.
struct KnownNames {
    std::function<bool(std::string_view)> is_parameter;
    std::function<bool(std::string_view)> is_calendar;
    bool sharded = false;
};

class Template {
  public:
    struct Parts;  // private to src/task

    // Nothing, and `fault` set, if it is wrong in itself: an expression without end, an unknown unit, zone or format, too long.
    static std::optional<Template> parse(std::string_view text, TemplateFault& fault);

    // The template that comes out as `text`, whatever that is.
    static Template literal(std::string_view text);
    // `text` with every $ doubled.
    static std::string escaped(std::string_view text);

    // The first name that is not known; nothing if all are.
    std::optional<TemplateFault> unknown(const KnownNames& known) const;

    // The parameters and the calendars that it names; each once, in order.
    std::vector<std::string> parameters() const;
    std::vector<std::string> calendars() const;

    // How many steps of working days it takes: of all that an expression can ask for these cost by far the most.
    std::size_t working_day_steps() const;

    // Whether it has an expression.
    bool has_expressions() const;

    // What comes out. `parameter` is asked for the value of each parameter that it names; null: there is none.
    // Errors: invalid_argument (a parameter, calendar or zone is not there, a date leaves the years 1970 to 9999, no working day is near),
    // too_large.
    Result<std::string> evaluate(const FireFacts& facts, const std::function<const std::string*(const std::string&)>& parameter) const;

  private:
    explicit Template(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

    std::shared_ptr<const Parts> parts_;
};

// Whether `name` is one of the names that CloudTask gives a value: fire_time, attempt, ...
bool is_built_in(std::string_view name);

}  // namespace cloudtask::task
