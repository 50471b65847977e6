// Invocation: one command being carried out: its arguments, its surroundings, and the way to the center.
//
// One thread; lives as long as the command runs.
#pragma once

#include <filesystem>
#include <memory>

#include "cli/center.h"
#include "cli/command.h"
#include "cli/context.h"
#include "cli/output.h"

namespace cloudtask::cli {

class Invocation {
  public:
    Invocation(Context& context, const std::vector<Command>& commands, Parsed parsed);

    Context& context() { return context_; }
    const Arguments& arguments() const { return parsed_.arguments; }
    const std::vector<Command>& commands() const { return commands_; }

    // -o, and table when it is not given.
    Format format() const;
    bool quiet() const { return arguments().has("quiet"); }
    std::ostream& out() { return context_.out; }
    // A remark for people, on standard error so that it does not mix with the result; nothing with --quiet.
    void remark(const std::string& sentence);

    // What nobody can read again is typed twice, without echo. Exit::usage when the two differ.
    Result<std::string> ask_twice(const std::string& prompt);

    // --config, else $CLOUDTASK_CONFIG, else the user's configuration folder.
    std::filesystem::path credentials_file() const;
    // --server, else $CLOUDTASK_SERVER, else where the last login went. Exit::usage when none is known.
    Result<std::string> server() const;
    // The center, as the user who is logged in there. Exit::denied when nobody is.
    Result<Center*> center();

    // A path as the user gave it, made absolute.
    std::filesystem::path path(const std::string& text) const { return context_.folder / text; }

  private:
    Context& context_;
    const std::vector<Command>& commands_;
    Parsed parsed_;
    std::unique_ptr<Center> center_;
};

}  // namespace cloudtask::cli
