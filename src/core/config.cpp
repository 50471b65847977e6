// Configuration over Boost.Program_options: one file, the environment, the command line.
#include "cloudtask/core/config.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <boost/program_options.hpp>

#include "cloudtask/core/units.h"
#include "cloudtask/core/version.h"

extern char** environ;

namespace cloudtask {

namespace options = boost::program_options;

namespace {

std::string environment_name(std::string_view key) {
    std::string name = "CLOUDTASK_";
    for (const char c : key) name += c == '.' || c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
}

struct IniLines {
    std::map<std::string, std::deque<int>> of_key;  // where each key is set, in order
    int broken = 0;                                 // the first line that is neither a section nor a setting; 0 if there is none
};

// Which lines of an INI text set which key. Program_options itself does not say.
IniLines find_lines(std::istream& text) {
    IniLines found;
    std::string section;
    std::string line;
    for (int number = 1; std::getline(text, line); ++number) {
        line = line.substr(0, line.find('#'));
        const auto begin = line.find_first_not_of(" \t\r");
        if (begin == std::string::npos) continue;
        line = line.substr(begin);
        if (line.front() == '[') {
            section = line.substr(1, line.find(']') - 1) + ".";
        } else if (line.find('=') != std::string::npos) {
            found.of_key[section + line.substr(0, line.find_first_of(" \t="))].push_back(number);
        } else if (found.broken == 0) {
            found.broken = number;
        }
    }
    return found;
}

}  // namespace

ConfigSpec::ConfigSpec(std::string program, std::string summary) : program_(std::move(program)), summary_(std::move(summary)) {}

ConfigSpec& ConfigSpec::add(Key key) {
    keys_.push_back(std::move(key));
    return *this;
}

ConfigSpec& ConfigSpec::text(std::string key, std::string* out, std::string meaning) {
    return add({std::move(key), std::move(meaning), "text", *out, false, [out](std::string_view value) -> Result<> {
                    *out = value;
                    return {};
                }});
}

ConfigSpec& ConfigSpec::choice(std::string key, std::string* out, std::vector<std::string> allowed, std::string meaning) {
    std::string unit = fmt::format("{}", fmt::join(allowed, " or "));
    return add({std::move(key), std::move(meaning), std::move(unit), *out, false,
                [out, allowed = std::move(allowed)](std::string_view value) -> Result<> {
                    if (std::find(allowed.begin(), allowed.end(), value) == allowed.end())
                        return fail(Errc::invalid_argument, "'{}' is not one of: {}", value, fmt::join(allowed, ", "));
                    *out = value;
                    return {};
                }});
}

ConfigSpec& ConfigSpec::secret(std::string key, std::string* out, std::string meaning) {
    text(std::move(key), out, std::move(meaning));
    keys_.back().secret = true;
    keys_.back().default_text.clear();
    return *this;
}

ConfigSpec& ConfigSpec::list(std::string key, std::vector<std::string>* out, std::string meaning) {
    return add({std::move(key), std::move(meaning), "list, comma-separated", fmt::format("{}", fmt::join(*out, ",")), false,
                [out](std::string_view value) -> Result<> {
                    out->clear();
                    std::istringstream items{std::string{value}};
                    for (std::string item; std::getline(items, item, ',');) {
                        const auto begin = item.find_first_not_of(' ');
                        if (begin != std::string::npos) out->push_back(item.substr(begin, item.find_last_not_of(' ') - begin + 1));
                    }
                    return {};
                }});
}

ConfigSpec& ConfigSpec::flag(std::string key, bool* out, std::string meaning) {
    return add(
        {std::move(key), std::move(meaning), "true or false", *out ? "true" : "false", false, [out](std::string_view value) -> Result<> {
             if (value != "true" && value != "false") return fail(Errc::invalid_argument, "'{}' is neither true nor false", value);
             *out = value == "true";
             return {};
         }});
}

ConfigSpec& ConfigSpec::integer(std::string key, std::int64_t* out, std::int64_t min, std::int64_t max, std::string meaning) {
    return add({std::move(key), std::move(meaning), fmt::format("{} to {}", min, max), std::to_string(*out), false,
                [out, min, max](std::string_view value) -> Result<> {
                    std::int64_t number = 0;
                    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
                    if (error != std::errc{} || end != value.data() + value.size() || number < min || number > max) {
                        return fail(Errc::invalid_argument, "'{}' is not a whole number from {} to {}", value, min, max);
                    }
                    *out = number;
                    return {};
                }});
}

ConfigSpec& ConfigSpec::duration(std::string key, Duration* out, Duration min, Duration max, std::string meaning) {
    return add({std::move(key), std::move(meaning), fmt::format("duration, {} to {}", format_duration(min), format_duration(max)),
                format_duration(*out), false, [out, min, max](std::string_view value) -> Result<> {
                    const auto parsed = parse_duration(value);
                    if (!parsed) return propagate(parsed);
                    if (*parsed < min || *parsed > max) {
                        return fail(Errc::invalid_argument, "'{}' is not within {} to {}", value, format_duration(min),
                                    format_duration(max));
                    }
                    *out = *parsed;
                    return {};
                }});
}

ConfigSpec& ConfigSpec::size(std::string key, std::uint64_t* out, std::uint64_t min, std::uint64_t max, std::string meaning) {
    return add({std::move(key), std::move(meaning), fmt::format("size, {} to {}", format_size(min), format_size(max)), format_size(*out),
                false, [out, min, max](std::string_view value) -> Result<> {
                    const auto parsed = parse_size(value);
                    if (!parsed) return propagate(parsed);
                    if (*parsed < min || *parsed > max) {
                        return fail(Errc::invalid_argument, "'{}' is not within {} to {}", value, format_size(min), format_size(max));
                    }
                    *out = *parsed;
                    return {};
                }});
}

Result<> ConfigSpec::assign(std::string_view name, std::string_view value, std::string_view where) {
    const auto key = std::find_if(keys_.begin(), keys_.end(), [name](const Key& k) { return k.name == name; });
    if (key == keys_.end()) return fail(Errc::invalid_argument, "{}: there is no key '{}'; --help lists them", where, name);
    const auto assigned = key->assign(value);
    if (!assigned)
        return fail(Errc::invalid_argument, "{}: {}: {}", where, name, key->secret ? "the value is not valid" : assigned.error().message);
    return {};
}

Result<> ConfigSpec::load_file(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    if (!file || std::filesystem::is_directory(path)) return fail(Errc::not_found, "cannot read the configuration file {}", path);
    if (file.peek() != std::ifstream::traits_type::eof()) text << file.rdbuf();
    IniLines lines = find_lines(text);
    // Told here, since Program_options would quote the line, and it may hold a secret.
    if (lines.broken != 0) return fail(Errc::invalid_argument, "{}:{}: neither [section] nor key = value", path, lines.broken);
    text.clear();
    text.seekg(0);
    try {
        // Nothing is declared to the parser: it allows all keys, and assign() refuses the unknown ones with their line.
        const auto parsed = options::parse_config_file(text, options::options_description{}, true);
        for (const auto& option : parsed.options) {
            auto& numbers = lines.of_key[option.string_key];
            const auto where = numbers.empty() ? path : fmt::format("{}:{}", path, numbers.front());
            if (!numbers.empty()) numbers.pop_front();
            const auto assigned = assign(option.string_key, option.value.empty() ? "" : option.value.front(), where);
            if (!assigned) return assigned;
        }
    } catch (const options::error& error) {
        return fail(Errc::invalid_argument, "{}: {}", path, error.what());
    }
    return {};
}

Result<ConfigSpec::Outcome> ConfigSpec::load(int argc, const char* const* argv, const std::map<std::string, std::string>& environment) {
    options::options_description description;
    description.add_options()("help", "")("help-markdown", "")("version", "")("config", options::value<std::string>(), "");
    for (const auto& key : keys_) description.add_options()(key.name.c_str(), options::value<std::string>(), "");
    options::variables_map given;
    // "--key=" sets a key to nothing; Program_options takes it for a key without a value.
    std::vector<std::string> words, emptied;
    for (int i = 1; i < argc; ++i) {
        const std::string word = argv[i];
        const bool empty_value = word.size() > 3 && word.starts_with("--") && word.find('=') == word.size() - 1;
        (empty_value ? emptied : words).push_back(empty_value ? word.substr(2, word.size() - 3) : word);
    }
    try {
        namespace style = options::command_line_style;
        options::store(options::command_line_parser(words)
                           .options(description)
                           .positional({})
                           .style(style::allow_long | style::long_allow_adjacent | style::long_allow_next)
                           .run(),
                       given);
    } catch (const options::error& error) {
        return fail(Errc::invalid_argument, "command line: {}; --help lists the keys", error.what());
    }
    for (const auto& [flag, output] : {std::pair{"help", &ConfigSpec::help}, {"help-markdown", &ConfigSpec::markdown}}) {
        if (given.count(flag) != 0) {
            std::fputs((this->*output)().c_str(), stdout);
            return Outcome::exit;
        }
    }
    if (given.count("version") != 0) {
        std::fputs(fmt::format("{} {}\n", program_, kVersion).c_str(), stdout);
        return Outcome::exit;
    }

    std::string file = given.count("config") != 0 ? given["config"].as<std::string>() : "";
    if (const auto variable = environment.find("CLOUDTASK_CONFIG"); file.empty() && variable != environment.end()) file = variable->second;
    if (!file.empty()) {
        if (const auto loaded = load_file(file); !loaded) return propagate(loaded);
    }
    for (const auto& [name, value] : environment) {
        if (name == "CLOUDTASK_CONFIG") continue;
        const auto key =
            std::find_if(keys_.begin(), keys_.end(), [&name = name](const Key& k) { return environment_name(k.name) == name; });
        if (key == keys_.end()) return fail(Errc::invalid_argument, "environment: there is no key for {}; --help lists them", name);
        if (const auto assigned = assign(key->name, value, "environment " + name); !assigned) return propagate(assigned);
    }
    for (const auto& name : emptied) {
        if (given.count(name) != 0 || std::count(emptied.begin(), emptied.end(), name) > 1) {
            return fail(Errc::invalid_argument, "command line: {} is given more than once", name);
        }
        if (const auto assigned = assign(name, "", "command line"); !assigned) return propagate(assigned);
    }
    for (const auto& key : keys_) {
        if (given.count(key.name) == 0) continue;
        if (const auto assigned = assign(key.name, given[key.name].as<std::string>(), "command line"); !assigned)
            return propagate(assigned);
    }
    return Outcome::run;
}

std::string ConfigSpec::help() const {
    std::string text = fmt::format(
        "{}: {}\n\nEach key may stand in a file (--config FILE), in the environment (CLOUDTASK_ and the key in capitals,\nwith _ for . and "
        "-), and on the "
        "command line (--key=value); the later wins.\n\n",
        program_, summary_);
    for (const auto& key : keys_) {
        text += fmt::format("  --{}  ({}; default {})\n      {}\n", key.name, key.unit,
                            key.default_text.empty() ? "none" : key.default_text, key.meaning);
    }
    return text + "  --config FILE, --help, --help-markdown, --version\n";
}

std::string ConfigSpec::markdown() const {
    std::string text = "| key | meaning | unit | default |\n|---|---|---|---|\n";
    for (const auto& key : keys_) {
        text += fmt::format("| `{}` | {} | {} | {} |\n", key.name, key.meaning, key.unit,
                            key.default_text.empty() ? "" : "`" + key.default_text + "`");
    }
    return text;
}

std::map<std::string, std::string> cloudtask_environment() {
    std::map<std::string, std::string> found;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text{*entry};
        const auto equals = text.find('=');
        if (text.starts_with("CLOUDTASK_") && equals != std::string_view::npos)
            found.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return found;
}

}  // namespace cloudtask
