// Reading /proc, proc(5). Any thread.
#include "node/process/proc_table.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <memory>

#include <fmt/format.h>

#include "cloudtask/core/descriptor.h"

namespace cloudtask::node {
namespace {

constexpr std::string_view kRunIdVariable = "CLOUDTASK_RUN_ID=";
// An environment may be megabytes; the node writes its own variables first in it (they sort before most), and looks no further than this.
constexpr std::size_t kMostEnvironment = 4 << 20;

// What is in an open file of /proc as of now, or nothing.
std::optional<std::string> read_open(int descriptor, std::size_t most) {
    std::string text;
    std::array<char, 4096> buffer;
    ssize_t count = 0;
    while (text.size() < most) {
        count = ::pread(descriptor, buffer.data(), buffer.size(), static_cast<off_t>(text.size()));
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) break;
        text.append(buffer.data(), static_cast<std::size_t>(count));
    }
    if (count < 0) return std::nullopt;
    return text;
}

// The whole of a small file of /proc, or nothing.
std::optional<std::string> read_small(const char* path, std::size_t most) {
    const Descriptor file{::open(path, O_RDONLY | O_CLOEXEC)};
    return file.get() < 0 ? std::nullopt : read_open(file.get(), most);
}

template <class Number>
bool next_number(std::string_view& text, Number& out) {
    text.remove_prefix(std::min(text.find_first_not_of(" \n"), text.size()));
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    if (error != std::errc{}) return false;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    return true;
}

// The kernel's list of the main thread's children; not open without CONFIG_PROC_CHILDREN.
int list_of_children() {
    static const Descriptor list{::open(fmt::format("/proc/self/task/{}/children", ::getpid()).c_str(), O_RDONLY | O_CLOEXEC)};
    return list.get();
}

}  // namespace

std::optional<ProcessStat> parse_stat(std::string_view text) {
    ProcessStat stat;
    const std::size_t name_ends = text.rfind(") ");
    if (!next_number(text, stat.pid) || name_ends == std::string_view::npos) return std::nullopt;
    std::string_view rest = text.substr(text.rfind(") ") + 2);
    if (rest.empty()) return std::nullopt;
    stat.state = rest.front();
    rest.remove_prefix(1);
    if (!next_number(rest, stat.parent) || !next_number(rest, stat.group) || !next_number(rest, stat.session)) return std::nullopt;
    // Fields 7 to 21 lie between; field 22 is the start time.
    std::int64_t skipped = 0;
    for (int field = 7; field <= 21; ++field) {
        if (!next_number(rest, skipped)) return std::nullopt;
    }
    if (!next_number(rest, stat.start_time)) return std::nullopt;
    if (stat.dead()) {
        // Fields 23 to 51 lie between; field 52 is the exit status (proc(5)).
        bool whole = true;
        int status = 0;
        for (int field = 23; field <= 51 && whole; ++field) {
            std::uint64_t unsigned_field = 0;
            std::int64_t signed_field = 0;
            whole = next_number(rest, unsigned_field) || next_number(rest, signed_field);
        }
        if (whole && next_number(rest, status)) stat.wait_status = status;
    }
    return stat;
}

std::optional<ProcessStat> read_stat(pid_t pid) {
    std::array<char, 32> path{};
    *fmt::format_to_n(path.data(), path.size() - 1, "/proc/{}/stat", pid).out = '\0';
    const std::optional<std::string> text = read_small(path.data(), 4096);
    return text ? parse_stat(*text) : std::nullopt;
}

std::vector<ProcessStat> read_processes() {
    std::vector<ProcessStat> processes;
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc"), &::closedir);
    if (!folder) return processes;
    while (const dirent* entry = ::readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        pid_t pid = 0;
        const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
        if (error != std::errc{} || end != name.data() + name.size()) continue;
        if (const std::optional<ProcessStat> stat = read_stat(pid)) processes.push_back(*stat);
    }
    return processes;
}

std::string run_id_of(pid_t pid) {
    const std::optional<std::string> text = read_small(fmt::format("/proc/{}/environ", pid).c_str(), kMostEnvironment);
    if (!text) return {};
    std::string_view rest = *text;
    while (!rest.empty()) {
        const std::string_view variable = rest.substr(0, rest.find('\0'));
        if (variable.starts_with(kRunIdVariable)) return std::string{variable.substr(kRunIdVariable.size())};
        rest.remove_prefix(std::min(variable.size() + 1, rest.size()));
    }
    return {};
}

std::vector<pid_t> children_of_this_process() {
    std::vector<pid_t> children;
    // Orphans go to the first thread of the subreaper that is alive: the main thread.
    if (const std::optional<std::string> text = read_open(list_of_children(), SIZE_MAX)) {
        std::string_view rest = *text;
        for (pid_t pid = 0; next_number(rest, pid);) children.push_back(pid);
        return children;
    }
    // A kernel without CONFIG_PROC_CHILDREN.
    const pid_t self = ::getpid();
    for (const ProcessStat& process : read_processes()) {
        if (process.parent == self) children.push_back(process.pid);
    }
    return children;
}

bool shows_children_of_this_thread() { return ::gettid() == ::getpid() || list_of_children() < 0; }

std::string boot_id() {
    std::string text = read_small("/proc/sys/kernel/random/boot_id", 64).value_or("");
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
}

}  // namespace cloudtask::node
