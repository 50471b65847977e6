// cloudtask, the command line of a center: hands the real surroundings to run_program(). See docs/cli.md.
#include <unistd.h>
#include <csignal>
#include <iostream>

#include "cli/program.h"
#include "cli/terminal.h"
#include "cloudtask/http/client.h"

namespace {

std::map<std::string, std::string> environment() {
    std::map<std::string, std::string> variables;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::size_t equals = text.find('=');
        if (equals != std::string_view::npos) variables.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
    return variables;
}

}  // namespace

int main(int argc, char** argv) {
    std::ios::sync_with_stdio(false);
    // A center or a reader (as in "| head") that goes away is an error of a write, not the end of the process.
    std::signal(SIGPIPE, SIG_IGN);
    cloudtask::http::init_client_threads();
    const cloudtask::SystemClock clock;
    cloudtask::SystemRandom random;
    std::error_code ignored;
    cloudtask::cli::Context context{.out = std::cout,
                                    .err = std::cerr,
                                    .in = std::cin,
                                    .clock = clock,
                                    .random = random,
                                    .environment = environment(),
                                    .folder = std::filesystem::current_path(ignored),
                                    .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                                    .in_is_terminal = ::isatty(STDIN_FILENO) == 1,
                                    .connect = cloudtask::cli::make_http_api,
                                    .ask_secret = cloudtask::cli::ask_secret};
    return cloudtask::cli::run_program(context, {argv + 1, argv + argc});
}
