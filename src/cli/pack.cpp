// Packing of program folders with libarchive, and hashing of program files. Blocking; one thread.
#include "cli/pack.h"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <fstream>
#include <vector>

#include <archive.h>
#include <archive_entry.h>

#include "cloudtask/core/hash.h"

namespace cloudtask::cli {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kChunk = 64 * 1024;

struct ArchiveFree {
    void operator()(archive* a) const { archive_write_free(a); }
};
struct EntryFree {
    void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using Archive = std::unique_ptr<archive, ArchiveFree>;
using Entry = std::unique_ptr<archive_entry, EntryFree>;

tl::unexpected<Error> archive_error(archive* a, const fs::path& path) {
    const char* text = archive_error_string(a);
    return fail(Errc::io, "cannot pack {}: {}", path.string(), text == nullptr ? "unknown error of libarchive" : text);
}

// Everything below `folder`, relative to it, in the order of the bytes of the names.
Result<std::vector<fs::path>> contents(const fs::path& folder) {
    std::vector<fs::path> found;
    std::error_code failed;
    for (fs::recursive_directory_iterator it(folder, failed), end; !failed && it != end; it.increment(failed)) {
        found.push_back(it->path().lexically_relative(folder));
    }
    if (failed) return fail(failed, "cannot read {}: {}", folder.string(), failed.message());
    std::sort(found.begin(), found.end(), [](const fs::path& a, const fs::path& b) { return a.generic_string() < b.generic_string(); });
    return found;
}

// Whether a link at `name` (relative to the folder) that points to `target` stays in the folder.
bool stays_inside(const fs::path& name, const fs::path& target) {
    if (target.is_absolute()) return false;
    const fs::path resolved = (name.parent_path() / target).lexically_normal();
    return resolved.empty() || *resolved.begin() != "..";
}

Result<> write_contents(archive* a, const fs::path& file, std::uint64_t size) {
    std::ifstream in(file, std::ios::binary);
    if (!in) return tl::unexpected(system_error(errno, "cannot read " + file.string()));
    std::vector<char> chunk(kChunk);
    std::uint64_t written = 0;
    while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0) {
        const auto count = static_cast<std::size_t>(in.gcount());
        if (archive_write_data(a, chunk.data(), count) < 0) return archive_error(a, file);
        written += count;
    }
    if (in.bad() || written != size) return fail(Errc::io, "{} changed while it was packed", file.string());
    return {};
}

Result<> add_entry(archive* a, const fs::path& folder, const fs::path& name) {
    const fs::path path = folder / name;
    std::error_code failed;
    const fs::file_status status = fs::symlink_status(path, failed);
    if (failed) return fail(failed, "cannot read {}: {}", path.string(), failed.message());

    const Entry entry(archive_entry_new());
    archive_entry_set_pathname(entry.get(), name.generic_string().c_str());
    archive_entry_set_mtime(entry.get(), 0, 0);
    archive_entry_set_uid(entry.get(), 0);
    archive_entry_set_gid(entry.get(), 0);
    std::uint64_t size = 0;
    if (fs::is_symlink(status)) {
        const fs::path target = fs::read_symlink(path, failed);
        if (failed) return fail(failed, "cannot read {}: {}", path.string(), failed.message());
        if (!stays_inside(name, target))
            return fail(Errc::invalid_argument, "{} is a link out of the folder, to {}", path.string(), target.string());
        archive_entry_set_filetype(entry.get(), AE_IFLNK);
        archive_entry_set_perm(entry.get(), 0777);
        archive_entry_set_symlink(entry.get(), target.generic_string().c_str());
    } else if (fs::is_directory(status)) {
        archive_entry_set_filetype(entry.get(), AE_IFDIR);
        archive_entry_set_perm(entry.get(), 0755);
    } else if (fs::is_regular_file(status)) {
        size = fs::file_size(path, failed);
        if (failed) return fail(failed, "cannot read {}: {}", path.string(), failed.message());
        // Only "is it a program" is kept of the mode: the rest depends on the umask of whoever checked the folder out.
        const bool executable = (status.permissions() & fs::perms::owner_exec) != fs::perms::none;
        archive_entry_set_filetype(entry.get(), AE_IFREG);
        archive_entry_set_perm(entry.get(), executable ? 0755 : 0644);
        archive_entry_set_size(entry.get(), static_cast<std::int64_t>(size));
    } else {
        return fail(Errc::invalid_argument, "{} is neither a file, a folder nor a link, and cannot be packed", path.string());
    }
    if (archive_write_header(a, entry.get()) != ARCHIVE_OK) return archive_error(a, path);
    return fs::is_regular_file(status) ? write_contents(a, path, size) : Result<>{};
}

Result<> write_archive(const fs::path& folder, const std::vector<fs::path>& names, const fs::path& file) {
    const Archive a(archive_write_new());
    // Without "timestamp" the gzip header holds no time (RFC 1952, MTIME = 0).
    if (archive_write_add_filter_gzip(a.get()) != ARCHIVE_OK || archive_write_set_format_pax_restricted(a.get()) != ARCHIVE_OK ||
        archive_write_set_filter_option(a.get(), "gzip", "timestamp", nullptr) != ARCHIVE_OK ||
        archive_write_open_filename(a.get(), file.c_str()) != ARCHIVE_OK) {
        return archive_error(a.get(), file);
    }
    for (const fs::path& name : names) {
        if (auto added = add_entry(a.get(), folder, name); !added) return added;
    }
    if (archive_write_close(a.get()) != ARCHIVE_OK) return archive_error(a.get(), file);
    return {};
}

Result<> hash_file(PackedProgram& program) {
    std::ifstream in(program.file, std::ios::binary);
    if (!in) return tl::unexpected(system_error(errno, "cannot read " + program.file.string()));
    Sha256 hash;
    std::vector<char> chunk(kChunk);
    while (in.read(chunk.data(), static_cast<std::streamsize>(chunk.size())) || in.gcount() > 0) {
        hash.update({chunk.data(), static_cast<std::size_t>(in.gcount())});
        program.size += static_cast<std::uint64_t>(in.gcount());
    }
    if (in.bad()) return fail(Errc::io, "cannot read {}", program.file.string());
    program.sha256 = hash.finish_hex();
    return {};
}

}  // namespace

Result<std::shared_ptr<TemporaryFile>> TemporaryFile::make() {
    std::error_code failed;
    const fs::path folder = fs::temp_directory_path(failed);
    if (failed) return fail(failed, "there is no folder for temporary files: {}", failed.message());
    std::string name = (folder / "cloudtask-XXXXXX").string();
    const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
    if (descriptor < 0) return tl::unexpected(system_error(errno, "cannot make a file in " + folder.string()));
    ::close(descriptor);
    return std::shared_ptr<TemporaryFile>(new TemporaryFile(name));
}

TemporaryFile::~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path_, ignored);
}

Result<PackedProgram> pack_program(const fs::path& path) {
    std::error_code failed;
    const fs::file_status status = fs::status(path, failed);
    PackedProgram program;
    if (fs::is_regular_file(status)) {
        program.file = path;
        program.filename = path.filename().string();
    } else if (fs::is_directory(status)) {
        auto names = contents(path);
        if (!names) return propagate(names);
        if (names->empty()) return fail(Errc::invalid_argument, "the folder {} is empty", path.string());
        auto file = TemporaryFile::make();
        if (!file) return propagate(file);
        if (auto written = write_archive(path, *names, (*file)->path()); !written) return propagate(written);
        program.file = (*file)->path();
        program.filename = fs::weakly_canonical(path, failed).filename().string() + ".tar.gz";
        program.made = *file;
    } else if (!fs::exists(status)) {
        return fail(Errc::not_found, "there is no file or folder {}", path.string());
    } else {
        return fail(Errc::invalid_argument, "{} is neither a file nor a folder", path.string());
    }
    if (auto hashed = hash_file(program); !hashed) return propagate(hashed);
    return program;
}

}  // namespace cloudtask::cli
