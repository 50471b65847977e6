// Output files and the log view, over fstat(2), pread(2) and fallocate(2).
#include "node/process/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "cloudtask/core/log.h"

namespace cloudtask::node {
namespace {

// A hole is punched in steps of at least this, so that a steady writer does not cost a system call for every block.
constexpr std::uint64_t kFreeStep = 64 << 10;

// Reads from `position` until `max` bytes or the end of the file, and appends them to `out`.
Result<> append_from(int descriptor, const std::string& path, std::uint64_t position, std::uint64_t max, std::string& out) {
    const std::size_t before = out.size();
    out.resize(before + max);
    std::size_t filled = 0;
    while (filled < max) {
        const ssize_t count = ::pread(descriptor, out.data() + before + filled, max - filled, static_cast<off_t>(position + filled));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) {
            const int error = errno;
            out.resize(before);
            return tl::unexpected(system_error(error, "cannot read " + path));
        }
        if (count == 0) break;
        filled += static_cast<std::size_t>(count);
    }
    out.resize(before + filled);
    return {};
}

}  // namespace

std::string_view to_string(Stream stream) { return stream == Stream::out ? "stdout" : "stderr"; }

std::string output_path(std::string_view run_folder, Stream stream) { return fmt::format("{}/{}", run_folder, to_string(stream)); }

std::string LogShape::marker() const { return cut() ? fmt::format("\n[cloudtask: {} bytes cut]\n", written - limit) : std::string{}; }

std::uint64_t LogShape::available() const {
    if (!final) return std::min(written, head());
    return cut() ? limit + marker().size() : written;
}

Result<std::string> read_log(const std::string& path, const LogShape& shape, std::uint64_t offset, std::size_t max) {
    const std::uint64_t available = shape.available();
    if (offset >= available || max == 0) return std::string{};

    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        if (errno == ENOENT) return std::string{};
        return tl::unexpected(system_error(errno, "cannot open " + path));
    }

    const std::uint64_t end = std::min<std::uint64_t>(available, offset + max);
    std::string out;
    out.reserve(end - offset);
    Result<> read;
    if (!shape.final || !shape.cut()) {
        read = append_from(descriptor, path, offset, end - offset, out);
    } else {
        const std::string marker = shape.marker();
        const std::uint64_t tail_begins = shape.head() + marker.size();
        if (offset < shape.head()) read = append_from(descriptor, path, offset, std::min(end, shape.head()) - offset, out);
        const std::uint64_t marker_from = std::max(offset, shape.head());
        const std::uint64_t marker_to = std::min(end, tail_begins);
        if (marker_from < marker_to) out += std::string_view{marker}.substr(marker_from - shape.head(), marker_to - marker_from);
        const std::uint64_t tail_from = std::max(offset, tail_begins);
        if (read && tail_from < end) {
            read = append_from(descriptor, path, shape.written - shape.tail() + (tail_from - tail_begins), end - tail_from, out);
        }
    }
    ::close(descriptor);
    if (!read) return propagate(read);
    return out;
}

Result<OutputFile> OutputFile::open(const std::string& path, std::uint64_t limit) {
    OutputFile file;
    file.descriptor_ = Descriptor{::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640)};
    if (file.descriptor() < 0) return tl::unexpected(system_error(errno, "cannot make the output file " + path));
    file.path_ = path;
    file.limit_ = limit;
    file.freed_to_ = limit / 2;
    return file;
}

bool OutputFile::poll() {
    struct stat status{};
    if (path_.empty() || ::lstat(path_.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (size == written_) return false;
    // A child can also shorten its file (`> /dev/stdout` in a shell truncates what stands behind it).
    const bool grew = size > written_;
    written_ = size;
    if (!grew) {
        freed_to_ = limit_ / 2;
        return false;
    }

    const std::uint64_t free_to = size > limit_ ? size - (limit_ - limit_ / 2) : 0;
    if (free_to >= freed_to_ + kFreeStep) {
        free_middle(free_to);
        freed_to_ = free_to;
    }
    return true;
}

void OutputFile::free_middle(std::uint64_t until) const {
    const auto from = static_cast<off_t>(limit_ / 2);
    const Descriptor file{::open(path_.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)};
    if (::fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, from, static_cast<off_t>(until) - from) == 0) return;
    static bool said = false;  // on the loop
    if (!std::exchange(said, true)) {
        log::warn(
            "the file system of the run folders cannot free parts of a file ({}): output beyond its limit stays on disk until "
            "the run's folder is erased",
            std::generic_category().message(errno));
    }
}

}  // namespace cloudtask::node
