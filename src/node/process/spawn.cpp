// spawn() over clone(2), and sentences for what execve(2) only has a number for. Any thread.
#include "node/process/spawn.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string_view>

#include "cloudtask/core/check.h"

// glibc's other name of clone(2). ThreadSanitizer takes every clone() for a fork(2) and says that no thread may be started after it; this
// one shares the memory, and the parent waits.
extern "C" int __clone(int (*function)(void*), void* stack, int flags, void* argument, ...);

namespace cloudtask::node {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

// Room for the few calls of the child before it has its own memory.
constexpr std::size_t kChildStack = 64 << 10;

// What the child needs. It lives in the memory of the parent, which waits meanwhile.
struct Plan {
    const char* program;
    char* const* arguments;
    char* const* environment;
    const char* folder;
    int streams[3];
    const int* signals;  // to be reset
    std::size_t signal_count;
    int error = 0;  // of the call that failed
};

// The kernel's struct sigaction, which the C library does not show of the signals that it uses itself. All zeros: the default.
struct KernelAction {
    void (*handler)(int) = SIG_DFL;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    unsigned long mask = 0;
};

// Signals that this process handles or ignores, or that one of its libraries may come to. What is ignored would stay so in the child, and a
// handler must not run in the memory of the parent.
std::vector<int> signals_to_reset() {
    std::vector<int> signals;
    for (int signal = 1; signal < NSIG; ++signal) {
        KernelAction action;
        const bool usual = signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGPIPE || signal == SIGALRM ||
                           signal == SIGTERM || signal == SIGUSR1 || signal == SIGUSR2 || signal == SIGCHLD || signal == SIGTSTP ||
                           signal == SIGTTIN || signal == SIGTTOU;
        if (signal == SIGKILL || signal == SIGSTOP || ::syscall(SYS_rt_sigaction, signal, nullptr, &action, sizeof action.mask) != 0)
            continue;
        if (usual || action.handler != SIG_DFL) signals.push_back(signal);
    }
    return signals;
}

// What follows runs in the child, on its own stack but in the parent's memory: bare system calls only, because what wraps them (a
// sanitizer, for one) keeps account in that memory.
#define CLOUDTASK_IN_CHILD __attribute__((no_sanitize("address", "thread", "undefined")))

// For kernels before 5.9, and containers whose filter does not know close_range(2): closes what /proc/self/fd names, until that is nothing.
CLOUDTASK_IN_CHILD bool close_by_name(unsigned first) {
    const long folder = ::syscall(SYS_openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY, 0);
    if (folder < 0) return false;
    alignas(dirent64) char buffer[1024];
    for (bool closed = true; closed;) {
        closed = false;
        ::syscall(SYS_lseek, folder, 0, SEEK_SET);
        for (long length = 0; (length = ::syscall(SYS_getdents64, folder, buffer, sizeof buffer)) > 0;) {
            for (long at = 0; at < length;) {
                const auto* entry = reinterpret_cast<const dirent64*>(buffer + at);
                at += entry->d_reclen;
                unsigned descriptor = 0;
                for (const char* digit = entry->d_name; *digit >= '0' && *digit <= '9'; ++digit) {
                    descriptor = descriptor * 10 + static_cast<unsigned>(*digit - '0');
                }
                if (descriptor < first || descriptor == static_cast<unsigned>(folder)) continue;
                closed = ::syscall(SYS_close, descriptor) == 0 || closed;
            }
        }
    }
    ::syscall(SYS_close, folder);
    return true;
}

CLOUDTASK_IN_CHILD bool close_from(unsigned first) { return ::syscall(SYS_close_range, first, ~0U, 0) == 0 || close_by_name(first); }

// Returns only if the program could not be begun.
CLOUDTASK_IN_CHILD int begin_program(void* argument) {
    Plan& plan = *static_cast<Plan*>(argument);
    const KernelAction action;
    for (std::size_t i = 0; i < plan.signal_count; ++i) {
        ::syscall(SYS_rt_sigaction, plan.signals[i], &action, nullptr, sizeof action.mask);
    }
    bool done = ::syscall(SYS_setsid) >= 0;
    for (int stream = 0; stream < 3 && done; ++stream) {
        const int from = plan.streams[stream];
        done = (from == stream ? ::syscall(SYS_fcntl, stream, F_SETFD, 0) : ::syscall(SYS_dup3, from, stream, 0)) >= 0;
    }
    // The sockets of ZooKeeper's and the HTTP client's libraries are not close-on-exec.
    done = done && close_from(STDERR_FILENO + 1) && ::syscall(SYS_chdir, plan.folder) == 0;
    const unsigned long none = 0;
    if (done && ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, nullptr, sizeof none) == 0) {
        ::syscall(SYS_execve, plan.program, plan.arguments, plan.environment);
    }
    plan.error = errno;
    return 127;
}

// The child, or plan.error says why there is none.
Child begin(Plan& plan) {
    thread_local const std::unique_ptr<std::byte[]> stack(new std::byte[kChildStack]);
    sigset_t all, before;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    int pidfd = -1;
    const pid_t pid = __clone(begin_program, stack.get() + kChildStack, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
    if (pid < 0) plan.error = errno;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (pid < 0) return {};
    Child child{pid, Pidfd::taken(pidfd)};
    if (plan.error == 0) return child;
    while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
    }
    return {};
}

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

Result<Child> spawn(const SpawnRequest& request) {
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

    static const std::vector<int> signals = signals_to_reset();
    Plan plan{program.c_str(),
              arguments.data(),
              environment.data(),
              request.working_folder.c_str(),
              {request.standard_input, request.standard_output, request.standard_error},
              signals.data(),
              signals.size()};
    Child child = begin(plan);
    if (plan.error != 0) return explain(plan.error, program, request.working_folder);
    return child;
}

}  // namespace cloudtask::node
