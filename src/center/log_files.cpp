// Logs of runs on disk: see log_files.h. Plain POSIX calls, because what matters here is when bytes are durable and which errno a full
// disk gives.
#include "center/log_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "cloudtask/core/check.h"
#include "cloudtask/core/descriptor.h"
#include "cloudtask/core/ids.h"

namespace cloudtask::center {

namespace {

Error log_file_error(int error_number, const std::filesystem::path& path, std::string_view verb) {
    return Error{make_error_code(Errc::io), system_error(error_number, fmt::format("cannot {} {}", verb, path.string())).message};
}

bool sync_log_folder(const std::filesystem::path& folder) {
    const Descriptor descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return descriptor.get() >= 0 && ::fsync(descriptor.get()) == 0;
}

}  // namespace

std::string_view to_string(LogStream stream) { return stream == LogStream::standard_output ? "stdout" : "stderr"; }

Result<LogStream> parse_log_stream(std::string_view text) {
    if (text == "stdout") return LogStream::standard_output;
    if (text == "stderr") return LogStream::standard_error;
    return fail(Errc::invalid_argument, "'{}' is not a stream: stdout or stderr", text);
}

Result<LogFiles> LogFiles::open(std::filesystem::path root) {
    std::error_code code;
    std::filesystem::create_directories(root, code);
    if (code) return fail(Errc::io, "cannot make the folder of logs {}: {}", root.string(), code.message());
    return LogFiles(std::move(root));
}

std::filesystem::path LogFiles::path(std::string_view run_id, LogStream stream) const {
    CLOUDTASK_CHECK(is_uuid(run_id), "the name of a log file is made of a run id only");
    return root_ / std::string(run_id.substr(run_id.size() - 2)) / fmt::format("{}.{}", run_id, to_string(stream));
}

Result<std::uint64_t> LogFiles::size(std::string_view run_id, LogStream stream) const {
    const auto file = path(run_id, stream);
    struct stat status{};
    if (::stat(file.c_str(), &status) == 0) return static_cast<std::uint64_t>(status.st_size);
    if (errno == ENOENT) return std::uint64_t{0};
    return tl::unexpected(log_file_error(errno, file, "look at"));
}

Result<std::string> LogFiles::read(std::string_view run_id, LogStream stream, std::uint64_t from, std::size_t max) const {
    const auto file = path(run_id, stream);
    const Descriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (descriptor.get() < 0) {
        if (errno == ENOENT) return std::string{};
        return tl::unexpected(log_file_error(errno, file, "open"));
    }
    struct stat status{};
    if (::fstat(descriptor.get(), &status) != 0) return tl::unexpected(log_file_error(errno, file, "look at"));
    const auto size = static_cast<std::uint64_t>(status.st_size);
    if (from >= size) return std::string{};
    std::string text(static_cast<std::size_t>(std::min<std::uint64_t>(max, size - from)), '\0');
    std::size_t filled = 0;
    while (filled < text.size()) {
        const auto got = ::pread(descriptor.get(), text.data() + filled, text.size() - filled, static_cast<off_t>(from + filled));
        if (got < 0) {
            if (errno == EINTR) continue;
            return tl::unexpected(log_file_error(errno, file, "read"));
        }
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    text.resize(filled);
    return text;
}

Result<std::string> LogFiles::tail(std::string_view run_id, LogStream stream, std::size_t max) const {
    const auto bytes = size(run_id, stream);
    if (!bytes) return propagate(bytes);
    return read(run_id, stream, *bytes > max ? *bytes - max : 0, max);
}

LogBatch::~LogBatch() {
    for (const auto& [key, file] : open_) ::close(file.descriptor);
}

Result<LogBatch::File*> LogBatch::file(std::string_view run_id, LogStream stream) {
    const std::pair<std::string, LogStream> key{std::string(run_id), stream};
    if (const auto found = open_.find(key); found != open_.end()) return &found->second;
    const auto path = files_.path(run_id, stream);
    File file;
    file.folder = path.parent_path();
    constexpr int kFlags = O_WRONLY | O_CLOEXEC;
    file.descriptor = ::open(path.c_str(), kFlags);
    if (file.descriptor < 0 && errno == ENOENT) {
        std::error_code code;
        if (std::filesystem::create_directory(file.folder, code)) sync_log_folder(file.folder.parent_path());
        if (code) return tl::unexpected(log_file_error(code.value(), file.folder, "make"));
        file.created = true;
        file.descriptor = ::open(path.c_str(), kFlags | O_CREAT, 0640);
    }
    if (file.descriptor < 0) return tl::unexpected(log_file_error(errno, path, "open"));
    struct stat status{};
    if (::fstat(file.descriptor, &status) != 0) {
        const int error_number = errno;
        ::close(file.descriptor);
        return tl::unexpected(log_file_error(error_number, path, "look at"));
    }
    file.size = static_cast<std::uint64_t>(status.st_size);
    return &open_.emplace(key, std::move(file)).first->second;
}

Result<> LogBatch::write(std::string_view run_id, LogStream stream, std::uint64_t offset, std::string_view data) {
    if (!is_uuid(run_id)) return fail(Errc::invalid_argument, "'{}' is not a run id", run_id);
    if (offset > kMaxLogBytes || data.size() > kMaxLogBytes - offset) {
        return fail(Errc::too_large, "a log may have {} bytes at most", kMaxLogBytes);
    }
    const auto found = file(run_id, stream);
    if (!found) return propagate(found);
    File& file = **found;
    if (offset > file.size) {
        return fail(Errc::conflict, "a gap in {} of run {}: offset {} is beyond its end, {}", to_string(stream), run_id, offset, file.size);
    }
    if (!file.touched) file.first_offset = offset;
    file.touched = true;
    file.first_offset = std::min(file.first_offset, offset);
    std::size_t done = 0;
    while (done < data.size()) {
        const auto put = ::pwrite(file.descriptor, data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
        if (put < 0) {
            if (errno == EINTR) continue;
            return tl::unexpected(log_file_error(errno, files_.path(run_id, stream), "write"));
        }
        done += static_cast<std::size_t>(put);
        file.size = std::max(file.size, offset + done);
    }
    return {};
}

std::vector<LogBatch::Written> LogBatch::sync() {
    std::vector<Written> failed;
    std::map<std::filesystem::path, bool> folders;
    for (const auto& [key, file] : open_) {
        if (file.created && !folders.contains(file.folder)) folders[file.folder] = sync_log_folder(file.folder);
        if (!file.touched) continue;
        const bool named = !file.created || folders[file.folder];
        if (!named || ::fdatasync(file.descriptor) != 0) failed.push_back({key.first, key.second, file.first_offset});
    }
    return failed;
}

}  // namespace cloudtask::center
