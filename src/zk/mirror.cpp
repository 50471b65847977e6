// Mirror: a watched copy of one znode. Lives on the loop.

#include <utility>

#include "cloudtask/zk/recipes.h"
#include "zk/recipe.h"
#include "zk/same.h"

namespace cloudtask::zk {

struct Mirror::Impl : Recipe<Mirror::Impl> {
    Impl(Loop& loop, Client& client, std::string a_path, std::function<void(const std::optional<Znode>&)> a_change)
        : Recipe(loop, client), path(std::move(a_path)), on_change(std::move(a_change)) {}

    std::string path;
    std::function<void(const std::optional<Znode>&)> on_change;
    std::optional<Znode> value;
    bool complete = false;
    bool reading = false;
    bool again = false;    // something happened while reading
    bool watched = false;  // a watch of this session is out; a second one beside it would only pile up

    void begin() {
        complete = reading = again = watched = false;
        read();
    }
    void end() { complete = false; }
    void reread() { read(); }

    void read() {
        if (!keeper()) return;
        if (std::exchange(reading, true)) {
            again = true;
            return;
        }
        again = false;
        const bool with_watch = !std::exchange(watched, true);
        keeper()->get(path, with_watch ? watch() : Keeper::Watch{}, guarded([with_watch](Impl& self, Result<Znode> znode) {
                          if (znode) return self.finish(std::move(*znode));
                          if (with_watch) self.watched = false;
                          if (!znode.error().is(Errc::no_node)) return self.failed();
                          self.await_creation();
                      }));
    }

    void await_creation() {
        const bool with_watch = !std::exchange(watched, true);
        keeper()->exists(path, with_watch ? watch() : Keeper::Watch{}, guarded([with_watch](Impl& self, const Result<Stat>& stat) {
                             if (stat) {  // it was made in this moment
                                 self.again = true;
                                 return self.read_on();
                             }
                             if (stat.error().is(Errc::no_node)) return self.finish(std::nullopt);
                             if (with_watch) self.watched = false;
                             self.failed();
                         }));
    }

    Keeper::Watch watch() {
        return guarded([](Impl& self, const WatchEvent& event) {
            if (event.kind == WatchEvent::Kind::lost) return;
            self.watched = false;
            self.read();
        });
    }

    // A read error is never taken for "nothing there": what was known stays.
    void failed() {
        reading = false;
        retry_later(&Impl::read);
    }

    void read_on() {
        reading = false;
        if (again) read();
    }

    void finish(std::optional<Znode> found) {
        backoff_.reset();
        const bool first = !std::exchange(complete, true);
        const bool changed = found.has_value() != value.has_value() || (found && !same(*found, *value));
        value = std::move(found);
        read_on();
        if ((first || changed) && on_change) {
            const auto call = on_change;
            call(value);
        }
    }
};

Mirror::Mirror(Loop& loop, Client& client, std::string path, std::function<void(const std::optional<Znode>&)> on_change)
    : impl_(std::make_shared<Impl>(loop, client, std::move(path), std::move(on_change))) {
    impl_->attach(client);
}

Mirror::~Mirror() = default;

const std::optional<Znode>& Mirror::value() const { return impl_->value; }

bool Mirror::complete() const { return impl_->complete; }

void Mirror::refresh() { impl_->read(); }

}  // namespace cloudtask::zk
