// A schedule in words: the sentence of each kind of rule, and what follows it. Pure; any thread.
#include "cloudtask/task/schedule_words.h"

#include <utility>
#include <variant>

#include "task/cron_words.h"
#include "task/schedule_rule.h"
#include "task/word_parts.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kMostMoments = 12;  // of which more are counted

const Lexicon& lexicon_of(Language language) { return language == Language::chinese ? kChinese : kEnglish; }

class Sentence {
  public:
    Sentence(const Schedule::Rule& rule, const Lexicon& lexicon)
        : rule_(rule), lexicon_(lexicon), picked_(rule.seed != Schedule::Rule::seed_of({})) {}

    std::string text() const {
        const RuleWords words = std::visit([this](const auto& what) { return of(what); }, rule_.what);
        std::string text = words.days.empty() ? words.when : fill(lexicon_.sentence, {{"when", words.when}, {"days", words.days}});
        if (depends_on_zone()) text = fill(lexicon_.with_zone, {{"sentence", text}, {"zone", zone_words(lexicon_, rule_.zone.name())}});
        return text + beside();
    }

  private:
    RuleWords of(const CronRule& cron) const { return cron_words(cron, picked_, lexicon_); }

    RuleWords of(const Every& every) const {
        std::string text = every_words(lexicon_, every.interval);
        if (is_in_phase_anywhere(every)) return {text, {}};
        const auto& pattern = every.anchor == default_anchor(rule_.zone) ? lexicon_.counted_from_epoch : lexicon_.counted_from;
        return {fill(pattern, {{"every", std::move(text)}, {"at", moment_words(every.anchor, rule_.zone)}}), {}};
    }

    RuleWords of(const WindowRule& window) const {
        std::string to = format_time_of_day(window.to);
        if (window.to <= window.from) to = fill(lexicon_.next_day, {{"time", to}});
        const std::string weekdays = weekdays_words(lexicon_, window.weekdays, lexicon_.weekdays);
        return {fill(lexicon_.window,
                     {{"every", every_words(lexicon_, window.interval)}, {"from", format_time_of_day(window.from)}, {"to", to}}),
                window.weekdays == kEveryWeekday ? std::string{lexicon_.every_day} : fill(lexicon_.on_weekdays, {{"list", weekdays}})};
    }

    RuleWords of(const CalendarRule& calendar) const { return {times_words(lexicon_, calendar.times), calendar_days(calendar)}; }

    RuleWords of(const At& at) const {
        std::vector<std::string> moments;
        for (const Instant instant : at.instants) {
            if (moments.size() < kMostMoments) moments.push_back(moment_words(instant, rule_.zone));
        }
        if (at.instants.size() == 1) return {fill(lexicon_.once, {{"at", moments.front()}}), {}};
        if (at.instants.size() <= kMostMoments) return {fill(lexicon_.at_moments, {{"list", joined(lexicon_, moments)}}), {}};
        return {fill(lexicon_.at_many_moments, {{"list", joined(lexicon_, moments, lexicon_.comma)},
                                                {"n", std::to_string(at.instants.size() - kMostMoments)},
                                                {"last", moment_words(at.instants.back(), rule_.zone)}}),
                {}};
    }

    RuleWords of(const Manual&) const { return {std::string{lexicon_.manual}, {}}; }

    std::string calendar_days(const CalendarRule& calendar) const {
        const std::string n = std::to_string(calendar.interval);
        const bool each = calendar.interval == 1;
        std::string text;
        std::string_view counted = each ? lexicon_.not_before_day : lexicon_.counted_from_day;
        switch (calendar.frequency) {
            case Frequency::daily:
                text = each ? std::string{lexicon_.every_day} : fill(lexicon_.every_n_days, {{"n", n}});
                break;
            case Frequency::weekly: {
                const auto& names = each ? lexicon_.weekdays : lexicon_.weekday;
                const std::string list = weekdays_words(lexicon_, calendar.weekdays, names);
                text = each ? fill(lexicon_.on_weekdays, {{"list", list}}) : fill(lexicon_.every_n_weeks, {{"n", n}, {"list", list}});
                if (!each) counted = lexicon_.counted_from_week;
                break;
            }
            case Frequency::monthly:
                text = month_days(calendar, n);
                if (!each) counted = lexicon_.counted_from_month;
                break;
        }
        return calendar.from ? fill(counted, {{"days", text}, {"date", format_date(*calendar.from)}}) : text;
    }

    std::string month_days(const CalendarRule& calendar, const std::string& n) const {
        std::vector<std::string> days;
        for (const MonthDay& day : calendar.days) days.push_back(day_words(lexicon_, day));
        if (calendar.interval == 1) return days_of_months_words(lexicon_, days, calendar.months);
        const auto& pattern = calendar.months == kEveryMonth ? lexicon_.every_n_months : lexicon_.every_n_months_if;
        return fill(pattern, {{"n", n}, {"list", joined(lexicon_, days)}, {"months", months_words(lexicon_, calendar.months)}});
    }

    // Such as every 15 minutes from any full hour on: the zone and the anchor make no difference.
    bool is_in_phase_anywhere(const Every& every) const {
        return std::chrono::hours{1} % every.interval == Duration::zero() && every.anchor == default_anchor(rule_.zone) &&
               every.anchor.time_since_epoch() % every.interval == Duration::zero();
    }

    bool depends_on_zone() const {
        if (std::holds_alternative<Manual>(rule_.what)) return false;
        const auto* every = std::get_if<Every>(&rule_.what);
        return every == nullptr || !is_in_phase_anywhere(*every) || rule_.has_start() || rule_.has_end();
    }

    // What stands beside the rule.
    std::string beside() const {
        std::string text;
        const auto add = [&](std::string_view part) { text.append(lexicon_.also).append(part); };
        const auto* cron = std::get_if<CronRule>(&rule_.what);
        if (cron != nullptr && cron->is_hashed()) add(picked_ ? lexicon_.picked : lexicon_.picks);
        if (rule_.has_start()) add(fill(lexicon_.start, {{"at", moment_words(rule_.start, rule_.zone)}}));
        if (rule_.has_end()) add(fill(lexicon_.end, {{"at", moment_words(rule_.end, rule_.zone)}}));
        if (rule_.jitter > Duration::zero()) add(fill(lexicon_.jitter, {{"duration", duration_words(lexicon_, rule_.jitter)}}));
        if (rule_.gap) add(*rule_.gap == GapRule::skip ? lexicon_.gap_skip : lexicon_.gap_first_valid);
        if (rule_.overlap) {
            add(*rule_.overlap == OverlapRule::both     ? lexicon_.overlap_both
                : *rule_.overlap == OverlapRule::second ? lexicon_.overlap_second
                                                        : lexicon_.overlap_first);
        }
        if (rule_.calendars) {
            std::vector<std::string> names;
            for (const auto& each : rule_.calendars->exclude) names.push_back(each.name);
            const bool drops = rule_.calendars->on_excluded == OnExcluded::drop;
            if (!names.empty()) add(fill(drops ? lexicon_.dropped : lexicon_.deferred, {{"list", joined(lexicon_, names, lexicon_.or_)}}));
            const std::string& worked = rule_.calendars->working_days.name;
            if (!worked.empty()) add(fill(lexicon_.working_days, {{"name", worked}}));
        }
        if (!rule_.enabled) add(lexicon_.off);
        return text;
    }

    const Schedule::Rule& rule_;
    const Lexicon& lexicon_;
    const bool picked_;  // the schedule is a task's
};

}  // namespace

std::string words(const Schedule& schedule, Language language) { return Sentence{schedule.rule(), lexicon_of(language)}.text(); }

std::optional<Language> parse_language(std::string_view text) {
    const std::string_view name = text.substr(0, text.find_first_of("_-.@"));
    if (name == "en") return Language::english;
    if (name == "zh") return Language::chinese;
    return std::nullopt;
}

}  // namespace cloudtask::task
