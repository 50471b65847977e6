// RunFolders: the folders of runs on this node's disk.
#include "node/run_folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <mutex>
#include <unordered_set>

#include "cloudtask/core/descriptor.h"
#include "node/process/output.h"

namespace cloudtask::node {

namespace fs = std::filesystem;

namespace {

constexpr const char* kSpare = "spare";
constexpr std::size_t kMaxSpares = 20'000;  // more are removed
constexpr mode_t kFolderMode = 0750, kFileMode = 0640;

// A file or folder that is still as it was made: ours, under one name, with its permissions.
bool as_made(const struct stat& status, mode_t type, mode_t mode, nlink_t links) {
    return (status.st_mode & S_IFMT) == type && (status.st_mode & 07777) == mode && status.st_uid == ::geteuid() &&
           status.st_nlink == links;
}

// What follows is done for every run. So names are looked up in a folder that is open, and not from the root of the file system each time.

Descriptor open_folder(int parent, const char* name) {
    return Descriptor{::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NOATIME | O_CLOEXEC)};
}

// Whether the open folder, which has not been read before, holds exactly so many entries.
bool holds(int folder, std::size_t expected) {
    alignas(dirent64) std::array<char, 2048> buffer;
    std::size_t entries = 0;
    for (;;) {
        const ssize_t length = ::getdents64(folder, buffer.data(), buffer.size());
        if (length <= 0) return length == 0 && entries == expected + 2;  // "." and ".."
        for (ssize_t at = 0; at < length; ++entries) {
            at += reinterpret_cast<const dirent64*>(buffer.data() + at)->d_reclen;
            if (entries > expected + 2) return false;
        }
    }
}

// Empties an output file that nobody else has open.
bool clear_output(int folder, Stream stream) {
    const Descriptor file{::openat(folder, std::string{to_string(stream)}.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)};
    struct stat status{};
    // fcntl(2): a write lease is given only while no other descriptor of the file is open. Who escaped the end of its run may hold one.
    return file.get() >= 0 && ::fstat(file.get(), &status) == 0 && as_made(status, S_IFREG, kFileMode, 1) &&
           ::fcntl(file.get(), F_SETLEASE, F_WRLCK) == 0 && (status.st_size == 0 || ::ftruncate(file.get(), 0) == 0);
}

bool is_clear_work(int folder) {
    const Descriptor work = open_folder(folder, "work");
    struct stat status{};
    return work.get() >= 0 && ::fstat(work.get(), &status) == 0 && as_made(status, S_IFDIR, kFolderMode, 2) && holds(work.get(), 0);
}

// What a folder that is fit for the next run holds: two empty files and an empty working folder.
bool clear_folder(int folder) {
    return holds(folder, 3) && is_clear_work(folder) && clear_output(folder, Stream::out) && clear_output(folder, Stream::err);
}

void empty_work(const std::string& folder) {
    std::error_code ignored;  // what cannot be removed now goes with the whole folder
    for (fs::directory_iterator entry(folder + "/work", ignored), end; !ignored && entry != end; entry.increment(ignored)) {
        std::error_code left;
        fs::remove_all(entry->path(), left);
    }
}

void make_anew(const std::string& folder) {
    if (::mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST) return;
    if (::mkdir((folder + "/work").c_str(), kFolderMode) != 0 && errno != EEXIST) return;
    for (const Stream stream : {Stream::out, Stream::err}) {
        const int file = ::open(output_path(folder, stream).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, kFileMode);
        if (file >= 0) ::close(file);
    }
}

}  // namespace

// Cleared folders. Takes and gives folders by their names below `root`. Thread-safe.
class RunFolders::Spares {
  public:
    explicit Spares(std::string root) : path_(std::move(root)), root_(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {
        std::error_code error;
        for (fs::directory_iterator entry(of(kSpare), error), end; !error && entry != end; entry.increment(error)) {
            names_.push_back(entry->path().filename());
        }
    }

    // Makes a spare folder the one of that name. False if there is none, or it cannot be moved there.
    bool take(const std::string& folder) {
        std::string name;
        {
            const std::lock_guard lock(mutex_);
            if (names_.empty()) return false;
            name = std::move(names_.back());
            names_.pop_back();
        }
        if (move(spare(name), folder)) return true;
        const bool occupied = errno == ENOTEMPTY || errno == EEXIST;  // the start came first and made one
        const std::lock_guard lock(mutex_);
        if (occupied) names_.push_back(std::move(name));
        return false;
    }

    // Keeps the folder, if it is fit for the next run.
    bool give(const std::string& folder) {
        if (!clear_folder(open_folder(root_.get(), folder.c_str()).get())) return false;
        {
            const std::lock_guard lock(mutex_);
            if (names_.size() >= kMaxSpares) return false;
        }
        std::string name = folder.substr(folder.rfind('/') + 1);
        if (!move(folder, spare(name))) return false;
        const std::lock_guard lock(mutex_);
        names_.push_back(std::move(name));
        return true;
    }

    void give_or_remove(const std::string& folder) {
        if (give(folder)) return;
        std::error_code ignored;  // what cannot be removed is set aside at the next start
        fs::remove_all(of(folder), ignored);
    }

    std::string of(std::string_view folder) const { return fmt::format("{}/{}", path_, folder); }

  private:
    static std::string spare(const std::string& name) { return fmt::format("{}/{}", kSpare, name); }
    bool move(const std::string& from, const std::string& to) const {
        return ::renameat(root_.get(), from.c_str(), root_.get(), to.c_str()) == 0;
    }

    const std::string path_;
    const Descriptor root_;  // the same, open
    std::mutex mutex_;
    std::vector<std::string> names_;  // guarded by mutex_
};

RunFolders::RunFolders(Worker& scratch, std::string root) : scratch_(scratch), spares_(std::make_shared<Spares>(std::move(root))) {}

Result<> RunFolders::make_shards(const std::string& root) {
    std::vector<std::string> names{kSpare};
    for (int shard = 0; shard < 256; ++shard) names.push_back(fmt::format("{:02x}", shard));
    for (const auto& name : names) {
        std::error_code error;
        const std::string path = root + "/" + name;
        fs::create_directories(path, error);
        if (error) return fail(Errc::io, "cannot make {}: {}", path, error.message());
    }
    return {};
}

Result<> RunFolders::set_strays_aside(const std::string& root, const std::vector<std::string>& known) {
    const std::unordered_set<std::string> keep(known.begin(), known.end());
    const fs::path aside = strays(root);
    std::error_code error;
    std::vector<fs::path> found;
    for (fs::directory_iterator shard(root, error), end; !error && shard != end; shard.increment(error)) {
        if (shard->path() == aside || shard->path().filename() == kSpare || !shard->is_directory(error)) continue;
        for (fs::directory_iterator run(shard->path(), error); !error && run != end; run.increment(error)) {
            if (!keep.contains(run->path().filename())) found.push_back(run->path());
        }
    }
    if (!error && !found.empty()) fs::remove_all(aside, error);
    if (!error && !found.empty()) fs::create_directories(aside, error);
    for (const auto& path : found) {
        if (!error) fs::rename(path, aside / path.filename(), error);
    }
    if (error) return fail(Errc::io, "cannot tidy up {}: {}", root, error.message());
    return {};
}

std::string RunFolders::name_of(const std::string& run_id) {
    return fmt::format("{}/{}", std::string_view{run_id}.substr(run_id.size() - 2), run_id);  // 256 shards: no huge directory
}

std::string RunFolders::of(const std::string& run_id) const { return spares_->of(name_of(run_id)); }

void RunFolders::make(const std::string& run_id) {
    scratch_.submit([folder = name_of(run_id), spares = spares_] {
        if (!spares->take(folder)) make_anew(spares->of(folder));
    });
}

void RunFolders::clear_work(const std::string& run_id) {
    scratch_.submit([folder = of(run_id)] { empty_work(folder); });
}

void RunFolders::release(const std::string& run_id) {
    scratch_.submit([folder = name_of(run_id), spares = spares_] { spares->give_or_remove(folder); });
}

void RunFolders::clear_and_release(const std::string& run_id) {
    scratch_.submit([folder = name_of(run_id), spares = spares_] {
        if (spares->give(folder)) return;  // as a rule a run leaves nothing behind
        empty_work(spares->of(folder));
        spares->give_or_remove(folder);
    });
}

}  // namespace cloudtask::node
