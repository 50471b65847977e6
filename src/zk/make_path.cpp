// make_path: the persistent znodes of a path, created from the deepest that is missing. Lives on the loop.
//
// It touches the keeper only from within that keeper's callbacks, so a keeper that is destroyed meanwhile ends it (Errc::closing) and is
// not used again. For that reason it has no timer: after an ambiguous error it repeats at once, a bounded number of times.
#include <memory>

#include "cloudtask/zk/recipes.h"
#include "zk/checks.h"

namespace cloudtask::zk {

namespace {

constexpr int kMaxFailures = 20;

struct PathMaker : std::enable_shared_from_this<PathMaker> {
    PathMaker(Keeper& a_keeper, std::vector<std::string> all, Keeper::Callback<void> a_done)
        : keeper(a_keeper), paths(std::move(all)), at(paths.size() - 1), done(std::move(a_done)) {}

    Keeper& keeper;
    std::vector<std::string> paths;  // "/a", "/a/b", "/a/b/c"
    std::size_t at;                  // the one that is tried now
    Keeper::Callback<void> done;
    int failures = 0;

    void create() {
        keeper.create(paths[at], {}, CreateMode::persistent, [self = shared_from_this()](const Result<Created>& created) {
            if (created || created.error().is(Errc::node_exists)) {
                if (++self->at == self->paths.size()) return self->done({});
            } else if (created.error().is(Errc::no_node) && self->at > 0) {
                --self->at;
            } else if (!created.error().is(Errc::connection_loss) || ++self->failures == kMaxFailures) {
                return self->done(propagate(created));
            }
            self->create();
        });
    }
};

}  // namespace

void make_path(Loop& loop, Keeper& keeper, std::string path, Keeper::Callback<void> done) {
    loop.assert_on_loop();
    if (auto valid = check_path(path); !valid || path == "/") {
        loop.post([valid = std::move(valid), done = std::move(done)] { done(valid); });
        return;
    }
    std::vector<std::string> all;
    for (std::string step = std::move(path); step != "/"; step = parent_of(step)) all.insert(all.begin(), step);
    std::make_shared<PathMaker>(keeper, std::move(all), std::move(done))->create();
}

}  // namespace cloudtask::zk
