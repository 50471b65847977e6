// Context: everything outside of the program that a command may touch, handed in so that tests can replace it.
//
// One thread.
#pragma once

#include <filesystem>
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <string>

#include "cli/api.h"
#include "cloudtask/core/clock.h"
#include "cloudtask/core/random.h"

namespace cloudtask::cli {

struct Context {
    std::ostream& out;
    std::ostream& err;
    std::istream& in;
    const Clock& clock;
    Random& random;
    std::map<std::string, std::string> environment;
    std::filesystem::path folder;  // the current one; relative paths start here
    bool out_is_terminal = false;  // then states are coloured, unless NO_COLOR is set
    bool in_is_terminal = false;   // then a missing password is asked for
    std::function<std::unique_ptr<Api>(const Endpoint&)> connect;
    std::function<Result<std::string>(const std::string& prompt)> ask_secret;  // reads a line without echo

    // The variable's value; empty when it is not set.
    std::string variable(const std::string& name) const {
        const auto found = environment.find(name);
        return found == environment.end() ? std::string{} : found->second;
    }
};

}  // namespace cloudtask::cli
