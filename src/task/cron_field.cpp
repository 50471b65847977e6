// One field of a cron expression. Pure; any thread.
#include "task/cron_field.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "cloudtask/core/hash.h"

namespace cloudtask::task {

namespace {

constexpr std::array<std::string_view, 12> kMonthNames{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdayNames{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr int kMostDaysBeforeLast = 30;

std::string allowed_values(const CronFieldKind& kind) {
    std::string text = fmt::format("{} to {}", kind.min, kind.max);
    if (kind.is_weekday()) text = "0 to 7 (0 and 7 are Sunday)";
    if (!kind.names.empty()) text += fmt::format(" or {} to {}", kind.names.front(), kind.names.back());
    text += ", '*', lists (1,5), ranges (1-5) and steps (*/2, 1-9/2)";
    if (kind.hash_max > 0) text += ", H and H(1-5)";
    if (kind.days == CronFieldKind::Days::of_month) text += ", L (last), L-3, LW, 15W, '?'";
    if (kind.days == CronFieldKind::Days::of_week) text += ", friL (last), fri#2, '?'";
    return text;
}

std::string in_lower_case(std::string_view text) {
    std::string lower{text};
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return lower;
}

// Takes `suffix` off the end of `text` if it is there.
bool drop_suffix(std::string_view& text, std::string_view suffix) {
    if (!text.ends_with(suffix)) return false;
    text.remove_suffix(suffix.size());
    return true;
}

// Reads one field and remembers which, so that each fault can name it.
class FieldReader {
  public:
    FieldReader(const CronFieldKind& kind, std::string_view text, std::string_view task_id, std::vector<CronFault>& faults)
        : kind_(kind), text_(text), task_id_(task_id), faults_(faults) {}

    CronField read() {
        field_.starred = text_.starts_with('*') || text_ == "?";
        std::string_view rest = text_;
        for (;;) {
            const std::size_t comma = rest.find(',');
            read_item(rest.substr(0, comma));
            if (comma == std::string_view::npos) return std::move(field_);
            rest.remove_prefix(comma + 1);
        }
    }

  private:
    struct Range {
        int first = 0;
        int last = 0;         // behind kind_.max if it wraps
        bool is_one = false;  // a single value
    };

    void read_item(std::string_view item) {
        if (item.empty()) return fault("has an empty place in its list");
        if (item == "?") return read_question();
        const std::string lower = in_lower_case(item);
        if (read_named_days(lower)) return;

        const std::size_t slash = item.find('/');
        const std::string_view what = item.substr(0, slash);
        const bool hashed = lower.front() == 'h' && kind_.hash_max > 0;
        std::optional<Range> range =
            hashed ? read_hash_range(lower.substr(1, slash == std::string_view::npos ? slash : slash - 1)) : read_range(what);
        if (!range) return;
        std::optional<int> step;
        if (slash != std::string_view::npos) {
            step = read_step(item.substr(slash + 1));
            if (!step) return;
            // "5/15" begins at 5 and goes on to the end of the field.
            if (range->is_one) range->last = std::max(range->first, highest());
        }
        if (hashed) return pick(*range, step);
        for (int value = range->first; value <= range->last; value += step.value_or(1)) add(value);
    }

    void read_question() {
        if (kind_.days == CronFieldKind::Days::none) return fault("'?' is for the two day fields");
        if (text_ != "?") return fault("'?' stands alone in its field");
        for (int value = kind_.min; value <= highest(); ++value) add(value);
    }

    // L, W and #. False if `item` is none of them.
    bool read_named_days(std::string_view item) {
        if (kind_.days == CronFieldKind::Days::of_month) return read_month_day(item);
        if (kind_.days == CronFieldKind::Days::of_week) return read_weekday_of_month(item);
        return false;
    }

    bool read_month_day(std::string_view item) {
        MonthDay day;
        const bool nearest = drop_suffix(item, "w");
        if (nearest) day.unit = MonthDay::Unit::nearest_working_day;
        if (item.starts_with('l')) {
            day.from_end = true;
            item.remove_prefix(1);
            if (!item.empty()) {
                const auto before = item.starts_with('-') ? read_number(item.substr(1)) : std::nullopt;
                if (!before || *before < 1 || *before > kMostDaysBeforeLast) {
                    fault(fmt::format("'L{}' is not L-1 to L-{}", item, kMostDaysBeforeLast));
                    return true;
                }
                day.ordinal += *before;
            }
        } else if (nearest) {
            const auto date = read_value(item);
            if (!date) return true;
            day.ordinal = *date;
        } else {
            return false;
        }
        field_.days.push_back(day);
        return true;
    }

    bool read_weekday_of_month(std::string_view item) {
        MonthDay day{.unit = MonthDay::Unit::weekday};
        const std::size_t hash = item.find('#');
        if (hash != std::string_view::npos) {
            const auto nth = read_number(item.substr(hash + 1));
            if (!nth || *nth < 1 || *nth > 5) {
                fault(fmt::format("'{}' is not one of the 1st to the 5th of a month", item.substr(hash)));
                return true;
            }
            day.ordinal = *nth;
            item = item.substr(0, hash);
        } else if (drop_suffix(item, "l")) {
            day.from_end = true;
            if (item.empty()) {
                fault("'L' needs a weekday before it: friL is the last Friday of the month");
                return true;
            }
        } else {
            return false;
        }
        if (const auto weekday = read_value(item)) {
            day.weekday = *weekday % 7;
            field_.days.push_back(day);
        }
        return true;
    }

    std::optional<Range> read_range(std::string_view text) {
        if (text == "*") return Range{kind_.min, highest(), false};
        const std::size_t dash = text.find('-');
        const auto low = read_value(text.substr(0, dash));
        const auto high = dash == std::string_view::npos ? low : read_value(text.substr(dash + 1));
        if (!low || !high) return std::nullopt;
        Range range{*low, *high, dash == std::string_view::npos};
        if (range.first <= range.last) return range;
        if (!kind_.wraps) {
            fault(fmt::format("the range {} runs backwards", text));
            return std::nullopt;
        }
        range.last += values_of_kind();
        return range;
    }

    // What follows H: nothing, or "(0-29)".
    std::optional<Range> read_hash_range(std::string_view text) {
        if (text.empty()) return Range{kind_.min, kind_.hash_max, false};
        const std::size_t dash = text.find('-');
        if (!text.starts_with('(') || !text.ends_with(')') || dash == std::string_view::npos) {
            fault(fmt::format("'H{}' is not H or H(FIRST-LAST)", text));
            return std::nullopt;
        }
        const auto low = read_value(text.substr(1, dash - 1));
        const auto high = read_value(text.substr(dash + 1, text.size() - dash - 2));
        if (!low || !high) return std::nullopt;
        if (*low > *high || *high > kind_.hash_max) {
            fault(fmt::format("H picks from {} to {}, lower value first", kind_.min, kind_.hash_max));
            return std::nullopt;
        }
        return Range{*low, *high, false};
    }

    // H is one value of the range; H/n every n-th from one of its first n on.
    void pick(Range range, std::optional<int> step) {
        const int values = range.last - range.first + 1;
        if (step && (*step == 1 || *step > values)) {
            return fault(fmt::format("the step {} of H is not in 2 to {}, the number of values that it picks from", *step, values));
        }
        for (int value = range.first; value <= range.last; ++value) field_.may_pick |= std::uint64_t{1} << value;
        const auto choices = static_cast<std::uint64_t>(step.value_or(values));
        const int first = range.first + static_cast<int>(xxhash64(task_id_, kind_.number) % choices);
        for (int value = first; value <= range.last; value += step.value_or(values)) add(value);
    }

    std::optional<int> read_step(std::string_view text) {
        const auto number = read_number(text);
        if (!number || *number == 0) {
            fault(fmt::format("the step '{}' is not a number above 0", text));
            return std::nullopt;
        }
        const int values = kind_.max - kind_.min + 1;
        if (*number <= values) return number;
        fault(
            fmt::format("the step {} is more than the {} values of the field; a longer interval is an `every` schedule", *number, values));
        return std::nullopt;
    }

    std::optional<int> read_value(std::string_view text) {
        const auto number = read_number(text);
        if (number) {
            if (*number >= kind_.min && *number <= kind_.max) return number;
            fault(fmt::format("{} is not in {} to {}", text, kind_.min, kind_.max));
            return std::nullopt;
        }
        const auto found = std::find(kind_.names.begin(), kind_.names.end(), in_lower_case(text));
        if (found != kind_.names.end()) return kind_.first_named + static_cast<int>(found - kind_.names.begin());
        fault(fmt::format("'{}' is not a number{}", text, kind_.names.empty() ? "" : " or a name"));
        return std::nullopt;
    }

    // At most four digits: more than any field or step needs, and no overflow.
    static std::optional<int> read_number(std::string_view text) {
        if (text.empty() || text.size() > 4) return std::nullopt;
        int number = 0;
        for (const char c : text) {
            if (c < '0' || c > '9') return std::nullopt;
            number = number * 10 + (c - '0');
        }
        return number;
    }

    int highest() const { return kind_.is_weekday() ? 6 : kind_.max; }
    int values_of_kind() const { return highest() - kind_.min + 1; }

    void add(int value) { field_.values.set(static_cast<std::size_t>((value - kind_.min) % values_of_kind() + kind_.min - kind_.base)); }

    void fault(const std::string& what) {
        faults_.push_back({fmt::format("{} field '{}': {}", kind_.name, text_, what), allowed_values(kind_)});
    }

    const CronFieldKind& kind_;
    std::string_view text_;
    std::string_view task_id_;
    std::vector<CronFault>& faults_;
    CronField field_;
};

}  // namespace

const CronFieldKind kSecondField{.name = "second", .min = 0, .max = 59, .hash_max = 59, .number = 0};
const CronFieldKind kMinuteField{.name = "minute", .min = 0, .max = 59, .hash_max = 59, .number = 1};
const CronFieldKind kHourField{.name = "hour", .min = 0, .max = 23, .hash_max = 23, .number = 2};
// H picks from the days that every month has.
const CronFieldKind kDayField{
    .name = "day-of-month", .min = 1, .max = 31, .hash_max = 28, .number = 3, .days = CronFieldKind::Days::of_month};
const CronFieldKind kMonthField{.name = "month", .min = 1, .max = 12, .hash_max = 12, .number = 4, .names = kMonthNames, .first_named = 1};
const CronFieldKind kWeekdayField{.name = "day-of-week",
                                  .min = 0,
                                  .max = 7,
                                  .hash_max = 6,
                                  .number = 5,
                                  .names = kWeekdayNames,
                                  .first_named = 0,
                                  .days = CronFieldKind::Days::of_week};
const CronFieldKind kYearField{.name = "year", .min = kFirstCronYear, .max = kLastCronYear, .base = kFirstCronYear, .wraps = false};

CronField read_cron_field(const CronFieldKind& kind, std::string_view text, std::string_view task_id, std::vector<CronFault>& faults) {
    return FieldReader{kind, text, task_id, faults}.read();
}

}  // namespace cloudtask::task
