// Command: one description of a command, from which come its parsing, its --help, the shell completion and the reference in docs/cli.md.
//
// Pure, but for the `run` of a command. Parsing is Boost.Program_options, in command.cpp only.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/result.h"

namespace cloudtask::cli {

class Invocation;

struct Option {
    std::string name;     // without the dashes
    char letter = 0;      // 0: no short form
    std::string value;    // what the value is called in help: "URL"; empty: a flag
    std::string meaning;  // a sentence part, begins with a small letter
    std::vector<std::string> choices = {};
    bool repeatable = false;
    bool file = false;  // completes file names
};

struct Positional {
    std::string name;  // as help shows it: "TASK"
    std::string meaning;
    std::vector<std::string> choices = {};
    bool required = true;
};

struct Example {
    std::string line;
    std::string meaning;
};

struct Command {
    std::string name;     // its words: "task start"
    std::string summary;  // one sentence without a full stop
    std::string details;  // may be empty; paragraphs
    std::vector<Positional> positionals;
    std::vector<Option> options;
    std::vector<Example> examples;
    Result<> (*run)(Invocation& invocation) = nullptr;
};

// What one command line gave to the options and positionals of its command (and to the global options).
class Arguments {
  public:
    bool has(const std::string& name) const { return values_.contains(name); }
    // The value of an option (by its name) or positional (by its name in capitals); empty when it is not given.
    std::string text(const std::string& name) const;
    const std::vector<std::string>& list(const std::string& name) const;
    // A whole number in [min, max]; `otherwise` when it is not given. Exit::usage if it is something else.
    Result<std::int64_t> integer(const std::string& name, std::int64_t min, std::int64_t max, std::int64_t otherwise) const;

    void add(const std::string& name, std::string value) { values_[name].push_back(std::move(value)); }

  private:
    std::map<std::string, std::vector<std::string>> values_;
};

struct Parsed {
    const Command* command = nullptr;  // null: no command was named (help is wanted, or an error)
    Arguments arguments;               // "help" is set if --help was given
};

std::string joined(const std::vector<std::string>& words, std::string_view separator);

// Options that every command takes.
const std::vector<Option>& global_options();

// Finds the command and reads its arguments. Errors are Exit::usage, and say which --help to read. With --help, nothing is required.
Result<Parsed> parse(const std::vector<Command>& commands, const std::vector<std::string>& words);

}  // namespace cloudtask::cli
