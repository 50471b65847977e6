// The JSON of a Calendar: one canonical form, by which equal calendars become one object. Pure but for the zone files that cctz reads and
// the pool of the calendars that are in use; any thread.
#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <unordered_map>
#include <utility>

#include "cloudtask/core/units.h"
#include "cloudtask/task/calendar.h"
#include "task/calendar_json.h"
#include "task/calendar_rules.h"
#include "task/codec_rules.h"
#include "task/moment.h"
#include "task/schedule_rule.h"
#include "task/time_of_day.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kMostHolidays = 1500;
constexpr std::size_t kMostBlackouts = 500;
constexpr std::size_t kMostRecurring = 16;
constexpr int kMostStartsPerDay = 24;
constexpr Duration kShortestBlackout = std::chrono::seconds{1};
constexpr Duration kLongestBlackout = std::chrono::hours{24 * 31};
constexpr json::TextRule kNameRule{.min = 0, .max = 128};
constexpr std::string_view kAllowedDate = "a date such as 2026-12-25, years 1970 to 2399";
constexpr std::string_view kAllowedYearly =
    "a month and day such as 12-25, words such as 'last mon of may' or '1st mon of sep', or 'easter', 'easter+1', 'easter-2'";
constexpr std::string_view kAllowedLocal = "a local date and time such as 2026-06-30T18:00, in the zone of the calendar";
constexpr std::string_view kOneOfDays = "exactly one of 'date', 'from' with 'to', and 'yearly'";
constexpr std::string_view kOneOfBlackouts = "exactly one of 'from' with 'to', and 'cron' with 'lasting'";
constexpr std::string_view kEachDayOnce = "each day in one entry";

// The calendars in use, by their texts.
class CalendarPool {
  public:
    CalendarPointer find(const std::string& text) {
        const std::lock_guard lock{mutex_};
        const auto found = known_.find(text);
        return found == known_.end() ? nullptr : found->second.lock();
    }

    // The one of equal content that there is already, else this one.
    CalendarPointer add(CalendarPointer calendar) {
        const std::lock_guard lock{mutex_};
        std::weak_ptr<const Calendar>& known = known_[calendar->text()];
        if (auto same = known.lock()) return same;
        known = calendar;
        // What went out of use is forgotten now and then.
        if (known_.size() >= 2 * kept_) {
            std::erase_if(known_, [](const auto& each) { return each.second.expired(); });
            kept_ = std::max<std::size_t>(known_.size(), 16);
        }
        return calendar;
    }

  private:
    std::mutex mutex_;
    std::unordered_map<std::string, std::weak_ptr<const Calendar>> known_;
    std::size_t kept_ = 16;
};

CalendarPool& pool() {
    static CalendarPool calendars;
    return calendars;
}

// Reads one calendar; each method one part of it.
class NamedCalendarReader {
  public:
    NamedCalendarReader(const json::Value& value, const std::string& pointer, Faults& faults)
        : reader_(value, pointer, faults), faults_(faults), rules_(read_calendar_zone()) {}

    std::unique_ptr<Calendar::Rules> read() {
        const FaultCount count{faults_};
        std::string choice;
        if (reader_.read_choice("excludes", choice, {"holidays", "non_working_days"})) {
            rules_.excludes_all_non_working = choice == "non_working_days";
        }
        read_weekday_list(reader_, "working_days", rules_.weekdays);
        read_holidays();
        read_extra();
        read_blackouts();
        reader_.finish();
        if (!count.none_since() || zone_is_faulty_) return nullptr;
        refuse_repeated_holidays();
        refuse_overlapping_ranges();
        if (!count.none_since()) return nullptr;
        return std::make_unique<Calendar::Rules>(std::move(rules_));
    }

  private:
    Zone read_calendar_zone() {
        std::string name = "UTC";
        reader_.read("zone", name, {.min = 1, .max = 64});
        if (auto zone = Zone::load(name)) return *zone;
        faults_.add(reader_.pointer("zone"), fmt::format("'{}' is not a zone of the IANA database", name), std::string{kAllowedZone});
        zone_is_faulty_ = true;
        return *Zone::load("UTC");  // so that the faults of the rest are found too
    }

    std::optional<Date> read_date(json::ObjectReader& entry, std::string_view name) {
        std::string text;
        if (!entry.require(name) || !entry.read(name, text, {.min = 1, .max = 16})) return std::nullopt;
        const auto date = parse_date(text);
        if (!date) faults_.add(entry.pointer(name), fmt::format("'{}' is not a date", text), std::string{kAllowedDate});
        return date;
    }

    void read_holidays() {
        const json::Value* list = reader_.array("holidays", {.min = 0, .max = kMostHolidays});
        if (list == nullptr) return;
        for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
            const std::string at = pointer_to(reader_.pointer("holidays"), i);
            json::ObjectReader entry{(*list)[i], at, faults_};
            read_holiday(entry, at, (*list)[i].IsObject());
            entry.finish();
        }
    }

    void read_holiday(json::ObjectReader& entry, const std::string& at, bool is_object) {
        std::string name;
        entry.read("name", name, kNameRule);
        const bool ranged = entry.has("from") || entry.has("to");
        if (is_object && int{entry.has("date")} + int{ranged} + int{entry.has("yearly")} != 1) {
            faults_.add(at, "has no day, or more than one rule", std::string{kOneOfDays});
            for (const std::string_view known : {"date", "from", "to", "yearly"}) entry.ignore(known);
            return;
        }
        if (entry.has("date")) {
            if (const auto date = read_date(entry, "date")) add_dates({*date, *date + 1, name, or_text(name, format_date(*date))}, at);
        } else if (ranged) {
            const auto from = read_date(entry, "from"), to = read_date(entry, "to");
            if (!from || !to) return;
            if (*to <= *from) {
                faults_.add(entry.pointer("to"), "is not after 'from'", "the first day after the holidays: ranges are half open");
            } else {
                add_dates({*from, *to, name, or_text(name, fmt::format("{} to {}", format_date(*from), format_date(*to)))}, at);
            }
        } else if (entry.has("yearly")) {
            read_yearly(entry, at, name);
        }
    }

    void read_yearly(json::ObjectReader& entry, const std::string& at, const std::string& name) {
        std::string text;
        if (!entry.read("yearly", text, {.min = 1, .max = 64})) return;
        const auto day = parse_yearly_day(text);
        if (!day)
            return faults_.add(entry.pointer("yearly"), fmt::format("'{}' is no day of each year", text), std::string{kAllowedYearly});
        rules_.yearly.push_back({*day, name, or_text(name, format_yearly_day(*day))});
        yearly_pointers_.push_back(at);
    }

    static std::string or_text(const std::string& name, std::string text) { return name.empty() ? std::move(text) : name; }

    void add_dates(Calendar::Rules::Dates dates, const std::string& at) {
        rules_.dates.push_back(std::move(dates));
        date_pointers_.push_back(at);
    }

    void read_extra() {
        std::vector<std::string> texts;
        if (!reader_.read("extra_working_days", texts, {.min = 0, .max = kMostHolidays, .item = {.min = 1, .max = 16}})) return;
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const std::string at = pointer_to(reader_.pointer("extra_working_days"), i);
            const auto date = parse_date(texts[i]);
            if (!date) {
                faults_.add(at, fmt::format("'{}' is not a date", texts[i]), std::string{kAllowedDate});
            } else if (std::find(rules_.extra.begin(), rules_.extra.end(), *date) != rules_.extra.end()) {
                faults_.add(at, fmt::format("'{}' is there twice", texts[i]), "each once");
            } else {
                rules_.extra.push_back(*date);
                extra_pointers_.emplace_back(*date, at);
            }
        }
        std::sort(rules_.extra.begin(), rules_.extra.end());
    }

    void read_blackouts() {
        const json::Value* list = reader_.array("blackouts", {.min = 0, .max = kMostBlackouts});
        if (list == nullptr) return;
        for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
            const std::string at = pointer_to(reader_.pointer("blackouts"), i);
            json::ObjectReader entry{(*list)[i], at, faults_};
            std::string name;
            entry.read("name", name, kNameRule);
            const bool recurring = entry.has("cron") || entry.has("lasting");
            if ((*list)[i].IsObject() && recurring == (entry.has("from") || entry.has("to"))) {
                faults_.add(at, "has no time, or more than one rule", std::string{kOneOfBlackouts});
                for (const std::string_view known : {"from", "to", "cron", "lasting"}) entry.ignore(known);
            } else if (recurring) {
                read_recurring(entry, name);
            } else {
                read_range(entry, at, name);
            }
            entry.finish();
        }
        if (rules_.recurring.size() > kMostRecurring) {
            faults_.add(reader_.pointer("blackouts"), fmt::format("has {} entries with 'cron'", rules_.recurring.size()),
                        fmt::format("{} at most", kMostRecurring));
        }
    }

    void read_range(json::ObjectReader& entry, const std::string& at, const std::string& name) {
        Calendar::Rules::Range range;
        const bool read_both =
            read_bound_of(entry, "from", range.from, range.from_text) & read_bound_of(entry, "to", range.to, range.to_text);
        if (!read_both) return;
        if (range.to <= range.from) {
            return faults_.add(entry.pointer("to"), "is not after 'from'", "the first instant after the blackout: ranges are half open");
        }
        range.name = name;
        range.label = or_text(name, fmt::format("blackout {} to {}", range.from_text, range.to_text));
        rules_.ranges.push_back(std::move(range));
        range_pointers_.push_back(at);
    }

    bool read_bound_of(json::ObjectReader& entry, std::string_view name, Instant& out, std::string& text) {
        if (!entry.require(name) || !entry.read(name, text, {.min = 1, .max = 40})) return false;
        // A local time ends with a digit, and has no sign of an offset after its 'T'.
        const std::size_t time = text.find('T');
        const bool has_offset = text.ends_with('Z') || text.ends_with('z') ||
                                (time != std::string::npos && text.find_first_of("+-", time) != std::string::npos);
        const auto moment = has_offset ? Result<Instant>{fail(Errc::invalid_argument, "has an offset")} : parse_moment(text, rules_.zone);
        if (!moment || *moment >= Instant{kLocalRulesEnd}) {
            faults_.add(entry.pointer(name), fmt::format("'{}' is not a local date and time", text), std::string{kAllowedLocal});
            return false;
        }
        out = *moment;
        return true;
    }

    void read_recurring(json::ObjectReader& entry, const std::string& name) {
        std::string expression;
        Duration lasting{};
        const bool has_both = entry.require("cron") & entry.require("lasting");
        if (!has_both) {
            for (const std::string_view known : {"cron", "lasting"}) entry.ignore(known);
            return;
        }
        const bool read_lasting = entry.read_duration("lasting", lasting, {.min = kShortestBlackout, .max = kLongestBlackout});
        if (!entry.read("cron", expression, {.min = 1, .max = kLongestExpression})) return;
        std::vector<CronFault> cron_faults;
        const auto starts = CronRule::parse(expression, cron_faults);
        for (CronFault& fault : cron_faults) faults_.add(entry.pointer("cron"), std::move(fault.problem), std::move(fault.allowed));
        if (!starts || !read_lasting) return;
        if (starts->is_hashed()) {
            return faults_.add(entry.pointer("cron"), "has an H, which is for tasks", "times that are the same for every task");
        }
        if (starts->starts_per_day() > kMostStartsPerDay) {
            return faults_.add(entry.pointer("cron"), fmt::format("begins {} times a day", starts->starts_per_day()),
                               fmt::format("{} times a day at most, each lasting longer", kMostStartsPerDay));
        }
        std::string text = fmt::format("blackout {} for {}", starts->text(), format_duration(lasting));
        rules_.recurring.push_back({*starts, lasting, name, or_text(name, std::move(text))});
    }

    // Both lists in order afterwards; the pointers stay those of the input.
    void refuse_repeated_holidays() {
        std::vector<std::size_t> order(rules_.dates.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::stable_sort(order.begin(), order.end(), [this](auto a, auto b) { return rules_.dates[a].from < rules_.dates[b].from; });
        std::vector<Calendar::Rules::Dates> sorted;
        std::size_t longest = 0;  // of those before, the one that ends last
        for (const std::size_t index : order) {
            const auto& dates = rules_.dates[index];
            if (!sorted.empty() && dates.from < rules_.dates[longest].to) {
                faults_.add(date_pointers_[index], fmt::format("overlaps {} ({})", date_pointers_[longest], rules_.dates[longest].label),
                            std::string{kEachDayOnce});
            }
            if (sorted.empty() || dates.to > rules_.dates[longest].to) longest = index;
            refuse_beside_yearly(dates, date_pointers_[index]);
            sorted.push_back(dates);
        }
        for (const auto& [date, at] : extra_pointers_) {
            for (std::size_t i = 0; i < rules_.dates.size(); ++i) {
                if (rules_.dates[i].from <= date && date < rules_.dates[i].to) {
                    faults_.add(at, fmt::format("is a holiday by {} ({})", date_pointers_[i], rules_.dates[i].label),
                                "a day is worked or a holiday");
                }
            }
        }
        rules_.dates = std::move(sorted);
        refuse_repeated_yearly();
    }

    // One day that is a holiday in each year anyway. (A longer range may well hold some of these.)
    void refuse_beside_yearly(const Calendar::Rules::Dates& dates, const std::string& at) {
        if (dates.to != dates.from + 1) return;
        for (std::size_t i = 0; i < rules_.yearly.size(); ++i) {
            if (rules_.yearly[i].day.in(dates.from.year()) == dates.from) {
                faults_.add(at, fmt::format("repeats the yearly {} ({})", yearly_pointers_[i], rules_.yearly[i].label),
                            std::string{kEachDayOnce});
            }
        }
    }

    void refuse_repeated_yearly() {
        for (std::size_t i = 0; i < rules_.yearly.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                if (rules_.yearly[i].day == rules_.yearly[j].day) {
                    faults_.add(yearly_pointers_[i], fmt::format("repeats {} ({})", yearly_pointers_[j], rules_.yearly[j].label),
                                std::string{kEachDayOnce});
                    break;
                }
            }
        }
        // A leap year's order, so that it is the same whichever year it is looked at in.
        const auto key = [](const Calendar::Rules::Yearly& each) {
            return std::pair{each.day.in(2000).value_or(Date(2000, 12, 31)), format_yearly_day(each.day)};
        };
        std::stable_sort(rules_.yearly.begin(), rules_.yearly.end(), [key](const auto& a, const auto& b) { return key(a) < key(b); });
    }

    void refuse_overlapping_ranges() {
        std::vector<std::size_t> order(rules_.ranges.size());
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
        std::stable_sort(order.begin(), order.end(), [this](auto a, auto b) { return rules_.ranges[a].from < rules_.ranges[b].from; });
        std::vector<Calendar::Rules::Range> sorted;
        std::size_t longest = 0;  // of those before, the one that ends last
        for (const std::size_t index : order) {
            const auto& range = rules_.ranges[index];
            if (!sorted.empty() && range.from < rules_.ranges[longest].to) {
                faults_.add(range_pointers_[index], fmt::format("overlaps {} ({})", range_pointers_[longest], rules_.ranges[longest].label),
                            "ranges that do not overlap");
            }
            if (sorted.empty() || range.to > rules_.ranges[longest].to) longest = index;
            sorted.push_back(range);
        }
        rules_.ranges = std::move(sorted);
        for (std::size_t i = 0; i < rules_.recurring.size(); ++i) {
            for (std::size_t j = 0; j < i; ++j) {
                if (rules_.recurring[i].starts == rules_.recurring[j].starts) {
                    faults_.add(reader_.pointer("blackouts"), fmt::format("has '{}' twice", rules_.recurring[i].starts.text()),
                                "each once");
                }
            }
        }
    }

    json::ObjectReader reader_;
    Faults& faults_;
    bool zone_is_faulty_ = false;
    Calendar::Rules rules_;
    std::vector<std::string> date_pointers_, yearly_pointers_, range_pointers_;  // of each entry, in the order of the input
    std::vector<std::pair<Date, std::string>> extra_pointers_;
};

void write_name(json::Writer& out, const std::string& name) {
    if (!name.empty()) out.member("name", name);
    out.end_object();
}

std::string canonical_text(const Calendar::Rules& rules) {
    json::Writer out;
    out.begin_object().member("zone", rules.zone.name());
    out.member("excludes", rules.excludes_all_non_working ? "non_working_days" : "holidays");
    write_weekday_list(out, "working_days", rules.weekdays);
    out.key("holidays").begin_array();
    for (const auto& each : rules.dates) {
        out.begin_object();
        if (each.to == each.from + 1) {
            out.member("date", format_date(each.from));
        } else {
            out.member("from", format_date(each.from)).member("to", format_date(each.to));
        }
        write_name(out, each.name);
    }
    for (const auto& each : rules.yearly) write_name(out.begin_object().member("yearly", format_yearly_day(each.day)), each.name);
    out.end_array().key("extra_working_days").begin_array();
    for (const Date date : rules.extra) out.value(format_date(date));
    out.end_array().key("blackouts").begin_array();
    for (const auto& each : rules.ranges) {
        write_name(out.begin_object().member("from", each.from_text).member("to", each.to_text), each.name);
    }
    for (const auto& each : rules.recurring) {
        write_name(out.begin_object().member("cron", each.starts.text()).member("lasting", format_duration(each.lasting)), each.name);
    }
    out.end_array().end_object();
    return out.text();
}

// Whether the recurring blackouts, together with what else there is, ever leave time free.
bool leaves_time_free(const Calendar& calendar, const Calendar::Rules& rules) {
    const Instant from{std::chrono::sys_days{std::chrono::year{2026} / 1 / 1}};
    return rules.recurring.empty() || calendar.first_free(from).has_value();
}

}  // namespace

CalendarPointer Calendar::read(const json::Value& value, const std::string& pointer, Faults& faults) {
    // What a center wrote is canonical: calendars that are known already need not be read again.
    if (auto known = pool().find(json::to_text(value))) return known;
    auto rules = NamedCalendarReader{value, pointer, faults}.read();
    if (rules == nullptr) return nullptr;
    std::string text = canonical_text(*rules);
    if (text.size() > kLargestCalendar) {
        faults.add(pointer, fmt::format("has {} bytes as JSON", text.size()), fmt::format("{} at most", kLargestCalendar));
        return nullptr;
    }
    const auto calendar = std::make_shared<const Calendar>(std::move(rules), std::move(text));
    if (!leaves_time_free(*calendar, *calendar->rules_)) {
        faults.add(pointer_to(pointer, "blackouts"), "follow each other so that no time is left free", "blackouts with time between them");
        return nullptr;
    }
    return pool().add(calendar);
}

}  // namespace cloudtask::task
