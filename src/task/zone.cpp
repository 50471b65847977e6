// Zone: the only file that calls cctz's zone functions. Any thread.
#include "task/zone.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace cloudtask::task {

namespace {

constexpr std::size_t kLongestName = 64;

bool is_upper(char c) { return c >= 'A' && c <= 'Z'; }
bool is_name_character(char c) {
    return is_upper(c) || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '+' || c == '-' || c == '/';
}

// cctz opens whatever path it is given, and knows names of its own; every IANA name begins with a capital letter and has no dots.
bool may_be_iana_name(std::string_view name) {
    if (name.empty() || name.size() > kLongestName || !is_upper(name.front()) || name.back() == '/') return false;
    if (name.starts_with("Fixed/") || name.find("//") != std::string_view::npos) return false;
    return std::all_of(name.begin(), name.end(), is_name_character);
}

}  // namespace

std::optional<Zone> Zone::load(std::string_view name) {
    if (!may_be_iana_name(name)) return std::nullopt;
    std::string text{name};
    cctz::time_zone zone;
    if (!cctz::load_time_zone(text, &zone)) return std::nullopt;
    return Zone{std::move(text), zone};
}

std::optional<Zone> Zone::load_file(std::string name, const std::string& path) {
    cctz::time_zone zone;
    if (!path.starts_with('/') || !cctz::load_time_zone(path, &zone)) return std::nullopt;
    return Zone{std::move(name), zone};
}

bool Zone::is_name(std::string_view name) { return may_be_iana_name(name); }

std::string Zone::offset_text(SysSeconds instant) const {
    const int offset = zone_.lookup(instant).offset;
    const int distance = std::abs(offset);
    const std::string text = fmt::format("{}{:02}:{:02}", offset < 0 ? '-' : '+', distance / 3600, distance / 60 % 60);
    return distance % 60 == 0 ? text : fmt::format("{}:{:02}", text, distance % 60);
}

Zone::Instants Zone::instants(LocalTime local) const {
    using Lookup = cctz::time_zone::civil_lookup;
    const Lookup found = zone_.lookup(local);
    Instants instants;
    instants.repeated = found.kind == Lookup::REPEATED;
    instants.skipped = found.kind == Lookup::SKIPPED;
    instants.instant = instants.skipped ? found.trans : found.pre;
    instants.second = instants.repeated ? found.post : instants.instant;
    instants.transition = found.trans;
    return instants;
}

std::optional<Zone::Transition> Zone::next_transition(SysSeconds instant) const {
    cctz::time_zone::civil_transition transition;
    if (!zone_.next_transition(instant, &transition)) return std::nullopt;
    // The offset is constant from `instant` to the transition, so the distance on the wall is the distance in time.
    return Transition{instant + std::chrono::seconds{transition.from - local(instant)}, transition.to};
}

}  // namespace cloudtask::task
