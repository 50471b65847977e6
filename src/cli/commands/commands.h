// The families of commands; each is one file in this folder. program.cpp puts them together.
#pragma once

#include <vector>

#include "cli/command.h"

namespace cloudtask::cli {

std::vector<Command> login_commands();     // login, logout
std::vector<Command> apply_commands();     // apply, diff
std::vector<Command> export_commands();    // export
std::vector<Command> get_commands();       // get, owner, delete
std::vector<Command> create_commands();    // create runtime, calendar, join-token, user
std::vector<Command> calendar_commands();  // calendar import
std::vector<Command> secret_commands();    // secret set, list, delete, rotate
std::vector<Command> task_commands();      // task start, stop, clone
std::vector<Command> bulk_commands();      // task enable, disable, delete, move
std::vector<Command> describe_commands();  // describe
std::vector<Command> version_commands();   // task versions, diff, rollback
std::vector<Command> fire_commands();      // task fires
std::vector<Command> run_commands();       // run get, stop, log
std::vector<Command> node_commands();      // node cordon, drain, uncordon; plan-failover
std::vector<Command> ledger_commands();    // verify, why
std::vector<Command> schedule_commands();  // schedule preview, forecast, spread; tzdata
std::vector<Command> help_commands();      // completion, version, help

}  // namespace cloudtask::cli
