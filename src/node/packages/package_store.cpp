// PackageStore on disk. Blocking, any thread; the mutex guards only who is fetching what.
#include "node/packages/package_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "cloudtask/core/hash.h"
#include "node/packages/copy_tree.h"

namespace cloudtask::node {
namespace {

namespace fs = std::filesystem;

// Erases a path and what is below it; what cannot be erased now is erased when the store is opened next.
void erase_quietly(const std::string& path) {
    std::error_code ignored;
    fs::remove_all(path, ignored);
}

// Reads the file to its end, and has it on the disk.
Result<std::string> sha256_of_file(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return tl::unexpected(system_error(errno, "cannot open the download " + path));
    Sha256 hash;
    std::array<char, 256 << 10> buffer;
    ssize_t count = 0;
    while ((count = ::read(descriptor, buffer.data(), buffer.size())) > 0 || (count < 0 && errno == EINTR)) {
        if (count > 0) hash.update({buffer.data(), static_cast<std::size_t>(count)});
    }
    const int error = count < 0 || ::fsync(descriptor) != 0 ? errno : 0;
    ::close(descriptor);
    if (error != 0) return tl::unexpected(system_error(error, "cannot read the download " + path));
    return hash.finish_hex();
}

// Has what was written to the file system that holds `path` on the disk. One call for a tree of any size.
Result<> sync_file_system(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return tl::unexpected(system_error(errno, "cannot open " + path));
    const int error = ::syncfs(descriptor) != 0 ? errno : 0;
    ::close(descriptor);
    if (error != 0) return tl::unexpected(system_error(error, "cannot write " + path + " to the disk"));
    return {};
}

Result<> make_package_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0750) == 0 || errno == EEXIST) return {};
    return tl::unexpected(system_error(errno, "cannot make the folder " + path));
}

Result<> check_name(std::string_view sha256) {
    if (is_sha256_hex(sha256)) return {};
    return fail(Errc::invalid_argument, "'{}' is not a SHA-256 in hexadecimal digits", sha256);
}

}  // namespace

struct PackageStore::Impl {
    // One ensure() in progress, and its result for those who joined.
    struct Fetching {
        std::optional<Result<>> result;
    };

    std::string folder;
    archive::Limits limits;
    std::atomic<std::uint64_t> next_number{0};
    std::mutex mutex;
    std::condition_variable done;
    std::map<std::string, std::shared_ptr<Fetching>> fetching;  // guarded by mutex

    std::string place(std::string_view sha256) const { return fmt::format("{}/{}", folder, sha256); }
    std::string incoming(std::string_view name) { return fmt::format("{}/incoming/{}.{}", folder, name, ++next_number); }

    Result<> check_and_unpack(const std::string& sha256, const std::string& filename, const std::string& path, const std::string& draft);
};

PackageStore::PackageStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PackageStore::~PackageStore() = default;

Result<std::unique_ptr<PackageStore>> PackageStore::open(std::string folder, archive::Limits limits) {
    auto impl = std::make_unique<Impl>();
    impl->folder = std::move(folder);
    impl->limits = limits;
    const std::string incoming = impl->folder + "/incoming";
    erase_quietly(incoming);
    std::error_code error;
    fs::create_directories(incoming, error);
    if (error) return tl::unexpected(Error{error, fmt::format("cannot make the folder {}: {}", incoming, error.message())});
    return std::unique_ptr<PackageStore>(new PackageStore(std::move(impl)));
}

bool PackageStore::has(std::string_view sha256) const {
    return is_sha256_hex(sha256) && ::access((impl_->place(sha256) + "/tree").c_str(), F_OK) == 0;
}

Result<> PackageStore::ensure(const std::string& sha256, const Fetch& fetch) {
    if (Result<> named = check_name(sha256); !named) return named;
    std::shared_ptr<Impl::Fetching> mine;
    {
        std::unique_lock lock(impl_->mutex);
        if (const auto others = impl_->fetching.find(sha256); others != impl_->fetching.end()) {
            const std::shared_ptr<Impl::Fetching> joined = others->second;
            impl_->done.wait(lock, [&joined] { return joined->result.has_value(); });
            return *joined->result;
        }
        if (has(sha256)) return {};
        mine = impl_->fetching[sha256] = std::make_shared<Impl::Fetching>();
    }

    const std::string path = incoming_path(sha256);
    const Result<std::string> filename = fetch(path);
    Result<> result;
    if (filename) {
        result = install(sha256, *filename, path);
    } else {
        erase_quietly(path);
        result = propagate(filename);
    }

    const std::lock_guard lock(impl_->mutex);
    mine->result = result;
    impl_->fetching.erase(sha256);
    impl_->done.notify_all();
    return result;
}

std::string PackageStore::incoming_path(std::string_view sha256) { return impl_->incoming(sha256); }

Result<> PackageStore::install(const std::string& sha256, const std::string& filename, const std::string& path) {
    const std::string draft = impl_->incoming(fmt::format("{}.unpacked", sha256));
    Result<> result = check_name(sha256);
    if (result && !has(sha256)) result = impl_->check_and_unpack(sha256, filename, path, draft);
    erase_quietly(path);
    erase_quietly(draft);
    return result;
}

Result<> PackageStore::Impl::check_and_unpack(const std::string& sha256, const std::string& filename, const std::string& path,
                                              const std::string& draft) {
    const Result<std::string> actual = sha256_of_file(path);
    if (!actual) return propagate(actual);
    if (*actual != sha256) return fail(Errc::corrupt, "the download of package {} has other content: its SHA-256 is {}", sha256, *actual);

    if (Result<> made = make_package_folder(draft); !made) return made;
    const std::string archive = draft + "/archive";
    if (::rename(path.c_str(), archive.c_str()) != 0) return tl::unexpected(system_error(errno, "cannot move " + path));
    if (const auto unpacked = archive::unpack(archive, filename, draft + "/tree", limits); !unpacked) return propagate(unpacked);
    if (Result<> synced = sync_file_system(draft); !synced) return synced;

    if (::rename(draft.c_str(), place(sha256).c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST) {
        return tl::unexpected(system_error(errno, "cannot move the package to " + place(sha256)));
    }
    return {};
}

Result<> PackageStore::materialise(const std::string& sha256, const std::string& run_folder) {
    if (!has(sha256)) return fail(Errc::not_found, "package {} is not on this node", sha256);
    const std::string work = run_folder + "/work";
    for (const std::string& folder : {run_folder, work}) {
        if (Result<> made = make_package_folder(folder); !made) return made;
    }
    std::error_code error;
    if (!fs::is_empty(work, error) || error) return fail(Errc::already_exists, "the working folder {} is not empty", work);
    Result<> copied = copy_tree(impl_->place(sha256) + "/tree", work);
    if (!copied) erase_quietly(work);
    return copied;
}

std::vector<std::string> PackageStore::list() const {
    std::vector<std::string> packages;
    std::error_code error;
    for (fs::directory_iterator entry(impl_->folder, error), end; !error && entry != end; entry.increment(error)) {
        if (std::string name = entry->path().filename().string(); has(name)) packages.push_back(std::move(name));
    }
    return packages;
}

Result<> PackageStore::erase(const std::string& sha256) {
    if (Result<> named = check_name(sha256); !named) return named;
    // Moved away first: a package is there whole or not at all.
    const std::string away = impl_->incoming(fmt::format("{}.erased", sha256));
    if (::rename(impl_->place(sha256).c_str(), away.c_str()) != 0) {
        if (errno == ENOENT) return {};
        return tl::unexpected(system_error(errno, "cannot erase the package " + impl_->place(sha256)));
    }
    erase_quietly(away);
    return {};
}

}  // namespace cloudtask::node
