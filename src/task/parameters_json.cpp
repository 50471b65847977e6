// JSON of parameters. Pure; any thread.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "cloudtask/task/parameters.h"

namespace cloudtask::task {

namespace {

constexpr std::array kOrigins{ParameterOrigin::runtime, ParameterOrigin::group, ParameterOrigin::task, ParameterOrigin::schedule,
                              ParameterOrigin::manual};
constexpr std::string_view kAllowedParameter =
    "a-z, 0-9 and '_', beginning with a letter; 1 to 63 characters; not fire_time, attempt or another name of CloudTask's own";

// A value's text; nothing if it has none.
std::optional<std::string> text_of(const json::Value& value) {
    if (value.IsString()) return std::string{value.GetString(), value.GetStringLength()};
    if (value.IsBool() || value.IsNumber()) return json::to_text(value);
    return std::nullopt;
}

// As in other texts: no control character but newline and tab. An environment cannot carry the code 0 at all.
bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') || c == 0x7f; });
}

void read_parameter(const std::string& name, const json::Value& value, const std::string& pointer, ParameterOrigin origin, Parameters& out,
                    Faults& faults) {
    if (!is_parameter_name(name)) {
        faults.add(pointer, "is not the name of a parameter", std::string{kAllowedParameter});
        return;
    }
    if (value.IsNull() && origin == ParameterOrigin::task) {
        out.emplace(name, std::nullopt);
        return;
    }
    auto text = text_of(value);
    if (!text) {
        faults.add(pointer, "is not a value",
                   origin == ParameterOrigin::task ? "a text, a number, true, false or null" : "a text, a number, true or false");
        return;
    }
    if (text->size() > kLongestParameter) {
        faults.add(pointer, "is too long", fmt::format("{} bytes at the most", kLongestParameter));
        return;
    }
    if (has_control(*text)) {
        faults.add(pointer, "has a control character", "text; newlines and tabs may be in it");
        return;
    }
    TemplateFault fault;
    auto parsed = origin == ParameterOrigin::manual ? Template::literal(*text) : Template::parse(*text, fault);
    if (!parsed) {
        faults.add(pointer, fault.sentence(), fault.allowed);
        return;
    }
    out.emplace(name, ParameterValue{std::move(*text), std::move(*parsed)});
}

}  // namespace

std::optional<Parameters> read_parameters(json::ObjectReader& reader, std::string_view name, ParameterOrigin origin) {
    const json::Value* object = reader.object(name);
    if (object == nullptr) return std::nullopt;
    Parameters parameters;
    if (object->MemberCount() > kMostParameters) {
        reader.faults().add(reader.pointer(name), "has too many parameters", fmt::format("{} at the most", kMostParameters));
        return parameters;
    }
    for (const auto& member : object->GetObject()) {
        const std::string key{member.name.GetString(), member.name.GetStringLength()};
        read_parameter(key, member.value, pointer_to(reader.pointer(name), key), origin, parameters, reader.faults());
    }
    std::size_t size = 0;
    for (const auto& [key, value] : parameters) size += key.size() + (value ? value->text.size() : 0);
    if (size > kLargestParameters) {
        reader.faults().add(reader.pointer(name), fmt::format("have {} bytes in all", size),
                            fmt::format("{} at the most, names and values", kLargestParameters));
    }
    return parameters;
}

std::shared_ptr<const RunParameters> read_run_parameters(json::ObjectReader& reader) {
    RunParameters read;
    const json::Value* object = reader.object("parameters");
    if (object != nullptr) {
        std::size_t size = 0;
        for (const auto& member : object->GetObject()) {
            std::string name{member.name.GetString(), member.name.GetStringLength()};
            json::ObjectReader value{member.value, pointer_to(reader.pointer("parameters"), name), reader.faults()};
            RunParameters::Value one{};
            std::string from;
            value.read("value", one.text, {.min = 0, .max = kLongestTemplateValue, .multi_line = true});
            const bool named = value.require("from") && value.read_choice("from", from, {"runtime", "group", "task", "schedule", "manual"});
            for (const ParameterOrigin origin : kOrigins) {
                if (named && to_string(origin) == from) one.origin = origin;
            }
            value.finish();
            size += name.size() + one.text.size();
            read.values.emplace(std::move(name), std::move(one));
        }
        if (size > kLargestParameters) {
            reader.faults().add(reader.pointer("parameters"), fmt::format("have {} bytes in all", size),
                                fmt::format("{} at the most, names and values", kLargestParameters));
        }
    }
    Instant as_of{};
    const bool dated = reader.has("as_of") && reader.read_instant("as_of", as_of);
    if (dated) {
        read.as_of = as_of;
    } else {
        reader.ignore("as_of");
    }
    return object != nullptr || dated ? std::make_shared<const RunParameters>(std::move(read)) : nullptr;
}

void write_run_parameters(json::Writer& out, const RunParameters& parameters) {
    out.key("parameters").begin_object();
    for (const auto& [name, value] : parameters.values) {
        out.key(name).begin_object().member("value", value.text).member("from", to_string(value.origin)).end_object();
    }
    out.end_object();
    out.member("as_of", parameters.as_of);
}

void write_parameters(json::Writer& out, std::string_view name, const Parameters& parameters) {
    out.key(name).begin_object();
    for (const auto& [key, value] : parameters) {
        out.key(key);
        if (value) {
            out.value(value->text);
        } else {
            out.null();
        }
    }
    out.end_object();
}

}  // namespace cloudtask::task
