// MemoryDisk: a VFS of version 1. The node's databases are opened with exclusive locking, so no shared memory is needed for WAL.
#include "tests/sim/memory_disk.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "cloudtask/core/check.h"

namespace cloudtask::sim {

namespace {

constexpr std::string_view kRoot = "/simulated/";

using Bytes = std::vector<char>;

struct Files {
    std::map<std::string, std::shared_ptr<Bytes>, std::less<>> by_path;
    std::map<std::string, bool, std::less<>> failing;  // by disk

    bool fails(std::string_view path) const {
        const auto name = path.substr(kRoot.size(), path.find('/', kRoot.size()) - kRoot.size());
        const auto found = failing.find(name);
        return found != failing.end() && found->second;
    }
};

Files& files() {
    static Files all;
    return all;
}

// What SQLite allocates for an open file begins with sqlite3_file.
struct OpenFile {
    sqlite3_file base;
    std::shared_ptr<Bytes>* bytes;
    std::string* path;
};

OpenFile& file_of(sqlite3_file* file) { return *reinterpret_cast<OpenFile*>(file); }

int close_file(sqlite3_file* file) {
    OpenFile& open = file_of(file);
    delete open.bytes;
    delete open.path;
    return SQLITE_OK;
}

int read_file(sqlite3_file* file, void* to, int amount, sqlite3_int64 offset) {
    const Bytes& bytes = **file_of(file).bytes;
    const auto from = static_cast<std::size_t>(offset), wanted = static_cast<std::size_t>(amount);
    const std::size_t there = from < bytes.size() ? std::min(wanted, bytes.size() - from) : 0;
    if (there > 0) std::memcpy(to, bytes.data() + from, there);
    if (there == wanted) return SQLITE_OK;
    std::memset(static_cast<char*>(to) + there, 0, wanted - there);
    return SQLITE_IOERR_SHORT_READ;
}

int write_file(sqlite3_file* file, const void* from, int amount, sqlite3_int64 offset) {
    OpenFile& open = file_of(file);
    if (files().fails(*open.path)) return SQLITE_FULL;
    Bytes& bytes = **open.bytes;
    const auto end = static_cast<std::size_t>(offset) + static_cast<std::size_t>(amount);
    if (bytes.size() < end) bytes.resize(end);
    std::memcpy(bytes.data() + offset, from, static_cast<std::size_t>(amount));
    return SQLITE_OK;
}

int truncate_file(sqlite3_file* file, sqlite3_int64 size) {
    (*file_of(file).bytes)->resize(static_cast<std::size_t>(size));
    return SQLITE_OK;
}

int sync_file(sqlite3_file* file, int) { return files().fails(*file_of(file).path) ? SQLITE_IOERR_FSYNC : SQLITE_OK; }

int file_size(sqlite3_file* file, sqlite3_int64* size) {
    *size = static_cast<sqlite3_int64>((*file_of(file).bytes)->size());
    return SQLITE_OK;
}

int take_lock(sqlite3_file*, int) { return SQLITE_OK; }

int reserved_lock(sqlite3_file*, int* locked) {
    *locked = 0;
    return SQLITE_OK;
}

int control_file(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int sector_size(sqlite3_file*) { return 4096; }
int characteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_SAFE_APPEND; }

const sqlite3_io_methods& methods() {
    static const sqlite3_io_methods all = [] {
        sqlite3_io_methods made{};
        made.iVersion = 1;
        made.xClose = close_file;
        made.xRead = read_file;
        made.xWrite = write_file;
        made.xTruncate = truncate_file;
        made.xSync = sync_file;
        made.xFileSize = file_size;
        made.xLock = take_lock;
        made.xUnlock = take_lock;
        made.xCheckReservedLock = reserved_lock;
        made.xFileControl = control_file;
        made.xSectorSize = sector_size;
        made.xDeviceCharacteristics = characteristics;
        return made;
    }();
    return all;
}

sqlite3_vfs* system_vfs = nullptr;

bool ours(const char* path) { return path != nullptr && std::string_view{path}.starts_with(kRoot); }

int open_file(sqlite3_vfs*, const char* path, sqlite3_file* file, int flags, int* out_flags) {
    if (!ours(path)) return system_vfs->xOpen(system_vfs, path, file, flags, out_flags);
    auto& place = files().by_path[path];
    if (!place) place = std::make_shared<Bytes>();
    OpenFile& open = file_of(file);
    open.base.pMethods = &methods();
    open.bytes = new std::shared_ptr<Bytes>(place);
    open.path = new std::string(path);
    if (out_flags != nullptr) *out_flags = flags;
    return SQLITE_OK;
}

int delete_file(sqlite3_vfs*, const char* path, int sync) {
    if (!ours(path)) return system_vfs->xDelete(system_vfs, path, sync);
    return files().by_path.erase(path) == 1 ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
}

int access_file(sqlite3_vfs*, const char* path, int flags, int* result) {
    if (!ours(path)) return system_vfs->xAccess(system_vfs, path, flags, result);
    *result = files().by_path.contains(path) ? 1 : 0;
    return SQLITE_OK;
}

int full_path(sqlite3_vfs*, const char* path, int size, char* to) {
    if (!ours(path)) return system_vfs->xFullPathname(system_vfs, path, size, to);
    sqlite3_snprintf(size, to, "%s", path);
    return SQLITE_OK;
}

}  // namespace

void MemoryDisk::install() {
    static const bool done = [] {
        system_vfs = sqlite3_vfs_find(nullptr);
        CLOUDTASK_CHECK(system_vfs != nullptr, "SQLite has no VFS");
        static sqlite3_vfs vfs = *system_vfs;  // what is not replaced (randomness, time) is the system's
        vfs.zName = "simulated";
        vfs.pNext = nullptr;
        vfs.szOsFile = std::max(system_vfs->szOsFile, static_cast<int>(sizeof(OpenFile)));
        vfs.xOpen = open_file;
        vfs.xDelete = delete_file;
        vfs.xAccess = access_file;
        vfs.xFullPathname = full_path;
        return sqlite3_vfs_register(&vfs, 1) == SQLITE_OK;
    }();
    CLOUDTASK_CHECK(done, "SQLite did not take the VFS");
}

MemoryDisk::MemoryDisk(std::string name) : name_(std::move(name)) { install(); }

MemoryDisk::~MemoryDisk() {
    erase_all();
    files().failing.erase(name_);
}

void MemoryDisk::erase_all() {
    std::erase_if(files().by_path, [prefix = path("")](const auto& entry) { return entry.first.starts_with(prefix); });
}

std::string MemoryDisk::path(const std::string& file) const { return std::string{kRoot} + name_ + "/" + file; }

void MemoryDisk::set_failing(bool failing) { files().failing[name_] = failing; }

}  // namespace cloudtask::sim
