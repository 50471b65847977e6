// spawn() over posix_spawn(3), and sentences for what execve(2) only has a number for. Any thread.
#include "node/process/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <string_view>

#include "cloudtask/core/check.h"

namespace cloudtask::node {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// posix_spawn's two parameter objects, destroyed in any case.
class Parameters {
  public:
    Parameters() {
        ::posix_spawn_file_actions_init(&actions);
        ::posix_spawnattr_init(&attributes);
    }
    ~Parameters() {
        ::posix_spawn_file_actions_destroy(&actions);
        ::posix_spawnattr_destroy(&attributes);
    }
    Parameters(const Parameters&) = delete;
    Parameters& operator=(const Parameters&) = delete;

    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
};

bool is_program(const std::string& path) {
    struct stat status{};
    return ::faccessat(AT_FDCWD, path.c_str(), X_OK, AT_EACCESS) == 0 && ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode);
}

std::string in_folder(const std::string& folder, std::string_view path) {
    return !path.empty() && path.front() == '/' ? std::string{path} : fmt::format("{}/{}", folder, path);
}

// The file to execute for a command, as execvp(3) would find it, but by the child's PATH and from the child's working folder.
Result<std::string> find_program(const std::string& name, const SpawnRequest& request) {
    if (name.empty()) return fail(Errc::invalid_argument, "the command's first word is empty");
    if (name.find('/') != std::string::npos) return in_folder(request.working_folder, name);

    const auto variable = request.environment.find("PATH");
    const std::string search = variable == request.environment.end() ? kDefaultPath : variable->second;
    bool seen = false;
    for (std::size_t begin = 0; begin <= search.size();) {
        const std::size_t end = std::min(search.find(':', begin), search.size());
        // POSIX: an empty entry of PATH is the working folder.
        const std::string candidate = fmt::format("{}/{}", in_folder(request.working_folder, search.substr(begin, end - begin)), name);
        if (is_program(candidate)) return candidate;
        seen = seen || ::access(candidate.c_str(), F_OK) == 0;
        begin = end + 1;
    }
    if (seen) return fail(Errc::permission_denied, "'{}' is in PATH ({}) but is not an executable file", name, search);
    return fail(Errc::not_found, "no program '{}' in PATH ({})", name, search);
}

// The interpreter that a script names in its first line, or an empty text.
std::string interpreter_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::array<char, 256> begin{};
    file.read(begin.data(), begin.size());
    std::string_view line{begin.data(), static_cast<std::size_t>(file.gcount())};
    if (!line.starts_with("#!")) return {};
    line = line.substr(2, std::min(line.find('\n'), line.size()) - 2);
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
    return std::string{line.substr(0, line.find_first_of(" \t"))};
}

// execve(2) says little: it has one code for a missing program and for a missing interpreter. This finds out which it was.
tl::unexpected<Error> explain(int error, const std::string& program, const std::string& folder) {
    struct stat status{};
    const bool exists = ::stat(program.c_str(), &status) == 0;
    switch (error) {
        case ENOENT:
        case ENOTDIR: {
            struct stat folder_status{};
            if (::stat(folder.c_str(), &folder_status) != 0) return fail(Errc::not_found, "the working folder {} is not there", folder);
            if (!exists) return fail(Errc::not_found, "no program {}", program);
            std::string interpreter = interpreter_of(program);
            if (interpreter.empty()) return fail(Errc::not_found, "{} needs a loader or library that this machine does not have", program);
            const bool carriage_return = interpreter.back() == '\r';
            if (carriage_return) interpreter.pop_back();
            return fail(Errc::not_found, "the interpreter {} of {} is not there{}", interpreter, program,
                        carriage_return ? " (its lines end as on Windows, with a carriage return)" : "");
        }
        case EACCES: {
            if (exists && S_ISDIR(status.st_mode)) return fail(Errc::permission_denied, "{} is a folder, not a program", program);
            if (exists && (status.st_mode & 0111) == 0) {
                return fail(Errc::permission_denied, "{} is not executable (chmod +x before packing it)", program);
            }
            return fail(Errc::permission_denied, "{} may not be executed: a folder, the interpreter or a noexec mount forbids it", program);
        }
        case ENOEXEC:
            return fail(Errc::invalid_argument, "{} is neither a program for this machine nor a script that begins with #!", program);
        case E2BIG:
            return fail(Errc::too_large, "the arguments and environment for {} are larger than the system allows", program);
        case EAGAIN:
        case ENOMEM:
        case EMFILE:
        case ENFILE:
        case ETXTBSY:
            return fail(Errc::unavailable, "cannot start {} just now: {}", program, std::generic_category().message(error));
        default:
            return tl::unexpected(system_error(error, "cannot start " + program));
    }
}

}  // namespace

Environment base_environment() {
    Environment environment;
    const char* path = ::secure_getenv("PATH");
    environment["PATH"] = path != nullptr && *path != '\0' ? path : kDefaultPath;
    const char* home = ::secure_getenv("HOME");
    environment["HOME"] = home != nullptr ? home : "/";
    for (const char* name : {"LANG", "TZ"}) {
        if (const char* value = ::secure_getenv(name)) environment[name] = value;
    }
    return environment;
}

Result<pid_t> spawn(const SpawnRequest& request) {
    CLOUDTASK_CHECK(request.command.empty() != request.shell.empty(), "a run has either a command or a shell text");

    std::string program = "/bin/sh";
    std::vector<std::string> words = request.command;
    if (words.empty()) {
        words = {"/bin/sh", "-c", request.shell};
    } else {
        Result<std::string> found = find_program(words.front(), request);
        if (!found) return propagate(found);
        program = std::move(*found);
    }

    std::vector<char*> arguments;
    arguments.reserve(words.size() + 1);
    for (std::string& word : words) arguments.push_back(word.data());
    arguments.push_back(nullptr);

    std::vector<std::string> variables;
    variables.reserve(request.environment.size());
    for (const auto& [name, value] : request.environment) variables.push_back(fmt::format("{}={}", name, value));
    std::vector<char*> environment;
    environment.reserve(variables.size() + 1);
    for (std::string& variable : variables) environment.push_back(variable.data());
    environment.push_back(nullptr);

    Parameters parameters;
    ::posix_spawn_file_actions_adddup2(&parameters.actions, request.standard_input, STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&parameters.actions, request.standard_output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&parameters.actions, request.standard_error, STDERR_FILENO);
    // The sockets of ZooKeeper's and the HTTP client's libraries are not close-on-exec.
    ::posix_spawn_file_actions_addclosefrom_np(&parameters.actions, STDERR_FILENO + 1);
    ::posix_spawn_file_actions_addchdir_np(&parameters.actions, request.working_folder.c_str());

    sigset_t none, all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&parameters.attributes, &none);
    ::posix_spawnattr_setsigdefault(&parameters.attributes, &all);
    ::posix_spawnattr_setflags(&parameters.attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

    pid_t pid = 0;
    const int error =
        ::posix_spawn(&pid, program.c_str(), &parameters.actions, &parameters.attributes, arguments.data(), environment.data());
    if (error != 0) return explain(error, program, request.working_folder);
    return pid;
}

}  // namespace cloudtask::node
