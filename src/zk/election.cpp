// Election: who leads. Lives on the loop. The fence, not this class, makes a leader's writes safe: what it says may be late.
//
// One rule: list the folder, find our own znode by its unique prefix (make one if there is none, erase what is more than one), and then
// either lead or watch the one before. Everything that happens leads to listing again.
#include <algorithm>
#include <optional>
#include <utility>

#include "cloudtask/zk/recipes.h"
#include "zk/checks.h"
#include "zk/recipe.h"

namespace cloudtask::zk {

namespace {

// The ten digits that the server appends (a sequence that has overflowed, after 2^31 candidacies, is not provided for).
constexpr std::size_t kSequenceDigits = 10;

std::string_view sequence_of(std::string_view name) {
    return name.size() < kSequenceDigits ? name : name.substr(name.size() - kSequenceDigits);
}

}  // namespace

struct Election::Impl : Recipe<Election::Impl> {
    Impl(Loop& loop, Client& client, std::string a_folder, std::string an_id, std::function<void(bool)> a_change)
        : Recipe(loop, client), folder(std::move(a_folder)), id(std::move(an_id)), on_change(std::move(a_change)) {}

    std::string folder, id;
    std::function<void(bool)> on_change;
    std::string prefix;  // of this session's candidacy
    std::string own;     // name of our znode, once seen
    bool leading = false;
    bool resigned = false;
    bool busy = false;
    bool again = false;
    std::optional<std::string> watched;  // the name on which a watch of ours is out

    void begin() {
        const std::uint64_t number = random_.next();
        prefix = fmt::format("{}.{:016x}-", id, number);
        own.clear();
        watched.reset();
        busy = again = false;
        look();
    }
    void end() {
        own.clear();
        lead(false);
    }
    void reread() { look(); }

    void look() {
        if (resigned || !keeper()) return;
        if (std::exchange(busy, true)) {
            again = true;
            return;
        }
        again = false;
        keeper()->children(folder, {}, guarded([](Impl& self, Result<Children> children) {
                               if (children) return self.listed(std::move(children->names));
                               if (children.error().is(Errc::no_node)) return self.make_folder();
                               self.failed(children.error());
                           }));
    }

    void make_folder() {
        make_path(loop_, *keeper(), folder, guarded([](Impl& self, const Result<>& made) {
                      if (!made) return self.failed(made.error());
                      self.look_again();
                  }));
    }

    void listed(std::vector<std::string> names) {
        if (resigned) return;
        std::sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
            return std::pair(sequence_of(a), std::string_view{a}) < std::pair(sequence_of(b), std::string_view{b});
        });
        const auto is_ours = [this](const std::string& name) { return name.starts_with(prefix); };
        const auto mine = std::find_if(names.begin(), names.end(), is_ours);
        if (mine == names.end()) {
            own.clear();
            lead(false);
            return stand();
        }
        own = *mine;
        // A create that was repeated because its outcome was unknown may have happened twice: the first counts.
        for (auto extra = std::next(mine); extra != names.end(); ++extra) {
            if (is_ours(*extra)) keeper()->erase(join(folder, *extra), kAnyVersion, [](const Result<>&) {});
        }
        watch(mine == names.begin() ? own : *std::prev(mine), mine == names.begin());
    }

    void stand() {
        keeper()->create(join(folder, prefix), {}, CreateMode::ephemeral_sequential,
                         guarded([](Impl& self, const Result<Created>& created) {
                             if (!created) return self.failed(created.error());
                             self.look_again();
                         }));
    }

    // Watches the one before us; a leader watches its own znode, so that it learns when somebody erases that.
    void watch(const std::string& name, bool first) {
        if (watched == name) return settled(first);
        watched = name;
        keeper()->exists(join(folder, name), guarded([name](Impl& self, const WatchEvent& event) {
                             if (event.kind == WatchEvent::Kind::lost || self.watched != name) return;
                             self.watched.reset();
                             self.look();
                         }),
                         guarded([first](Impl& self, const Result<Stat>& stat) {
                             if (stat) return self.settled(first);
                             self.watched.reset();
                             if (!stat.error().is(Errc::no_node)) return self.failed(stat.error());
                             self.look_again();
                         }));
    }

    void settled(bool first) {
        backoff_.reset();
        busy = false;
        if (again) look();
        lead(first && !resigned);
    }

    void look_again() {
        busy = false;
        look();
    }

    void failed(const Error& error) {
        if (!error.is(Errc::connection_loss)) log::warn("election in {}: {}; trying again", folder, error.message);
        busy = false;
        retry_later(&Impl::look);
    }

    void lead(bool now) {
        if (std::exchange(leading, now) == now || !on_change) return;
        const auto call = on_change;
        call(now);
    }

    // What may stand of ours in the folder, a create that is still under way included, goes.
    void withdraw() {
        resigned = true;
        if (generation_ != 0) subscription_.discard(folder, prefix);
    }
};

Election::Election(Loop& loop, Client& client, std::string folder, std::string id, std::function<void(bool leading)> on_change)
    : impl_(std::make_shared<Impl>(loop, client, std::move(folder), std::move(id), std::move(on_change))) {
    impl_->attach(client);
}

Election::~Election() {
    impl_->on_change = nullptr;
    if (!impl_->resigned) impl_->withdraw();
}

bool Election::leading() const { return impl_->leading; }

Op Election::fence() const {
    CLOUDTASK_CHECK(impl_->leading, "only a leader has a fence");
    return Op::check(join(impl_->folder, impl_->own));
}

void Election::resign() {
    if (impl_->resigned) return;
    impl_->withdraw();
    impl_->lead(false);
}

}  // namespace cloudtask::zk
