// Parameters: which value counts, and what it comes to. Pure; any thread.
#include "cloudtask/task/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "task/template_check.h"

namespace cloudtask::task {

namespace {

// What runs a word after -c as a script.
constexpr std::array<std::string_view, 15> kShells{"sh",  "bash", "rbash", "dash",    "ash", "ksh",     "mksh", "zsh",
                                                   "csh", "tcsh", "fish",  "busybox", "su",  "runuser", "flock"};

// How deep a parameter names others, and whether it comes back to itself. Each is looked at once, so that a hostile set costs no more than
// its size.
class DepthCheck {
  public:
    explicit DepthCheck(const MergedParameters& merged) : merged_(merged) {}

    // Nothing: it comes back to a name that is being looked at, or is deeper than the bound.
    std::optional<std::size_t> depth_of(const std::string& name) {
        if (const auto known = depths_.find(name); known != depths_.end()) return known->second;
        const auto found = merged_.parameters.find(name);
        if (found == merged_.parameters.end()) return 0;
        // While it is looked at it has no depth: whoever meets it again is in a circle.
        depths_[name] = std::nullopt;
        std::size_t depth = 1;
        for (const std::string& next : found->second.value.value.parameters()) {
            const auto below = depth_of(next);
            if (!below || *below + 1 > kDeepestParameter) return std::nullopt;
            depth = std::max(depth, *below + 1);
        }
        depths_[name] = depth;
        return depth;
    }

  private:
    const MergedParameters& merged_;
    std::map<std::string, std::optional<std::size_t>> depths_;
};

class Resolver {
  public:
    Resolver(const MergedParameters& merged, const FireFacts& facts) : merged_(merged), facts_(facts) {}

    Result<> resolve(const std::string& name) {
        if (values_.contains(name)) return {};
        const auto found = merged_.parameters.find(name);
        if (found == merged_.parameters.end()) return fail(Errc::invalid_argument, "the parameter {} has no value", name);
        for (const std::string& next : found->second.value.value.parameters()) {
            if (auto resolved = resolve(next); !resolved) return resolved;
        }
        auto value = found->second.value.value.evaluate(facts_, [this](const std::string& other) {
            const auto known = values_.find(other);
            return known == values_.end() ? nullptr : &known->second;
        });
        if (!value) return fail(value.error().code, "the parameter {}: {}", name, value.error().message);
        size_ += name.size() + value->size();
        if (size_ > kLargestParameters) return fail(Errc::too_large, "the parameters have more than {} bytes in all", kLargestParameters);
        values_.emplace(name, std::move(*value));
        return {};
    }

    std::map<std::string, std::string> take() { return std::move(values_); }

  private:
    const MergedParameters& merged_;
    const FireFacts& facts_;
    std::map<std::string, std::string> values_;
    std::size_t size_ = 0;
};

std::string_view base_name(std::string_view path) {
    const std::size_t slash = path.rfind('/');
    return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

// "-c", "-ec", "+xc", but not "--check".
bool takes_script(std::string_view word) {
    if (word.size() < 2 || (word[0] != '-' && word[0] != '+') || word[1] == '-') return word == "--command";
    return word.find('c') != std::string_view::npos;
}

}  // namespace

void check_template(const std::string& text, const std::string& pointer, const KnownNames& known, std::string_view no_expressions,
                    Faults& faults) {
    TemplateFault fault;
    const auto value = Template::parse(text, fault);
    if (!value) {
        faults.add(pointer, fault.sentence(), fault.allowed);
    } else if (const auto unknown = value->unknown(known)) {
        faults.add(pointer, unknown->sentence(), unknown->allowed);
    } else if (value->has_expressions() && !no_expressions.empty()) {
        faults.add(pointer, std::string{no_expressions},
                   "the variable, such as \"$CLOUDTASK_PARAM_REGION\" (in a definition with parameters $$ stands for $)");
    }
}

std::string_view to_string(ParameterOrigin origin) {
    switch (origin) {
        case ParameterOrigin::runtime:
            return "runtime";
        case ParameterOrigin::group:
            return "group";
        case ParameterOrigin::task:
            return "task";
        case ParameterOrigin::schedule:
            return "schedule";
        case ParameterOrigin::manual:
            return "manual";
    }
    return "";
}

bool is_parameter_name(std::string_view name) {
    const auto is_letter = [](char c) { return c >= 'a' && c <= 'z'; };
    const auto belongs = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || c == '_'; };
    return !name.empty() && name.size() <= 63 && is_letter(name.front()) && std::all_of(name.begin(), name.end(), belongs) &&
           !is_built_in(name);
}

MergedParameters merge_parameters(const ParameterLayers& layers) {
    using Layer = std::pair<const Parameters*, ParameterOrigin>;
    const std::array<Layer, 5> by_weight{Layer{layers.manual, ParameterOrigin::manual}, Layer{layers.schedule, ParameterOrigin::schedule},
                                         Layer{layers.task, ParameterOrigin::task}, Layer{layers.group, ParameterOrigin::group},
                                         Layer{layers.runtime, ParameterOrigin::runtime}};
    MergedParameters merged;
    std::vector<std::string> wanted;
    if (layers.task != nullptr) {
        for (const auto& [name, value] : *layers.task) wanted.push_back(name);
    }
    for (const Parameters* overriding : {layers.schedule, layers.manual}) {
        if (overriding == nullptr) continue;
        for (const auto& [name, value] : *overriding) {
            const bool declared = layers.task != nullptr && layers.task->contains(name);
            const bool told = std::find(merged.undeclared.begin(), merged.undeclared.end(), name) != merged.undeclared.end();
            if (!declared && !told) merged.undeclared.push_back(name);
        }
    }
    while (!wanted.empty()) {
        const std::string name = std::move(wanted.back());
        wanted.pop_back();
        if (merged.parameters.contains(name)) continue;
        for (const auto& [layer, origin] : by_weight) {
            if (layer == nullptr) continue;
            const auto found = layer->find(name);
            if (found == layer->end() || !found->second) continue;
            merged.parameters.emplace(name, MergedParameters::Parameter{*found->second, origin});
            // What a group's or a runtime's value names comes from there too. A task has to declare what it names itself.
            if (origin == ParameterOrigin::group || origin == ParameterOrigin::runtime) {
                for (std::string& next : found->second->value.parameters()) wanted.push_back(std::move(next));
            }
            break;
        }
    }
    if (layers.task != nullptr) {
        for (const auto& [name, value] : *layers.task) {
            if (!merged.parameters.contains(name)) merged.missing.push_back(name);
        }
    }
    return merged;
}

void check_parameters(const MergedParameters& merged, const KnownNames& surroundings, std::string_view pointer, Faults& faults) {
    KnownNames known = surroundings;
    known.is_parameter = [&](std::string_view name) {
        const std::string text{name};
        return merged.parameters.contains(text) || std::find(merged.missing.begin(), merged.missing.end(), text) != merged.missing.end();
    };
    for (const auto& [name, parameter] : merged.parameters) {
        const std::string at = pointer_to(pointer, name);
        if (const auto unknown = parameter.value.value.unknown(known)) {
            const std::string whose =
                parameter.origin == ParameterOrigin::task ? "" : fmt::format(" (of the {})", to_string(parameter.origin));
            faults.add(at, unknown->sentence() + whose, unknown->allowed);
        } else if (!DepthCheck{merged}.depth_of(name)) {
            faults.add(at, "names parameters in a circle, or too deep",
                       fmt::format("parameters that name others {} deep at the most", kDeepestParameter));
        }
    }
}

Result<std::map<std::string, std::string>> resolve_parameters(const MergedParameters& merged, const FireFacts& facts) {
    if (!merged.missing.empty()) return fail(Errc::invalid_argument, "the parameter {} has no value", merged.missing.front());
    DepthCheck depths{merged};
    Resolver resolver{merged, facts};
    for (const auto& [name, parameter] : merged.parameters) {
        if (!depths.depth_of(name)) return fail(Errc::invalid_argument, "the parameter {} names parameters in a circle, or too deep", name);
        if (const auto resolved = resolver.resolve(name); !resolved) return propagate(resolved);
    }
    return resolver.take();
}

std::string parameter_variable(std::string_view name) {
    std::string variable = "CLOUDTASK_PARAM_";
    for (const char c : name) variable += c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return variable;
}

std::optional<std::size_t> script_word(const std::vector<std::string>& command) {
    const auto is_shell = [](const std::string& word) {
        return std::find(kShells.begin(), kShells.end(), base_name(word)) != kShells.end();
    };
    const auto shell = std::find_if(command.begin(), command.end(), is_shell);
    if (shell == command.end()) return std::nullopt;
    const auto option = std::find_if(shell + 1, command.end(), takes_script);
    if (option == command.end()) return std::nullopt;
    // Further options may stand before the script, and -o has a word of its own.
    auto script = option;
    while (script != command.end() && (script->starts_with('-') || script->starts_with('+'))) {
        const bool named = !script->starts_with("--") && script->find('o') != std::string::npos;
        for (int words = named ? 2 : 1; words > 0 && script != command.end(); --words) ++script;
    }
    if (script == command.end()) return std::nullopt;
    return static_cast<std::size_t>(script - command.begin());
}

void check_templates(const std::vector<std::string>& command, const std::map<std::string, std::string>& environment,
                     const KnownNames& known, Faults& faults) {
    const auto script = script_word(command);
    for (std::size_t i = 0; i < command.size(); ++i) {
        const std::string_view refusal = i == 0 ? "is the program, and has an expression: what is run is fixed"
                                         : script == i
                                             ? "is a script for a shell, and has an expression: its value would be read as commands"
                                             : "";
        check_template(command[i], pointer_to("/command", i), known, refusal, faults);
    }
    for (const auto& [name, value] : environment) check_template(value, pointer_to("/environment", name), known, "", faults);
}

}  // namespace cloudtask::task
