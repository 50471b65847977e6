// RunFolders: the folders of runs on this node's disk.
#include "node/run_folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "cloudtask/core/check.h"
#include "cloudtask/core/descriptor.h"
#include "cloudtask/core/log.h"
#include "node/process/output.h"

namespace cloudtask::node {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kShards = 256;        // no huge directory
constexpr std::size_t kMostCleared = 20'000;  // more are removed
constexpr mode_t kFolderMode = 0750, kFileMode = 0640;

std::string shard_name(std::uint64_t number) { return fmt::format("{:02x}", number % kShards); }

// The last two parts of a folder's path: its name below the root, wherever the root is now.
std::string name_of(const std::string& folder) {
    const fs::path path(folder);
    return (path.parent_path().filename() / path.filename()).string();
}

std::chrono::nanoseconds since_epoch(const timespec& time) {
    return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

// When each part of a folder was changed last, be it its content, its permissions or its links. Nobody can set that (inode(7), ctime).
struct Stamps {
    std::chrono::nanoseconds folder{}, work{}, out{}, err{};
    bool operator==(const Stamps&) const = default;
};

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

bool is_clear_work(int folder) {
    const Descriptor work = open_folder(folder, "work");
    struct stat status{};
    return work.get() >= 0 && ::fstat(work.get(), &status) == 0 && as_made(status, S_IFDIR, kFolderMode, 2) && holds(work.get(), 0);
}

// Empties an output file that nobody else has open. Tells when it was changed last.
std::optional<std::chrono::nanoseconds> clear_output(int root, const std::string& path) {
    const Descriptor file{::openat(root, path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)};
    struct stat status{};
    // fcntl(2): a write lease is given only while no other descriptor of the file is open. Who escaped the end of its run may hold one.
    const bool ours = file.get() >= 0 && ::fstat(file.get(), &status) == 0 && as_made(status, S_IFREG, kFileMode, 1) &&
                      ::fcntl(file.get(), F_SETLEASE, F_WRLCK) == 0;
    if (!ours) return std::nullopt;
    if (status.st_size != 0 && (::ftruncate(file.get(), 0) != 0 || ::fstat(file.get(), &status) != 0)) return std::nullopt;
    return since_epoch(status.st_ctim);
}

std::optional<std::chrono::nanoseconds> changed_at(int root, const std::string& path) {
    struct stat status{};
    if (::fstatat(root, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
    return since_epoch(status.st_ctim);
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

// The number of a folder of this kind, from its name below the root.
std::optional<std::uint64_t> number_of(std::string_view name) {
    name.remove_prefix(name.rfind('/') + 1);
    std::uint64_t number = 0;
    const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
    return read.ec == std::errc{} && read.ptr == name.data() + name.size() ? std::optional(number) : std::nullopt;
}

// The names of all folders below the root.
std::vector<std::string> names_below(const std::string& root) {
    std::vector<std::string> names;
    for (std::uint64_t shard = 0; shard < kShards; ++shard) {
        std::error_code error;
        for (fs::directory_iterator entry(root + "/" + shard_name(shard), error), end; !error && entry != end; entry.increment(error)) {
            names.push_back(name_of(entry->path()));
        }
    }
    return names;
}

void remove_folder(const std::string& folder) {
    std::error_code ignored;  // what cannot be removed is tried again at the next start
    fs::remove_all(folder, ignored);
}

}  // namespace

// Which folders runs have, and which are cleared for the next ones, by their names below the root. Thread-safe: what touches a folder holds
// its lock, and looks first whose it is.
class RunFolders::Shelf {
  public:
    Shelf(std::string root, std::chrono::nanoseconds step)
        : step_(step), path_(std::move(root)), root_(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)) {}

    std::string path(const std::string& name) const { return fmt::format("{}/{}", path_, name); }

    // Gives the run a cleared folder. Empty if there is none.
    std::optional<std::string> take(const std::string& run_id) {
        const std::lock_guard lock(mutex_);
        if (cleared_.empty()) return std::nullopt;
        std::string name = std::move(cleared_.back());
        cleared_.pop_back();
        on_shelf_.erase(name);
        CLOUDTASK_CHECK(owners_.emplace(name, run_id).second, "a cleared folder has no run");
        return name;
    }

    // False if another run has it.
    bool own(const std::string& name, const std::string& run_id) {
        const std::lock_guard lock(mutex_);
        return owners_.emplace(name, run_id).first->second == run_id;
    }

    // False if the folder is not the run's.
    bool disown(const std::string& name, const std::string& run_id) {
        const std::lock_guard lock(mutex_);
        const auto found = owners_.find(name);
        if (found == owners_.end() || found->second != run_id) return false;
        owners_.erase(found);
        return true;
    }

    // Calls `work` with the folder, unless the run has it no more.
    template <class Work>
    void with_owned(const std::string& name, const std::string& run_id, const Work& work) {
        const std::lock_guard folder_lock(lock_of(name));
        {
            const std::lock_guard lock(mutex_);
            const auto found = owners_.find(name);
            if (found == owners_.end() || found->second != run_id) return;
        }
        work(path(name));
    }

    // Clears a folder that no run has and keeps it for the next one, or removes it.
    void put_back(const std::string& name) {
        const std::lock_guard folder_lock(lock_of(name));
        {
            const std::lock_guard lock(mutex_);
            if (owners_.contains(name) || on_shelf_.contains(name)) return;  // tidy() and a release() may both come by
        }
        if (give(name)) return;  // as a rule a run leaves nothing behind
        empty_work(path(name));
        if (give(name)) return;
        {
            const std::lock_guard lock(mutex_);
            stamps_.erase(name);
        }
        remove_folder(path(name));
    }

  private:
    static std::chrono::nanoseconds newest(const Stamps& stamps) { return std::max({stamps.folder, stamps.work, stamps.out, stamps.err}); }

    std::mutex& lock_of(const std::string& name) { return folder_locks_.at(std::hash<std::string>{}(name) % folder_locks_.size()); }

    // Clears the folder and keeps it, if it is fit for the next run.
    bool give(const std::string& name) {
        std::optional<Stamps> before;
        {
            const std::lock_guard lock(mutex_);
            if (const auto found = stamps_.find(name); found != stamps_.end()) before = found->second;
        }
        const std::optional<Stamps> now = clear(name, before);
        if (!now) return false;
        const bool sure = std::chrono::system_clock::now().time_since_epoch() - newest(*now) > step_;
        const std::lock_guard lock(mutex_);
        if (sure) {
            stamps_.insert_or_assign(name, *now);
        } else {
            stamps_.erase(name);
        }
        if (cleared_.size() >= kMostCleared) return false;
        cleared_.push_back(name);
        on_shelf_.insert(name);
        return true;
    }

    // A folder that is fit for the next run holds two empty files and an empty working folder. What has not been changed since `before`,
    // when it was looked through, is as it was then.
    std::optional<Stamps> clear(const std::string& name, const std::optional<Stamps>& before) const {
        const auto folder = changed_at(root_.get(), name), work = changed_at(root_.get(), name + "/work");
        if (!folder || !work) return std::nullopt;
        const auto out = clear_output(root_.get(), output_path(name, Stream::out));
        const auto err = clear_output(root_.get(), output_path(name, Stream::err));
        if (!out || !err) return std::nullopt;
        const Stamps now{*folder, *work, *out, *err};
        if (before == now) return now;
        const Descriptor open = open_folder(root_.get(), name.c_str());
        return holds(open.get(), 3) && is_clear_work(open.get()) ? std::optional(now) : std::nullopt;
    }

    const std::chrono::nanoseconds step_;  // 1 s where inodes are small, 2 s at the most
    const std::string path_;
    const Descriptor root_;                    // the same, open
    std::array<std::mutex, 64> folder_locks_;  // each of some folders; taken before mutex_
    std::mutex mutex_;                         // of all that follows
    std::vector<std::string> cleared_;
    std::unordered_set<std::string> on_shelf_;             // the same
    std::unordered_map<std::string, std::string> owners_;  // run ids
    std::unordered_map<std::string, Stamps> stamps_;       // of folders, as they were when they were found clear
};

RunFolders::RunFolders(Worker& scratch, std::string root, std::chrono::nanoseconds step)
    : scratch_(scratch), root_(std::move(root)), shelf_(std::make_shared<Shelf>(root_, step)) {
    for (const auto& name : names_below(root_)) {
        if (const auto number = number_of(name)) next_number_ = std::max(next_number_, *number + 1);
    }
}

Result<> RunFolders::make_shards(const std::string& root) {
    for (std::uint64_t shard = 0; shard < kShards; ++shard) {
        std::error_code error;
        const std::string path = root + "/" + shard_name(shard);
        fs::create_directories(path, error);
        if (error) return fail(Errc::io, "cannot make {}: {}", path, error.message());
    }
    return {};
}

void RunFolders::recall(const std::string& run_id, const std::string& folder) {
    std::string name = name_of(folder);
    if (const auto number = number_of(name)) next_number_ = std::max(next_number_, *number + 1);
    if (!shelf_->own(name, run_id)) return log::error("the journal gives the folder {} of run {} to another run as well", name, run_id);
    names_.insert_or_assign(run_id, std::move(name));
}

void RunFolders::tidy() {
    scratch_.submit([root = root_, first = next_number_, shelf = shelf_] {
        for (const auto& name : names_below(root)) {
            const auto number = number_of(name);
            if (number && *number >= first) continue;  // not an earlier process's
            shelf->put_back(name);
        }
        // Of earlier builds.
        for (const char* name : {"spare", "strays"}) remove_folder(shelf->path(name));
    });
}

bool RunFolders::assign(const std::string& run_id) {
    std::optional<std::string> name = shelf_->take(run_id);
    const bool cleared = name.has_value();
    if (!cleared) {
        const std::uint64_t number = next_number_++;
        name = fmt::format("{}/{}", shard_name(number), number);
        shelf_->own(*name, run_id);
    }
    names_.insert_or_assign(run_id, std::move(*name));
    return cleared;
}

std::string RunFolders::of(const std::string& run_id) const {
    const auto found = names_.find(run_id);
    return found == names_.end() ? std::string{} : shelf_->path(found->second);
}

void RunFolders::begin_unpacking(const std::string& run_id) { unpacking_.emplace(run_id, false); }

void RunFolders::end_unpacking(const std::string& run_id) {
    const auto over = unpacking_.extract(run_id);
    if (!over.empty() && over.mapped()) release(run_id);
}

void RunFolders::make(const std::string& run_id) {
    scratch_.submit([run_id, name = names_.at(run_id), shelf = shelf_] { shelf->with_owned(name, run_id, make_anew); });
}

void RunFolders::clear_work(const std::string& run_id) {
    const auto found = names_.find(run_id);
    if (found == names_.end()) return;
    scratch_.submit([run_id, name = found->second, shelf = shelf_] { shelf->with_owned(name, run_id, empty_work); });
}

void RunFolders::release(const std::string& run_id) {
    if (const auto unpacking = unpacking_.find(run_id); unpacking != unpacking_.end()) {
        unpacking->second = true;
        return;
    }
    auto held = names_.extract(run_id);
    if (held.empty() || !shelf_->disown(held.mapped(), run_id)) return;
    scratch_.submit([name = std::move(held.mapped()), shelf = shelf_] { shelf->put_back(name); });
}

}  // namespace cloudtask::node
