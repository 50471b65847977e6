// One field of a cron expression. Pure; any thread.
#include "task/cron_field.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

namespace cloudtask::task {

namespace {

constexpr std::array<std::string_view, 12> kMonthNames{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::array<std::string_view, 7> kWeekdayNames{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

std::string allowed_values(const CronFieldKind& kind) {
    std::string text = fmt::format("{} to {}", kind.min, kind.max);
    if (kind.is_weekday) text = "0 to 7 (0 and 7 are Sunday)";
    if (!kind.names.empty()) text += fmt::format(" or {} to {}", kind.names.front(), kind.names.back());
    return text + ", '*', lists (1,5), ranges (1-5) and steps (*/2, 1-9/2)";
}

// Reads one field and remembers which, so that each fault can name it.
class FieldReader {
  public:
    FieldReader(const CronFieldKind& kind, std::string_view text, std::vector<CronFault>& faults)
        : kind_(kind), text_(text), faults_(faults) {}

    CronField read() {
        CronField field;
        field.starred = text_.starts_with('*');
        std::string_view rest = text_;
        for (;;) {
            const std::size_t comma = rest.find(',');
            field.values |= read_item(rest.substr(0, comma));
            if (comma == std::string_view::npos) return field;
            rest.remove_prefix(comma + 1);
        }
    }

  private:
    // The values of one item; none if it is faulty.
    std::uint64_t read_item(std::string_view item) {
        if (item.empty()) return fault("has an empty place in its list");
        const std::size_t slash = item.find('/');
        const std::string_view range = item.substr(0, slash);
        const std::size_t dash = range.find('-');

        int first = kind_.min;
        int last = kind_.is_weekday ? 6 : kind_.max;
        if (range != "*") {
            const auto low = read_value(range.substr(0, dash));
            const auto high = dash == std::string_view::npos ? low : read_value(range.substr(dash + 1));
            if (!low || !high) return 0;
            first = *low;
            last = *high;
            if (kind_.is_weekday && last == 0 && first > 0) last = 7;
            if (first > last) {
                return fault(fmt::format("the range {} runs backwards; write {}-{},{}-{}", range, first, kind_.is_weekday ? 6 : kind_.max,
                                         kind_.min, last));
            }
        }

        int step = 1;
        if (slash != std::string_view::npos) {
            if (range != "*" && dash == std::string_view::npos) {
                return fault(fmt::format("a step needs a range or '*'; write {}-{}/{}", range, kind_.max, item.substr(slash + 1)));
            }
            const auto number = read_number(item.substr(slash + 1));
            if (!number || *number == 0) return fault(fmt::format("the step '{}' is not a number above 0", item.substr(slash + 1)));
            const int values = kind_.max - kind_.min + 1;
            if (*number > values) {
                return fault(fmt::format("the step {} is more than the {} values of the field; a longer interval is an `every` schedule",
                                         *number, values));
            }
            step = *number;
        }

        std::uint64_t values = 0;
        for (int value = first; value <= last; value += step) values |= std::uint64_t{1} << (kind_.is_weekday ? value % 7 : value);
        return values;
    }

    std::optional<int> read_value(std::string_view text) {
        const auto number = read_number(text);
        if (number) {
            if (*number >= kind_.min && *number <= kind_.max) return number;
            fault(fmt::format("{} is not in {} to {}", text, kind_.min, kind_.max));
            return std::nullopt;
        }
        std::string lower{text};
        for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
        const auto found = std::find(kind_.names.begin(), kind_.names.end(), lower);
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

    std::uint64_t fault(const std::string& what) {
        faults_.push_back({fmt::format("{} field '{}': {}", kind_.name, text_, what), allowed_values(kind_)});
        return 0;
    }

    const CronFieldKind& kind_;
    std::string_view text_;
    std::vector<CronFault>& faults_;
};

}  // namespace

const CronFieldKind kSecondField{.name = "second", .min = 0, .max = 59};
const CronFieldKind kMinuteField{.name = "minute", .min = 0, .max = 59};
const CronFieldKind kHourField{.name = "hour", .min = 0, .max = 23};
const CronFieldKind kDayField{.name = "day-of-month", .min = 1, .max = 31};
const CronFieldKind kMonthField{.name = "month", .min = 1, .max = 12, .names = kMonthNames, .first_named = 1};
const CronFieldKind kWeekdayField{.name = "day-of-week", .min = 0, .max = 7, .names = kWeekdayNames, .first_named = 0, .is_weekday = true};

CronField read_cron_field(const CronFieldKind& kind, std::string_view text, std::vector<CronFault>& faults) {
    return FieldReader{kind, text, faults}.read();
}

}  // namespace cloudtask::task
