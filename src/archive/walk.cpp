// The one file that reads archives through libarchive.
#include "archive/walk.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

#include "cloudtask/core/descriptor.h"

namespace cloudtask::archive {
namespace {

constexpr std::size_t kBlock = 64 << 10;

using Handle = std::unique_ptr<struct ::archive, int (*)(struct ::archive*)>;

tl::unexpected<Error> damaged(struct ::archive* handle) {
    const char* text = ::archive_error_string(handle);
    return fail(Errc::invalid_argument, "the archive cannot be read: {}", printable(text != nullptr ? text : "unknown format"));
}

Kind kind_of(struct ::archive_entry* entry) {
    if (::archive_entry_hardlink(entry) != nullptr || ::archive_entry_hardlink_utf8(entry) != nullptr) return Kind::hard_link;
    switch (::archive_entry_filetype(entry)) {
        case AE_IFREG:
            return Kind::file;
        case AE_IFDIR:
            return Kind::folder;
        case AE_IFLNK:
            return Kind::symbolic_link;
        default:
            return Kind::other;
    }
}

// The bytes of the archive where it has bytes; what pax and zip say in UTF-8 may have no form in the C locale and comes the second way.
std::string text_of(const char* bytes, const char* utf8) {
    if (bytes != nullptr) return bytes;
    return utf8 != nullptr ? utf8 : "";
}

Entry entry_of(struct ::archive_entry* from) {
    Entry entry;
    entry.kind = kind_of(from);
    entry.name = text_of(::archive_entry_pathname(from), ::archive_entry_pathname_utf8(from));
    if (entry.kind == Kind::hard_link) entry.target = text_of(::archive_entry_hardlink(from), ::archive_entry_hardlink_utf8(from));
    if (entry.kind == Kind::symbolic_link) entry.target = text_of(::archive_entry_symlink(from), ::archive_entry_symlink_utf8(from));
    if (entry.kind == Kind::file && ::archive_entry_size_is_set(from) != 0) {
        // A negative size is an impossible one, which the limit refuses.
        entry.size = static_cast<std::uint64_t>(::archive_entry_size(from));
    }
    entry.mode = ::archive_entry_perm(from) & 0777;
    entry.encrypted = ::archive_entry_is_encrypted(from) != 0;
    return entry;
}

Result<> read_data(struct ::archive* handle, const Entry& entry, EntryRules& rules, Receiver& receiver) {
    std::uint64_t size = entry.size;
    for (;;) {
        const void* bytes = nullptr;
        std::size_t length = 0;
        la_int64_t offset = 0;
        const int result = ::archive_read_data_block(handle, &bytes, &length, &offset);
        if (result == ARCHIVE_EOF) break;
        // A warning here is a checksum that does not fit (zip).
        if (result != ARCHIVE_OK || offset < 0) return damaged(handle);
        const std::uint64_t end = static_cast<std::uint64_t>(offset) + length;
        if (end > size) {
            if (Result<> counted = rules.count(end - size); !counted) return counted;
            size = end;
        }
        if (Result<> taken = receiver.data(static_cast<std::uint64_t>(offset), {static_cast<const char*>(bytes), length}); !taken)
            return taken;
    }
    return receiver.end_of_file(size);
}

Result<Summary> walk_archive(int descriptor, Format format, EntryRules& rules, Receiver& receiver) {
    const Handle handle(::archive_read_new(), &::archive_read_free);
    if (!handle) return fail(Errc::unavailable, "no memory for an archive reader");
    if (format == Format::tar_gz) {
        ::archive_read_support_filter_gzip(handle.get());
        ::archive_read_support_format_tar(handle.get());
    } else {
        // By its central directory, as every unzip program sees it: an entry that only a streaming reader would find is not there.
        ::archive_read_support_format_zip_seekable(handle.get());
    }
    if (::archive_read_open_fd(handle.get(), descriptor, kBlock) != ARCHIVE_OK) return damaged(handle.get());

    for (;;) {
        struct ::archive_entry* from = nullptr;
        const int result = ::archive_read_next_header(handle.get(), &from);
        if (result == ARCHIVE_EOF) break;
        if (result < ARCHIVE_WARN) return damaged(handle.get());
        Entry entry = entry_of(from);
        if (Result<> admitted = rules.admit(entry); !admitted) return propagate(admitted);
        if (entry.name.empty()) continue;
        if (Result<> taken = receiver.entry(entry); !taken) return propagate(taken);
        if (entry.kind != Kind::file) continue;
        if (Result<> data = read_data(handle.get(), entry, rules, receiver); !data) return propagate(data);
    }
    return rules.finish(format);
}

Result<Summary> walk_script(int descriptor, std::string_view filename, std::uint64_t size, EntryRules& rules, Receiver& receiver) {
    Entry entry;
    entry.name = filename.empty() ? "script" : filename;
    entry.size = size;
    entry.mode = 0755;
    if (Result<> admitted = rules.admit(entry); !admitted) return propagate(admitted);
    if (Result<> taken = receiver.entry(entry); !taken) return propagate(taken);
    std::array<char, kBlock> buffer;
    std::uint64_t offset = 0;
    for (;;) {
        const ssize_t count = ::read(descriptor, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return tl::unexpected(system_error(errno, "cannot read the package"));
        if (count == 0) break;
        if (Result<> taken = receiver.data(offset, {buffer.data(), static_cast<std::size_t>(count)}); !taken) return propagate(taken);
        offset += static_cast<std::uint64_t>(count);
    }
    if (Result<> ended = receiver.end_of_file(offset); !ended) return propagate(ended);
    return rules.finish(Format::script);
}

class Nobody final : public Receiver {
  public:
    Result<> entry(const Entry&) override { return {}; }
    Result<> data(std::uint64_t, std::string_view) override { return {}; }
    Result<> end_of_file(std::uint64_t) override { return {}; }
};

}  // namespace

Result<Summary> walk(const std::string& path, std::string_view filename, const Limits& limits, Receiver& receiver) {
    const Result<Format> format = detect(path, filename);
    if (!format) return propagate(format);
    const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    struct stat status{};
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return tl::unexpected(system_error(errno, "cannot open " + path));

    const auto size = static_cast<std::uint64_t>(status.st_size);
    EntryRules rules(limits, size);
    if (*format == Format::script) return walk_script(file.get(), filename, size, rules, receiver);
    return walk_archive(file.get(), *format, rules, receiver);
}

Result<Summary> inspect(const std::string& path, std::string_view filename, const Limits& limits) {
    Nobody nobody;
    return walk(path, filename, limits, nobody);
}

}  // namespace cloudtask::archive
