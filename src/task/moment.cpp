// Moments of schedules: the local form is read here, the form with an offset by core. Pure; any thread.
#include "task/moment.h"

#include <optional>

namespace cloudtask::task {

namespace {

// Takes fields of fixed width off the front of a text.
class FieldCutter {
  public:
    explicit FieldCutter(std::string_view rest) : rest_(rest) {}

    bool separator(char c) {
        if (!rest_.starts_with(c)) return false;
        rest_.remove_prefix(1);
        return true;
    }

    bool number(std::size_t width, int& out) {
        if (rest_.size() < width) return false;
        out = 0;
        for (const char c : rest_.substr(0, width)) {
            if (c < '0' || c > '9') return false;
            out = out * 10 + (c - '0');
        }
        rest_.remove_prefix(width);
        return true;
    }

    // One to six digits after the decimal point.
    bool microseconds(int& out) {
        const std::size_t width = rest_.size();
        if (width == 0 || width > 6 || !number(width, out)) return false;
        for (std::size_t digits = width; digits < 6; ++digits) out *= 10;
        return true;
    }

    bool at_end() const { return rest_.empty(); }

  private:
    std::string_view rest_;
};

std::optional<Instant> parse_local(std::string_view text, const Zone& zone) {
    FieldCutter cutter{text};
    int year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, microseconds = 0;
    if (!(cutter.number(4, year) && cutter.separator('-') && cutter.number(2, month) && cutter.separator('-') && cutter.number(2, day) &&
          cutter.separator('T') && cutter.number(2, hour) && cutter.separator(':') && cutter.number(2, minute))) {
        return std::nullopt;
    }
    if (!cutter.at_end()) {
        if (!cutter.separator(':') || !cutter.number(2, second)) return std::nullopt;
        if (!cutter.at_end() && !(cutter.separator('.') && cutter.microseconds(microseconds))) return std::nullopt;
    }
    // cctz carries what is out of range into the next field, so an existing date and time is one that comes back unchanged.
    const LocalTime local(year, month, day, hour, minute, second);
    const bool exists = local.year() == year && local.month() == month && local.day() == day && local.hour() == hour &&
                        local.minute() == minute && local.second() == second;
    if (!exists || year < 1970) return std::nullopt;
    const Zone::Instants instants = zone.instants(local);
    // The decimals of a skipped time are skipped with it.
    const bool shown = zone.local(instants.instant) == local;
    return Instant{instants.instant} + (shown ? Duration{microseconds} : Duration::zero());
}

}  // namespace

Result<Instant> parse_moment(std::string_view text, const Zone& zone) {
    if (const auto local = parse_local(text, zone)) {
        if (local->time_since_epoch() >= Duration::zero()) return *local;
        return fail(Errc::invalid_argument, "'{}' is before 1970", text);
    }
    return parse_instant(text);
}

Instant instant_of(LocalTime local, const Zone& zone) { return zone.instants(local).instant; }

}  // namespace cloudtask::task
