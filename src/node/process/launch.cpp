// Launcher over mkdir(2), open(2) and spawn(). Any thread.
#include "node/process/launch.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "cloudtask/core/log.h"
#include "node/process/children.h"

namespace cloudtask::node {
namespace {

// Above 2, so that no redirection of a child overwrites it before it is used.
Descriptor open_null_device() {
    const Descriptor opened{::open("/dev/null", O_RDWR | O_CLOEXEC)};
    Descriptor kept{opened.get() < 0 ? -1 : ::fcntl(opened.get(), F_DUPFD_CLOEXEC, STDERR_FILENO + 1)};
    if (kept.get() < 0) throw std::system_error(errno, std::generic_category(), "cannot open /dev/null");
    return kept;
}

Result<> make_run_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0750) == 0 || errno == EEXIST) return {};
    return tl::unexpected(system_error(errno, "cannot make the run's folder " + path));
}

Result<> open_outputs(const LaunchSpec& spec, Launched& launched) {
    const std::string work = spec.folder + "/work";
    // As a rule it was made ahead of time.
    if (::access(work.c_str(), F_OK) != 0) {
        for (const std::string& folder : {spec.folder, work}) {
            if (Result<> made = make_run_folder(folder); !made) return propagate(made);
        }
    }
    for (const auto& [stream, file] : {std::pair{Stream::out, &launched.out}, std::pair{Stream::err, &launched.err}}) {
        if (Result<> opened = open_output(spec.folder, stream, spec.output_limit, *file, launched.output_lost); !opened) {
            return propagate(opened);
        }
    }
    return {};
}

}  // namespace

Launcher::Launcher(const Clock& clock) : clock_(clock), base_environment_(base_environment()), null_device_(open_null_device()) {}

Launched Launcher::launch(LaunchSpec spec) const {
    Launched launched;
    if (Result<> done = launch(std::move(spec), launched); !done) launched.pid = propagate(done);
    return launched;
}

Result<> Launcher::launch(LaunchSpec spec, Launched& launched) const {
    SpawnRequest request;
    request.working_folder = spec.folder + "/work";
    if (Result<> opened = open_outputs(spec, launched); !opened) return propagate(opened);

    request.command = std::move(spec.command);
    request.shell = std::move(spec.shell);
    request.environment = std::move(spec.run_environment);
    request.environment.insert_or_assign("CLOUDTASK_RUN_ID", std::move(spec.run_id));
    request.environment.merge(spec.environment);  // what stands there already stays
    request.environment.insert(base_environment_.begin(), base_environment_.end());
    request.standard_input = null_device_.get();
    request.standard_output = launched.out.descriptor() >= 0 ? launched.out.descriptor() : null_device_.get();
    request.standard_error = launched.err.descriptor() >= 0 ? launched.err.descriptor() : null_device_.get();

    launched.pid = spawn_registered([&request, &launched]() -> Result<pid_t> {
        Result<Child> child = spawn(request);
        if (!child) return propagate(child);
        launched.pidfd = std::move(child->pidfd);
        return child->pid;
    });
    launched.started_at = clock_.now();
    if (!launched.pid) return propagate(launched.pid);
    launched.out.close();
    launched.err.close();
    return {};
}

Result<> open_output(const std::string& folder, Stream stream, std::uint64_t limit, OutputFile& file, bool& lost) {
    Result<OutputFile> opened = OutputFile::open(output_path(folder, stream), limit);
    if (opened) {
        file = std::move(*opened);
        return {};
    }
    if (opened.error().is(std::make_error_code(std::errc::too_many_files_open)) ||
        opened.error().is(std::make_error_code(std::errc::too_many_files_open_in_system))) {
        return fail(Errc::unavailable, "{}", opened.error().message);
    }
    log::error("{}: the run goes on without it", opened.error().message);
    lost = true;
    return {};
}

}  // namespace cloudtask::node
