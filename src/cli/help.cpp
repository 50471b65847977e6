// Help texts and the Markdown reference. Pure.
#include "cli/help.h"

#include <algorithm>

namespace cloudtask::cli {

namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

std::string aligned(const Rows& rows) {
    std::size_t width = 0;
    for (const auto& row : rows) width = std::max(width, row.first.size());
    std::string text;
    for (const auto& [left, right] : rows) text += fmt::format("  {:<{}}  {}\n", left, width, right);
    return text;
}

std::string option_head(const Option& option) {
    std::string head = option.letter == 0 ? "--" + option.name : fmt::format("-{}, --{}", option.letter, option.name);
    if (!option.value.empty()) head += " " + option.value;
    return head;
}

std::string option_meaning(const Option& option) {
    std::string meaning = option.meaning;
    if (!option.choices.empty()) meaning += ": " + joined(option.choices, ", ");
    if (option.repeatable) meaning += "; may be given several times";
    return meaning;
}

std::string positional_meaning(const Positional& positional) {
    return positional.choices.empty() ? positional.meaning : positional.meaning + ": " + joined(positional.choices, ", ");
}

Rows option_rows(const std::vector<Option>& options) {
    Rows rows;
    for (const Option& option : options) rows.emplace_back(option_head(option), option_meaning(option));
    return rows;
}

std::string first_word_of(const Command& command) { return command.name.substr(0, command.name.find(' ')); }

}  // namespace

std::string usage_line(const Command& command) {
    std::string line = "cloudtask " + command.name;
    if (!command.options.empty()) line += " [options]";
    for (const Positional& positional : command.positionals) {
        line += positional.required ? " " + positional.name : " [" + positional.name + "]";
    }
    return line;
}

std::string overview(const std::vector<Command>& commands, std::string_view family) {
    Rows rows;
    for (const Command& command : commands) {
        if (family.empty() || first_word_of(command) == family) rows.emplace_back(command.name, command.summary);
    }
    std::string text = "cloudtask: drive a CloudTask center from the command line\n\n";
    text += fmt::format("usage: cloudtask {} [options]\n\ncommands:\n", family.empty() ? "COMMAND" : std::string(family) + " COMMAND");
    text += aligned(rows);
    text += "\noptions of every command:\n" + aligned(option_rows(global_options()));
    text += "\nstart with:\n  cloudtask login --server http://127.0.0.1:8080 --user admin\n";
    text += "  cloudtask COMMAND --help\n";
    return text;
}

std::string help(const Command& command) {
    std::string text = fmt::format("{}: {}\n\nusage: {}\n", command.name, command.summary, usage_line(command));
    if (!command.details.empty()) text += "\n" + command.details + "\n";
    if (!command.positionals.empty()) {
        Rows rows;
        for (const Positional& positional : command.positionals) rows.emplace_back(positional.name, positional_meaning(positional));
        text += "\narguments:\n" + aligned(rows);
    }
    if (!command.options.empty()) text += "\noptions:\n" + aligned(option_rows(command.options));
    text += "\noptions of every command:\n" + aligned(option_rows(global_options()));
    if (!command.examples.empty()) {
        text += "\nexamples:\n";
        for (const Example& example : command.examples) text += fmt::format("  # {}\n  {}\n", example.meaning, example.line);
    }
    return text;
}

std::string reference(const std::vector<Command>& commands) {
    std::string text;
    for (const Command& command : commands) {
        text += fmt::format("### cloudtask {}\n\n{}.\n\n```\n{}\n```\n", command.name, command.summary, usage_line(command));
        if (!command.details.empty()) text += "\n" + command.details + "\n";
        if (!command.positionals.empty() || !command.options.empty()) {
            text += "\n| argument or option | meaning |\n|---|---|\n";
            const auto row = [&text](std::string head, std::string meaning) {
                const auto escape = [](std::string cell) {
                    for (std::size_t at = 0; (at = cell.find('|', at)) != std::string::npos; at += 2) cell.insert(at, 1, '\\');
                    return cell;
                };
                text += fmt::format("| `{}` | {} |\n", escape(std::move(head)), escape(std::move(meaning)));
            };
            for (const Positional& positional : command.positionals) row(positional.name, positional_meaning(positional));
            for (const Option& option : command.options) row(option_head(option), option_meaning(option));
        }
        if (!command.examples.empty()) {
            text += "\n```sh\n";
            for (const Example& example : command.examples) text += fmt::format("# {}\n{}\n", example.meaning, example.line);
            text += "```\n";
        }
        text += "\n";
    }
    text += "### Options of every command\n\n| option | meaning |\n|---|---|\n";
    for (const Option& option : global_options()) text += fmt::format("| `{}` | {} |\n", option_head(option), option_meaning(option));
    return text;
}

}  // namespace cloudtask::cli
