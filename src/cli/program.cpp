// The list of commands, and the run of one. One thread.
#include "cli/program.h"

#include <iterator>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/help.h"
#include "cli/invocation.h"

namespace cloudtask::cli {

namespace {

int report(Context& context, const Error& error) {
    context.err << "cloudtask: " << error.message << '\n';
    return static_cast<int>(exit_for(error));
}

// "cloudtask task --help": a first word that only begins commands.
bool is_family_help(const std::vector<std::string>& words) {
    if (words.size() != 2 || (words[1] != "--help" && words[1] != "-h")) return false;
    for (const Command& command : all_commands()) {
        if (command.name.starts_with(words[0] + " ")) return true;
    }
    return false;
}

}  // namespace

const std::vector<Command>& all_commands() {
    static const std::vector<Command> kCommands = [] {
        std::vector<Command> all;
        for (auto family : {login_commands(), apply_commands(), export_commands(), get_commands(), create_commands(), calendar_commands(),
                            secret_commands(), task_commands(), describe_commands(), bulk_commands(), version_commands(), fire_commands(),
                            run_commands(), node_commands(), ledger_commands(), schedule_commands(), help_commands()}) {
            all.insert(all.end(), std::make_move_iterator(family.begin()), std::make_move_iterator(family.end()));
        }
        return all;
    }();
    return kCommands;
}

int run_program(Context& context, const std::vector<std::string>& words) {
    if (is_family_help(words)) {
        context.out << overview(all_commands(), words.front());
        return 0;
    }
    auto parsed = parse(all_commands(), words);
    if (!parsed) return report(context, parsed.error());
    if (parsed->arguments.has("help")) {
        context.out << (parsed->command == nullptr ? overview(all_commands()) : help(*parsed->command));
        return 0;
    }
    const Command& command = *parsed->command;
    Invocation invocation(context, all_commands(), std::move(*parsed));
    if (auto outcome = command.run(invocation); !outcome) {
        context.out.flush();
        return report(context, outcome.error());
    }
    context.out.flush();
    if (!context.out) return report(context, {Exit::failed, "cannot write the output"});
    return 0;
}

}  // namespace cloudtask::cli
