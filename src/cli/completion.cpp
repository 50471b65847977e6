// Completion scripts for bash, zsh and fish. Pure.
#include "cli/completion.h"

#include <algorithm>
#include <map>

namespace cloudtask::cli {

namespace {

void add_once(std::vector<std::string>& words, const std::string& word) {
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
}

// First words, and for those that need one the second words.
struct Words {
    std::vector<std::string> first;
    std::map<std::string, std::vector<std::string>> second;
};

Words first_and_second_words(const std::vector<Command>& commands) {
    Words words;
    for (const Command& command : commands) {
        const std::size_t space = command.name.find(' ');
        add_once(words.first, command.name.substr(0, space));
        if (space != std::string::npos) words.second[command.name.substr(0, space)].push_back(command.name.substr(space + 1));
    }
    return words;
}

std::vector<Option> options_of(const Command& command) {
    std::vector<Option> options = command.options;
    options.insert(options.end(), global_options().begin(), global_options().end());
    return options;
}

std::vector<std::string> option_words(const Command& command) {
    std::vector<std::string> words;
    for (const Option& option : options_of(command)) {
        words.push_back("--" + option.name);
        if (option.letter != 0) words.push_back(std::string{'-', option.letter});
    }
    return words;
}

// In single quotes for a shell.
std::string shell_quoted(const std::string& text) {
    std::string result = "'";
    for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return result + "'";
}

// The function that both bash and zsh (through bashcompinit) use.
std::string bash_function(const std::vector<Command>& commands) {
    const Words words = first_and_second_words(commands);
    std::string text =
        "_cloudtask() {\n"
        "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command= word i=1\n"
        "    COMPREPLY=()\n"
        "    while [ \"$i\" -lt \"$COMP_CWORD\" ]; do\n"
        "        word=${COMP_WORDS[i]}\n"
        "        case \"$word\" in\n"
        "            --server|--token|--output|-o|--config) i=$((i + 1)) ;;\n"
        "            -*) ;;\n"
        "            *) command=\"${command:+$command }$word\" ;;\n"
        "        esac\n"
        "        i=$((i + 1))\n"
        "    done\n"
        "    case \"$command\" in\n"
        "        '') COMPREPLY=($(compgen -W " +
        shell_quoted(joined(words.first, " ")) + " -- \"$cur\")) ; return ;;\n";
    for (const auto& [first, second] : words.second) {
        text += fmt::format("        {}) COMPREPLY=($(compgen -W {} -- \"$cur\")) ; return ;;\n", shell_quoted(first),
                            shell_quoted(joined(second, " ")));
    }
    text += "    esac\n    case \"$command\" in\n";
    for (const Command& command : commands) {
        text += fmt::format("        {0}|{0}' '*)\n            case \"$prev\" in\n", shell_quoted(command.name));
        for (const Option& option : options_of(command)) {
            if (option.value.empty()) continue;
            const std::string pattern = option.letter == 0 ? "--" + option.name : fmt::format("--{}|-{}", option.name, option.letter);
            std::string action = "return";
            if (!option.choices.empty())
                action = fmt::format("COMPREPLY=($(compgen -W {} -- \"$cur\")) ; return", shell_quoted(joined(option.choices, " ")));
            if (option.file) action = "COMPREPLY=($(compgen -f -- \"$cur\")) ; return";
            text += fmt::format("                {}) {} ;;\n", pattern, action);
        }
        std::vector<std::string> plain;
        for (const Positional& positional : command.positionals)
            plain.insert(plain.end(), positional.choices.begin(), positional.choices.end());
        text +=
            fmt::format("            esac\n            case \"$cur\" in\n                -*) COMPREPLY=($(compgen -W {} -- \"$cur\")) ;;\n",
                        shell_quoted(joined(option_words(command), " ")));
        // Only the first positional of a command has choices.
        if (!plain.empty()) {
            text += fmt::format("                *) [ \"$command\" = {} ] && COMPREPLY=($(compgen -W {} -- \"$cur\")) ;;\n",
                                shell_quoted(command.name), shell_quoted(joined(plain, " ")));
        }
        text += "            esac ;;\n";
    }
    text += "    esac\n    return 0\n}\n";
    return text;
}

}  // namespace

std::string bash_completion(const std::vector<Command>& commands) {
    return "# bash completion of cloudtask; use: source <(cloudtask completion bash)\n" + bash_function(commands) +
           "complete -F _cloudtask cloudtask\n";
}

std::string zsh_completion(const std::vector<Command>& commands) {
    return "# zsh completion of cloudtask; use: source <(cloudtask completion zsh)\nautoload -U +X bashcompinit && bashcompinit\n" +
           bash_function(commands) + "complete -F _cloudtask cloudtask\n";
}

std::string fish_completion(const std::vector<Command>& commands) {
    const Words words = first_and_second_words(commands);
    std::string text = "# fish completion of cloudtask; use: cloudtask completion fish | source\ncomplete -c cloudtask -f\n";
    for (const std::string& first : words.first) {
        std::string meaning = first + " ...";
        for (const Command& command : commands) {
            if (command.name == first) meaning = command.summary;
        }
        text += fmt::format("complete -c cloudtask -n __fish_use_subcommand -a {} -d {}\n", first, shell_quoted(meaning));
    }
    for (const Command& command : commands) {
        const std::size_t space = command.name.find(' ');
        const std::string first = command.name.substr(0, space);
        std::string condition = "__fish_seen_subcommand_from " + first;
        if (space != std::string::npos) {
            const std::string second = command.name.substr(space + 1);
            const std::string all = joined(words.second.at(first), " ");
            text +=
                fmt::format("complete -c cloudtask -n {} -a {} -d {}\n",
                            shell_quoted(fmt::format("__fish_seen_subcommand_from {}; and not __fish_seen_subcommand_from {}", first, all)),
                            second, shell_quoted(command.summary));
            condition += "; and __fish_seen_subcommand_from " + second;
        }
        for (const Positional& positional : command.positionals) {
            if (positional.choices.empty()) continue;
            const std::string choices = joined(positional.choices, " ");
            text += fmt::format("complete -c cloudtask -n {} -a {} -d {}\n",
                                shell_quoted(fmt::format("{}; and not __fish_seen_subcommand_from {}", condition, choices)),
                                shell_quoted(choices), shell_quoted(positional.meaning));
        }
        for (const Option& option : command.options) {
            text += fmt::format("complete -c cloudtask -n {} -l {}", shell_quoted(condition), option.name);
            if (option.letter != 0) text += fmt::format(" -s {}", option.letter);
            if (!option.value.empty()) text += option.file ? " -r -F" : " -x";
            if (!option.choices.empty()) text += " -a " + shell_quoted(joined(option.choices, " "));
            text += " -d " + shell_quoted(option.meaning) + "\n";
        }
    }
    for (const Option& option : global_options()) {
        text += fmt::format("complete -c cloudtask -l {}", option.name);
        if (option.letter != 0) text += fmt::format(" -s {}", option.letter);
        if (!option.value.empty()) text += option.file ? " -r -F" : " -x";
        if (!option.choices.empty()) text += " -a " + shell_quoted(joined(option.choices, " "));
        text += " -d " + shell_quoted(option.meaning) + "\n";
    }
    return text;
}

}  // namespace cloudtask::cli
