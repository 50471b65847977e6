// completion, version and help: what the program says about itself. One thread; never talks to a center.
#include "cli/help.h"

#include <ostream>

#include "cli/commands/commands.h"
#include "cli/completion.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cloudtask/core/version.h"

namespace cloudtask::cli {

namespace {

Result<> completion(Invocation& invocation) {
    const std::string shell = invocation.arguments().text("SHELL");
    const auto& commands = invocation.commands();
    invocation.out() << (shell == "bash"  ? bash_completion(commands)
                         : shell == "zsh" ? zsh_completion(commands)
                                          : fish_completion(commands));
    return {};
}

Result<> version(Invocation& invocation) {
    invocation.out() << (invocation.quiet() ? "" : "cloudtask ") << kVersion << '\n';
    return {};
}

Result<> show_help(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    if (arguments.has("markdown")) {
        invocation.out() << reference(invocation.commands());
        return {};
    }
    if (!arguments.has("COMMAND")) {
        invocation.out() << overview(invocation.commands());
        return {};
    }
    std::string name = arguments.text("COMMAND");
    if (arguments.has("SUBCOMMAND")) name += " " + arguments.text("SUBCOMMAND");
    bool family = false;
    for (const Command& command : invocation.commands()) {
        if (command.name == name) {
            invocation.out() << help(command);
            return {};
        }
        family = family || command.name.starts_with(name + " ");
    }
    if (!family) return fail(Exit::usage, "there is no command \"{}\"\n  see: cloudtask --help", name);
    invocation.out() << overview(invocation.commands(), name);
    return {};
}

}  // namespace

std::vector<Command> help_commands() {
    return {
        {.name = "completion",
         .summary = "Print a script that completes command lines",
         .details = "",
         .positionals = {{"SHELL", "for which shell", {"bash", "zsh", "fish"}}},
         .options = {},
         .examples = {{"source <(cloudtask completion bash)", "for this shell"},
                      {"cloudtask completion bash > /etc/bash_completion.d/cloudtask", "for every user"}},
         .run = completion},
        {.name = "version",
         .summary = "Print the version",
         .details = "",
         .positionals = {},
         .options = {},
         .examples = {},
         .run = version},
        {.name = "help",
         .summary = "Explain the program or one command",
         .details = "",
         .positionals = {{"COMMAND", "the command to explain", {}, false}, {"SUBCOMMAND", "its second word", {}, false}},
         .options = {{"markdown", 0, "", "the reference of all commands in Markdown"}},
         .examples = {{"cloudtask help task start", "one command"}},
         .run = show_help},
    };
}

}  // namespace cloudtask::cli
