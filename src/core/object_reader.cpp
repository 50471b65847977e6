// json::ObjectReader: members of one object, every fault collected.
#include <algorithm>

#include "cloudtask/core/json.h"
#include "cloudtask/core/units.h"

namespace cloudtask::json {

namespace {

std::string_view text_of(const Value& value) { return {value.GetString(), value.GetStringLength()}; }

bool has_control_character(std::string_view text, bool multi_line) {
    return std::any_of(text.begin(), text.end(), [multi_line](char c) {
        if (multi_line && (c == '\n' || c == '\t')) return false;
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    });
}

std::string length_text(const TextRule& rule) {
    return rule.min == 0 ? fmt::format("a text of at most {} bytes", rule.max)
                         : fmt::format("a text of {} to {} bytes", rule.min, rule.max);
}

// Checks one text against its rule; a fault at `pointer()`, which is called only then, if it breaks it.
template <class Pointer>
bool check_text(const Value& value, const TextRule& rule, const Pointer& pointer, Faults& faults) {
    if (!value.IsString()) {
        faults.add(pointer(), "is not a text", length_text(rule));
        return false;
    }
    const auto text = text_of(value);
    if (text.size() < rule.min || text.size() > rule.max) {
        faults.add(pointer(), fmt::format("has {} bytes", text.size()), length_text(rule));
        return false;
    }
    if (has_control_character(text, rule.multi_line)) {
        faults.add(pointer(), "has a control character", "printable text");
        return false;
    }
    return true;
}

bool check_count(std::size_t count, const ListRule& rule, const std::string& pointer, Faults& faults) {
    if (count >= rule.min && count <= rule.max) return true;
    faults.add(pointer, fmt::format("has {} entries", count), fmt::format("{} to {} entries", rule.min, rule.max));
    return false;
}

}  // namespace

ObjectReader::ObjectReader(const Value& value, std::string pointer, Faults& faults) : pointer_(std::move(pointer)), faults_(faults) {
    if (value.IsObject()) {
        object_ = &value;
    } else {
        faults_.add(pointer_, "is not an object", "a JSON object");
    }
}

const Value* ObjectReader::find(std::string_view name) {
    known_.emplace_back(name);
    if (object_ == nullptr) return nullptr;
    const auto member = object_->FindMember(Value(rapidjson::StringRef(name.data(), name.size())));
    if (member == object_->MemberEnd() || member->value.IsNull()) return nullptr;
    return &member->value;
}

bool ObjectReader::has(std::string_view name) const {
    if (object_ == nullptr) return false;
    const auto member = object_->FindMember(Value(rapidjson::StringRef(name.data(), name.size())));
    return member != object_->MemberEnd() && !member->value.IsNull();
}

bool ObjectReader::require(std::string_view name) {
    if (object_ == nullptr) return false;  // told already
    if (has(name)) return true;
    faults_.add(pointer(name), "is missing");
    return false;
}

bool ObjectReader::read(std::string_view name, std::string& out, TextRule rule) {
    const Value* value = find(name);
    if (value == nullptr || !check_text(*value, rule, [&] { return pointer(name); }, faults_)) return false;
    out = text_of(*value);
    return true;
}

bool ObjectReader::read(std::string_view name, bool& out) {
    const Value* value = find(name);
    if (value == nullptr) return false;
    if (!value->IsBool()) {
        faults_.add(pointer(name), "is not a truth value", "true or false");
        return false;
    }
    out = value->GetBool();
    return true;
}

bool ObjectReader::read(std::string_view name, std::int64_t& out, IntegerRule rule) {
    const Value* value = find(name);
    if (value == nullptr) return false;
    if (!value->IsInt64() || value->GetInt64() < rule.min || value->GetInt64() > rule.max) {
        faults_.add(pointer(name), value->IsNumber() ? "is out of range" : "is not a number",
                    fmt::format("a whole number from {} to {}", rule.min, rule.max));
        return false;
    }
    out = value->GetInt64();
    return true;
}

bool ObjectReader::read(std::string_view name, std::vector<std::string>& out, ListRule rule) {
    const Value* list = array(name, rule);
    if (list == nullptr) return false;
    std::vector<std::string> items;
    const std::size_t before = faults_.list().size();
    for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
        if (check_text((*list)[i], rule.item, [&] { return pointer_to(pointer(name), i); }, faults_))
            items.emplace_back(text_of((*list)[i]));
    }
    if (faults_.list().size() != before) return false;
    out = std::move(items);
    return true;
}

bool ObjectReader::read(std::string_view name, std::map<std::string, std::string>& out, ListRule rule) {
    const Value* members = object(name);
    if (members == nullptr || !check_count(members->MemberCount(), rule, pointer(name), faults_)) return false;
    std::map<std::string, std::string> entries;
    const std::size_t before = faults_.list().size();
    for (const auto& member : members->GetObject()) {
        if (check_text(member.value, rule.item, [&] { return pointer_to(pointer(name), text_of(member.name)); }, faults_)) {
            entries.emplace(text_of(member.name), text_of(member.value));
        }
    }
    if (faults_.list().size() != before) return false;
    out = std::move(entries);
    return true;
}

bool ObjectReader::read_duration(std::string_view name, Duration& out, DurationRule rule) {
    const Value* value = find(name);
    if (value == nullptr) return false;
    const auto allowed = fmt::format("a duration with a unit, {} to {}", format_duration(rule.min), format_duration(rule.max));
    if (!value->IsString()) {
        faults_.add(pointer(name), "is not a duration", allowed);
        return false;
    }
    const auto duration = parse_duration(text_of(*value));
    if (!duration) {
        faults_.add(pointer(name), duration.error().message, allowed);
        return false;
    }
    if (*duration < rule.min || *duration > rule.max) {
        faults_.add(pointer(name), "is out of range", allowed);
        return false;
    }
    out = *duration;
    return true;
}

bool ObjectReader::read_size(std::string_view name, std::uint64_t& out, SizeRule rule) {
    const Value* value = find(name);
    if (value == nullptr) return false;
    const auto allowed = rule.max == UINT64_MAX ? fmt::format("a size with a unit, {} or more", format_size(rule.min))
                                                : fmt::format("a size with a unit, {} to {}", format_size(rule.min), format_size(rule.max));
    if (!value->IsString()) {
        faults_.add(pointer(name), "is not a size", allowed);
        return false;
    }
    const auto size = parse_size(text_of(*value));
    if (!size) {
        faults_.add(pointer(name), size.error().message, allowed);
        return false;
    }
    if (*size < rule.min || *size > rule.max) {
        faults_.add(pointer(name), "is out of range", allowed);
        return false;
    }
    out = *size;
    return true;
}

bool ObjectReader::read_instant(std::string_view name, Instant& out) {
    const Value* value = find(name);
    if (value == nullptr) return false;
    const auto instant =
        value->IsString() ? parse_instant(text_of(*value)) : Result<Instant>(fail(Errc::invalid_argument, "is not a text"));
    if (!instant) {
        faults_.add(pointer(name), "is not an instant", "RFC 3339 such as 2026-11-21T02:42:11Z");
        return false;
    }
    out = *instant;
    return true;
}

bool ObjectReader::read_choice(std::string_view name, std::string& out, const std::vector<std::string_view>& allowed) {
    const Value* value = find(name);
    if (value == nullptr) return false;
    if (value->IsString()) {
        const auto chosen = std::find(allowed.begin(), allowed.end(), text_of(*value));
        if (chosen != allowed.end()) {
            out = *chosen;
            return true;
        }
    }
    faults_.add(pointer(name), "is not one of the choices", fmt::format("{}", fmt::join(allowed, ", ")));
    return false;
}

const Value* ObjectReader::object(std::string_view name) {
    const Value* value = find(name);
    if (value == nullptr) return nullptr;
    if (value->IsObject()) return value;
    faults_.add(pointer(name), "is not an object", "a JSON object");
    return nullptr;
}

const Value* ObjectReader::array(std::string_view name, ListRule rule) {
    const Value* value = find(name);
    if (value == nullptr) return nullptr;
    if (!value->IsArray()) {
        faults_.add(pointer(name), "is not a list", "a JSON array");
        return nullptr;
    }
    return check_count(value->Size(), rule, pointer(name), faults_) ? value : nullptr;
}

const Value* ObjectReader::any(std::string_view name) { return find(name); }

void ObjectReader::ignore(std::string_view name) { known_.emplace_back(name); }

void ObjectReader::finish() {
    if (object_ == nullptr) return;
    for (const auto& member : object_->GetObject()) {
        const auto name = text_of(member.name);
        if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
            faults_.add(pointer(name), "is not a known field", fmt::format("{}", fmt::join(known_, ", ")));
        }
    }
}

}  // namespace cloudtask::json
