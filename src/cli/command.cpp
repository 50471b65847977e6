// Parsing of command lines with Boost.Program_options, from the descriptions of the commands. Pure.
#include "cli/command.h"

#include <algorithm>
#include <charconv>

#include <boost/program_options.hpp>

#include "cli/exit.h"

namespace cloudtask::cli {

namespace po = boost::program_options;

namespace {

// Splits "task start" at its spaces.
std::vector<std::string> words_of(const std::string& name) {
    std::vector<std::string> words;
    std::size_t begin = 0;
    while (begin < name.size()) {
        const std::size_t end = std::min(name.find(' ', begin), name.size());
        words.push_back(name.substr(begin, end - begin));
        begin = end + 1;
    }
    return words;
}

const Option* global_option(std::string_view word) {
    for (const Option& option : global_options()) {
        if (word == "--" + option.name || (option.letter != 0 && word == std::string{'-', option.letter})) return &option;
    }
    return nullptr;
}

// Where the command's words begin: behind the global options that stand before them.
std::size_t first_word(const std::vector<std::string>& words) {
    std::size_t i = 0;
    while (i < words.size() && words[i].size() > 1 && words[i].front() == '-') {
        const Option* option = global_option(words[i]);
        i += option != nullptr && !option->value.empty() ? 2 : 1;
    }
    return std::min(i, words.size());
}

std::string choices_text(const std::vector<std::string>& choices) {
    std::string text;
    for (const std::string& choice : choices) text += (text.empty() ? "" : ", ") + choice;
    return text;
}

Result<> check_choice(const std::string& what, const std::string& value, const std::vector<std::string>& choices) {
    if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return {};
    return fail(Exit::usage, "{} cannot be \"{}\"; it is one of: {}", what, value, choices_text(choices));
}

void declare(po::options_description& described, const Option& option) {
    const std::string names = option.letter == 0 ? option.name : option.name + "," + option.letter;
    if (option.value.empty()) {
        described.add_options()(names.c_str(), option.meaning.c_str());
    } else {
        described.add_options()(names.c_str(), po::value<std::vector<std::string>>(), option.meaning.c_str());
    }
}

Result<> take_options(const std::vector<po::option>& given, const Command& command, Arguments& arguments,
                      std::vector<std::string>& positionals) {
    std::vector<const Option*> known;
    for (const Option& option : command.options) known.push_back(&option);
    for (const Option& option : global_options()) known.push_back(&option);
    for (const po::option& one : given) {
        if (one.position_key >= 0) {
            positionals.push_back(one.value.front());
            continue;
        }
        const auto option = std::find_if(known.begin(), known.end(), [&](const Option* o) { return o->name == one.string_key; });
        if (option == known.end()) continue;
        if (arguments.has(one.string_key) && !(*option)->repeatable && !(*option)->value.empty()) {
            return fail(Exit::usage, "--{} is given twice", one.string_key);
        }
        const std::string value = one.value.empty() ? std::string{} : one.value.front();
        if (auto checked = check_choice("--" + one.string_key, value, (*option)->choices); !checked) return checked;
        arguments.add(one.string_key, value);
    }
    return {};
}

Result<> take_positionals(const Command& command, const std::vector<std::string>& values, Arguments& arguments) {
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (i >= command.positionals.size()) return fail(Exit::usage, "\"{}\" is one argument too many", values[i]);
        const Positional& positional = command.positionals[i];
        if (auto checked = check_choice(positional.name, values[i], positional.choices); !checked) return checked;
        arguments.add(positional.name, values[i]);
    }
    if (arguments.has("help")) return {};
    for (std::size_t i = values.size(); i < command.positionals.size(); ++i) {
        const Positional& positional = command.positionals[i];
        if (positional.required) return fail(Exit::usage, "{} is missing: {}", positional.name, positional.meaning);
    }
    return {};
}

Result<> read_arguments(const Command& command, const std::vector<std::string>& words, Arguments& arguments) {
    po::options_description described;
    for (const Option& option : command.options) declare(described, option);
    for (const Option& option : global_options()) declare(described, option);
    po::positional_options_description positional;
    positional.add("cloudtask-positional", -1);
    described.add_options()("cloudtask-positional", po::value<std::vector<std::string>>(), "");
    const int style = po::command_line_style::default_style & ~po::command_line_style::allow_guessing;
    std::vector<std::string> positionals;
    try {
        const auto parsed = po::command_line_parser(words).options(described).positional(positional).style(style).run();
        if (auto taken = take_options(parsed.options, command, arguments, positionals); !taken) return taken;
    } catch (const po::error& error) {
        return fail(Exit::usage, "{}", error.what());
    }
    return take_positionals(command, positionals, arguments);
}

// The command whose words stand at `words[begin]`; the longest that fits.
const Command* find_command(const std::vector<Command>& commands, const std::vector<std::string>& words, std::size_t begin,
                            std::size_t& length) {
    const Command* best = nullptr;
    length = 0;
    for (const Command& command : commands) {
        const auto name = words_of(command.name);
        if (name.size() <= length || begin + name.size() > words.size()) continue;
        if (!std::equal(name.begin(), name.end(), words.begin() + static_cast<std::ptrdiff_t>(begin))) continue;
        best = &command;
        length = name.size();
    }
    return best;
}

// The words that may follow `word` as a second word of a command: "start, stop, ...".
std::string second_words(const std::vector<Command>& commands, const std::string& word) {
    std::vector<std::string> found;
    for (const Command& command : commands) {
        const auto name = words_of(command.name);
        if (name.size() > 1 && name.front() == word) found.push_back(name[1]);
    }
    return choices_text(found);
}

}  // namespace

std::string Arguments::text(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::string{} : found->second.back();
}

const std::vector<std::string>& Arguments::list(const std::string& name) const {
    static const std::vector<std::string> kNone;
    const auto found = values_.find(name);
    return found == values_.end() ? kNone : found->second;
}

Result<std::int64_t> Arguments::integer(const std::string& name, std::int64_t min, std::int64_t max, std::int64_t otherwise) const {
    if (!has(name)) return otherwise;
    const std::string value = text(name);
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc{} || end != value.data() + value.size() || number < min || number > max) {
        return fail(Exit::usage, "--{} cannot be \"{}\"; it is a whole number from {} to {}", name, value, min, max);
    }
    return number;
}

const std::vector<Option>& global_options() {
    static const std::vector<Option> kOptions = {
        {"server", 0, "URL", "the center's address; else $CLOUDTASK_SERVER, else that of the last login"},
        {"token", 0, "TOKEN", "act with this token; else $CLOUDTASK_TOKEN, else that of the login"},
        {"output", 'o', "FORMAT", "how to print results (default table)", {"table", "json", "yaml"}},
        {"config", 0, "FILE", "where logins are kept; else $CLOUDTASK_CONFIG, else ~/.config/cloudtask/credentials.json", {}, false, true},
        {"quiet", 'q', "", "print nothing but names, ids and errors"},
        {"help", 'h', "", "print what the command does, its options and examples"},
    };
    return kOptions;
}

Result<Parsed> parse(const std::vector<Command>& commands, const std::vector<std::string>& words) {
    const std::size_t begin = first_word(words);
    Parsed parsed;
    if (begin == words.size()) {
        for (const std::string& word : words) {
            if (word == "--help" || word == "-h") {
                parsed.arguments.add("help", "");
                return parsed;
            }
        }
        return fail(Exit::usage, "no command is given\n  see: cloudtask --help");
    }
    std::size_t length = 0;
    parsed.command = find_command(commands, words, begin, length);
    if (parsed.command == nullptr) {
        const std::string seconds = second_words(commands, words[begin]);
        if (!seconds.empty()) return fail(Exit::usage, "\"{0}\" needs one of: {1}\n  see: cloudtask {0} --help", words[begin], seconds);
        return fail(Exit::usage, "there is no command \"{}\"\n  see: cloudtask --help", words[begin]);
    }
    std::vector<std::string> rest(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(begin));
    rest.insert(rest.end(), words.begin() + static_cast<std::ptrdiff_t>(begin + length), words.end());
    if (auto read = read_arguments(*parsed.command, rest, parsed.arguments); !read) {
        return fail(read.error().code, "{}\n  see: cloudtask {} --help", read.error().message, parsed.command->name);
    }
    return parsed;
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
    std::string text;
    for (const std::string& word : words) {
        if (!text.empty()) text += separator;
        text += word;
    }
    return text;
}

}  // namespace cloudtask::cli
