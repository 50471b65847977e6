// FolderMirror: a watched copy of the children of a folder. Lives on the loop.
//
// It lists the folder and reads each child; `pending` counts the reads that are out. The owner hears of it when none is out, so it sees
// whole states: a child that was listed and not yet read is never reported as absent.
#include <algorithm>
#include <set>
#include <utility>

#include "cloudtask/zk/recipes.h"
#include "zk/checks.h"
#include "zk/recipe.h"
#include "zk/same.h"

namespace cloudtask::zk {

struct FolderMirror::Impl : Recipe<FolderMirror::Impl> {
    Impl(Loop& loop, Client& client, std::string a_folder, std::function<void(const Entries&)> a_change)
        : Recipe(loop, client), folder(std::move(a_folder)), on_change(std::move(a_change)) {}

    struct Child {
        bool reading = false;
        bool again = false;    // something happened while it was read
        bool watched = false;  // a watch of this session is out
        bool failed = false;   // to be read again at the next retry
    };

    std::string folder;
    std::function<void(const Entries&)> on_change;
    Entries entries;
    bool complete = false;
    bool changed = false;

    bool listing = false, list_again = false, list_watched = false, list_failed = false;
    std::map<std::string, Child> children;  // as last listed
    std::size_t pending = 0;                // reads of children that are out

    void begin() {
        children.clear();
        complete = listing = list_again = list_watched = list_failed = false;
        pending = 0;
        list();
    }
    void end() { complete = false; }

    void reread() {
        list();
        for (auto& [name, child] : children) read(name, child);
    }

    void retry() {
        if (list_failed) list();
        for (auto& [name, child] : children) {
            if (child.failed) read(name, child);
        }
    }

    void list() {
        list_failed = false;
        if (std::exchange(listing, true)) {
            list_again = true;
            return;
        }
        list_again = false;
        const bool with_watch = !std::exchange(list_watched, true);
        keeper()->children(folder, with_watch ? folder_watch() : Keeper::Watch{}, guarded([with_watch](Impl& self, Result<Children> found) {
                               if (found) return self.listed(found->names);
                               if (with_watch) self.list_watched = false;
                               if (found.error().is(Errc::no_node)) return self.await_folder();
                               self.list_has_failed();
                           }));
    }

    void await_folder() {
        const bool with_watch = !std::exchange(list_watched, true);
        keeper()->exists(folder, with_watch ? folder_watch() : Keeper::Watch{}, guarded([with_watch](Impl& self, const Result<Stat>& stat) {
                             if (!stat && stat.error().is(Errc::no_node)) return self.listed({});
                             if (!stat && with_watch) self.list_watched = false;
                             if (!stat) return self.list_has_failed();
                             // Made in this moment. The watch that is out is one for its data, and tells nothing of children.
                             self.list_watched = self.listing = false;
                             self.list();
                         }));
    }

    void list_has_failed() {
        listing = false;
        list_failed = true;
        retry_later(&Impl::retry);
    }

    Keeper::Watch folder_watch() {
        return guarded([](Impl& self, const WatchEvent& event) {
            if (event.kind == WatchEvent::Kind::lost) return;
            self.list_watched = false;
            self.list();
        });
    }

    void listed(const std::vector<std::string>& names) {
        backoff_.reset();
        listing = false;
        const std::set<std::string> present(names.begin(), names.end());
        std::erase_if(children, [&](const auto& child) { return !present.contains(child.first) && !child.second.reading; });
        changed |= std::erase_if(entries, [&](const auto& entry) { return !present.contains(entry.first); }) > 0;
        for (const std::string& name : names) {
            const auto [child, added] = children.try_emplace(name);
            if (added || !entries.contains(name)) read(name, child->second);
        }
        if (list_again) list();
        report();
    }

    void read(const std::string& name, Child& child) {
        child.failed = false;
        if (std::exchange(child.reading, true)) {
            child.again = true;
            return;
        }
        child.again = false;
        ++pending;
        const bool with_watch = !std::exchange(child.watched, true);
        keeper()->get(
            join(folder, name), with_watch ? child_watch(name) : Keeper::Watch{},
            guarded([name, with_watch](Impl& self, Result<Znode> znode) { self.child_read(name, with_watch, std::move(znode)); }));
    }

    void child_read(const std::string& name, bool with_watch, Result<Znode> znode) {
        --pending;
        Child& child = children.at(name);
        child.reading = false;
        if (!znode && with_watch) child.watched = false;
        if (znode) {
            const auto known = entries.find(name);
            if (known == entries.end() || !same(known->second, *znode)) {
                entries.insert_or_assign(name, std::move(*znode));
                changed = true;
            }
        } else if (znode.error().is(Errc::no_node)) {
            // Gone since it was listed; the folder's watch says so too, and if the name comes back, that it is to be read.
            changed |= entries.erase(name) > 0;
            if (!child.again) {
                children.erase(name);
                return report();
            }
        } else {
            child.failed = true;
            retry_later(&Impl::retry);
            return report();
        }
        if (child.again) read(name, child);
        report();
    }

    Keeper::Watch child_watch(const std::string& name) {
        return guarded([name](Impl& self, const WatchEvent& event) {
            if (event.kind == WatchEvent::Kind::lost) return;
            const auto child = self.children.find(name);
            if (child == self.children.end()) return;
            child->second.watched = false;
            self.read(name, child->second);
        });
    }

    bool quiet() const {
        if (pending > 0 || listing || list_failed) return false;
        return std::none_of(children.begin(), children.end(), [](const auto& child) { return child.second.failed; });
    }

    void report() {
        if (!quiet() || (complete && !changed)) return;
        backoff_.reset();
        complete = true;
        changed = false;
        const auto call = on_change;
        if (call) call(entries);
    }
};

FolderMirror::FolderMirror(Loop& loop, Client& client, std::string folder, std::function<void(const Entries&)> on_change)
    : impl_(std::make_shared<Impl>(loop, client, std::move(folder), std::move(on_change))) {
    impl_->attach(client);
}

FolderMirror::~FolderMirror() = default;

const FolderMirror::Entries& FolderMirror::entries() const { return impl_->entries; }

bool FolderMirror::complete() const { return impl_->complete; }

}  // namespace cloudtask::zk
