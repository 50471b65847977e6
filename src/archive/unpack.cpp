// Unpacking to disk. Every path is walked part by part from the destination with openat(2) and O_NOFOLLOW, so that nothing is written
// through a link even if the rules on entries had a hole.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "archive/walk.h"
#include "cloudtask/core/descriptor.h"

namespace cloudtask::archive {
namespace {

class Disk final : public Receiver {
  public:
    explicit Disk(Descriptor top) : top_(std::move(top)) {}

    Result<> entry(const Entry& entry) override {
        name_ = entry.name;
        Result<std::pair<Descriptor, std::string>> place = parent_of(entry.name);
        if (!place) return propagate(place);
        const int folder = place->first.get();
        const char* last = place->second.c_str();
        switch (entry.kind) {
            case Kind::folder:
                return make_folder(folder, last, entry.mode);
            case Kind::symbolic_link:
                if (::symlinkat(entry.target.c_str(), folder, last) != 0) return failed("make the link");
                return {};
            case Kind::hard_link:
                return make_hard_link(entry.target, folder, last);
            case Kind::file:
            case Kind::other:
                break;
        }
        // The node must be able to read it and to copy over it, whatever the archive says.
        file_ = Descriptor(::openat(folder, last, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, (entry.mode & 0755) | 0600));
        if (file_.get() < 0) return failed("make");
        return {};
    }

    Result<> data(std::uint64_t offset, std::string_view bytes) override {
        while (!bytes.empty()) {
            const ssize_t written = ::pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return failed("write");
            offset += static_cast<std::uint64_t>(written);
            bytes.remove_prefix(static_cast<std::size_t>(written));
        }
        return {};
    }

    Result<> end_of_file(std::uint64_t size) override {
        // A file that ends in a hole has no block at its end.
        if (::ftruncate(file_.get(), static_cast<off_t>(size)) != 0) return failed("write");
        file_ = Descriptor();
        return {};
    }

  private:
    tl::unexpected<Error> failed(std::string_view what) const {
        return tl::unexpected(system_error(errno, fmt::format("cannot {} '{}' of the archive", what, printable(name_))));
    }

    Result<> make_folder(int parent, const char* name, unsigned mode) {
        if (::mkdirat(parent, name, (mode & 0755) | 0700) == 0 || errno == EEXIST) return {};
        return failed("make the folder");
    }

    Result<> make_hard_link(const std::string& target, int folder, const char* name) {
        Result<std::pair<Descriptor, std::string>> from = parent_of(target);
        if (!from) return propagate(from);
        if (::linkat(from->first.get(), from->second.c_str(), folder, name, 0) != 0) return failed("make the link");
        return {};
    }

    // The open folder that a path lies in, made if missing, and the path's last part.
    Result<std::pair<Descriptor, std::string>> parent_of(const std::string& path) {
        Descriptor folder(::fcntl(top_.get(), F_DUPFD_CLOEXEC, 0));
        if (folder.get() < 0) return failed("open the folder of");
        std::size_t begin = 0;
        for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', begin)) {
            const std::string part = path.substr(begin, slash - begin);
            if (Result<> made = make_folder(folder.get(), part.c_str(), 0755); !made) return propagate(made);
            folder = Descriptor(::openat(folder.get(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
            if (folder.get() < 0) return failed("open the folder of");
            begin = slash + 1;
        }
        return std::pair{std::move(folder), path.substr(begin)};
    }

    Descriptor top_;
    Descriptor file_;
    std::string name_;
};

}  // namespace

Result<Summary> unpack(const std::string& path, std::string_view filename, const std::string& destination, const Limits& limits) {
    if (::mkdir(destination.c_str(), 0755) != 0 && errno != EEXIST) {
        return tl::unexpected(system_error(errno, "cannot make the folder " + destination));
    }
    Descriptor top(::open(destination.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (top.get() < 0) return tl::unexpected(system_error(errno, "cannot open the folder " + destination));
    Disk disk(std::move(top));
    return walk(path, filename, limits, disk);
}

}  // namespace cloudtask::archive
