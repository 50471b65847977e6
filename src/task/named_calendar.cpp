// The JSON of a NamedCalendar: its rules beside what names it. Pure; any thread.
#include "cloudtask/task/named_calendar.h"

#include <array>

#include "task/codec_rules.h"

namespace cloudtask::task {

namespace {

// In the order in which Calendar::text() has them.
constexpr std::array<const char*, 6> kRuleMembers{"zone", "excludes", "working_days", "holidays", "extra_working_days", "blackouts"};

// The members of `value` that are the calendar's rules, as an object of their own.
json::Document rules_in(const json::Value& value) {
    json::Document rules(rapidjson::kObjectType);
    if (!value.IsObject()) return rules;
    for (const char* name : kRuleMembers) {
        const auto member = value.FindMember(name);
        if (member == value.MemberEnd()) continue;
        rules.AddMember(json::Value(name, rules.GetAllocator()), json::Value(member->value, rules.GetAllocator()), rules.GetAllocator());
    }
    return rules;
}

NamedCalendar read_named(json::ObjectReader& reader, const json::Value& value) {
    NamedCalendar named;
    read_slug(reader, "runtime", named.runtime);
    read_slug(reader, "name", named.name);
    reader.read("description", named.description, kDescriptionRule);
    for (const char* name : kRuleMembers) reader.ignore(name);
    named.calendar = Calendar::read(rules_in(value), "", reader.faults());
    return named;
}

}  // namespace

std::optional<NamedCalendar> read_calendar_input(const json::Value& value, Faults& faults) {
    const FaultCount count{faults};
    json::ObjectReader reader{value, "", faults};
    NamedCalendar named = read_named(reader, value);
    for (const std::string_view name : {"id", "version", "created_at", "updated_at"}) reader.ignore(name);
    reader.finish();
    if (!count.none_since()) return std::nullopt;
    return named;
}

Result<NamedCalendar> read_named_calendar(const json::Value& value) {
    Faults faults;
    json::ObjectReader reader{value, "", faults};
    NamedCalendar named = read_named(reader, value);
    read_uuid(reader, "id", named.id);
    reader.read("version", named.version, {.min = 1});
    reader.read_instant("created_at", named.created_at);
    reader.read_instant("updated_at", named.updated_at);
    reader.finish();
    if (!faults.empty()) return fail(Errc::invalid_argument, "the calendar is not valid: {}", faults.summary());
    return named;
}

void write(json::Writer& out, const NamedCalendar& named) {
    out.begin_object();
    out.member("id", named.id);
    out.member("runtime", named.runtime);
    out.member("name", named.name);
    out.member("description", named.description);
    if (const auto rules = json::parse(named.calendar->text())) {
        for (const auto& member : rules->GetObject()) {
            out.key({member.name.GetString(), member.name.GetStringLength()}).value(member.value);
        }
    }
    out.member("version", named.version);
    out.member("created_at", named.created_at);
    out.member("updated_at", named.updated_at);
    out.end_object();
}

}  // namespace cloudtask::task
