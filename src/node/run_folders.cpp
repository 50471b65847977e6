// RunFolders: the folders of runs on this node's disk.
#include "node/run_folders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>
#include <unordered_set>

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

// Empties an output file that nobody else has open.
bool clear_output(const std::string& path) {
    const int file = ::open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) return false;
    struct stat status{};
    // fcntl(2): a write lease is given only while no other descriptor of the file is open. Who escaped the end of its run may hold one.
    const bool cleared = ::fstat(file, &status) == 0 && as_made(status, S_IFREG, kFileMode, 1) && ::fcntl(file, F_SETLEASE, F_WRLCK) == 0 &&
                         (status.st_size == 0 || ::ftruncate(file, 0) == 0);
    ::close(file);
    return cleared;
}

// What a folder that is fit for the next run holds: two empty files and an empty working folder.
bool clear_folder(const std::string& folder) {
    struct stat status{};
    const std::string work = folder + "/work";
    std::error_code error;
    if (::lstat(work.c_str(), &status) != 0 || !as_made(status, S_IFDIR, kFolderMode, 2) || !fs::is_empty(work, error) || error)
        return false;
    const auto entries = std::distance(fs::directory_iterator(folder, error), fs::directory_iterator{});
    return !error && entries == 3 && clear_output(output_path(folder, Stream::out)) && clear_output(output_path(folder, Stream::err));
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

// Cleared folders. Thread-safe.
class RunFolders::Spares {
  public:
    explicit Spares(std::string folder) : folder_(std::move(folder)) {
        std::error_code error;
        for (fs::directory_iterator entry(folder_, error), end; !error && entry != end; entry.increment(error)) {
            names_.push_back(entry->path().filename());
        }
    }

    // Moves a spare folder to `path`. False if there is none, or it cannot be moved there.
    bool take(const std::string& path) {
        std::string name;
        {
            const std::lock_guard lock(mutex_);
            if (names_.empty()) return false;
            name = std::move(names_.back());
            names_.pop_back();
        }
        if (::rename((folder_ + "/" + name).c_str(), path.c_str()) == 0) return true;
        const bool occupied = errno == ENOTEMPTY || errno == EEXIST;  // the start came first and made one
        const std::lock_guard lock(mutex_);
        if (occupied) names_.push_back(std::move(name));
        return false;
    }

    // Keeps the folder, if it is fit for the next run.
    bool give(const std::string& path) {
        if (!clear_folder(path)) return false;
        const std::string name = fs::path(path).filename();
        {
            const std::lock_guard lock(mutex_);
            if (names_.size() >= kMaxSpares) return false;
        }
        if (::rename(path.c_str(), (folder_ + "/" + name).c_str()) != 0) return false;
        const std::lock_guard lock(mutex_);
        names_.push_back(name);
        return true;
    }

    void give_or_remove(const std::string& path) {
        if (give(path)) return;
        std::error_code ignored;  // what cannot be removed is set aside at the next start
        fs::remove_all(path, ignored);
    }

  private:
    const std::string folder_;
    std::mutex mutex_;
    std::vector<std::string> names_;  // guarded by mutex_
};

RunFolders::RunFolders(Worker& scratch, std::string root)
    : scratch_(scratch), root_(std::move(root)), spares_(std::make_shared<Spares>(root_ + "/" + kSpare)) {}

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

std::string RunFolders::of(const std::string& run_id) const {
    return root_ + "/" + run_id.substr(run_id.size() - 2) + "/" + run_id;  // 256 shards: no huge directory
}

void RunFolders::make(const std::string& run_id) {
    scratch_.submit([folder = of(run_id), spares = spares_] {
        if (!spares->take(folder)) make_anew(folder);
    });
}

void RunFolders::clear_work(const std::string& run_id) {
    scratch_.submit([folder = of(run_id)] { empty_work(folder); });
}

void RunFolders::release(const std::string& run_id) {
    scratch_.submit([folder = of(run_id), spares = spares_] { spares->give_or_remove(folder); });
}

void RunFolders::clear_and_release(const std::string& run_id) {
    scratch_.submit([folder = of(run_id), spares = spares_] {
        if (spares->give(folder)) return;  // as a rule a run leaves nothing behind
        empty_work(folder);
        spares->give_or_remove(folder);
    });
}

}  // namespace cloudtask::node
