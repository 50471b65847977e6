// CatalogSync: one pull at a time, page by page; pages are read and kept on the disk's worker, as 500 tasks take longer than the loop may
// be busy.
//
// A full answer while the replica holds tasks is gathered to its last page and kept as one change: until then nobody can say what is gone,
// and a task that is named by a later page must not be dropped meanwhile.
#include <algorithm>
#include <iterator>
#include <utility>

#include "cloudtask/task/task_secrets.h"
#include "node/backoff.h"
#include "node/catalog_page.h"
#include "node/center_answer.h"
#include "node/center_link.h"

namespace cloudtask::node {

namespace {

constexpr Duration kPeriod = std::chrono::seconds{30};

using Gathered = std::shared_ptr<CatalogChange>;

struct Kept {
    std::optional<CatalogChange> change;  // that is on disk now
    Gathered gathered;
    std::int64_t revision = 0;  // to ask on from
    std::int64_t secrets = 0;   // their revision
    bool more = false;
};

void append_change(CatalogChange& to, CatalogChange&& from) {
    to.past = from.past;
    to.networks = std::move(from.networks);
    to.revision = from.revision;
    to.tasks.insert(to.tasks.end(), std::make_move_iterator(from.tasks.begin()), std::make_move_iterator(from.tasks.end()));
    to.deleted.insert(to.deleted.end(), std::make_move_iterator(from.deleted.begin()), std::make_move_iterator(from.deleted.end()));
}

// On the worker: reads the answer to "since `asked`" and keeps what it says, or gathers it.
Result<Kept> keep(NodeStore& store, std::string_view body, std::int64_t asked, Gathered gathered) {
    auto page = read_catalog_page(body);
    if (!page) return propagate(page);
    if (page->more && !page->change.full && page->change.revision <= asked) {
        return fail(Errc::unavailable, "the center's answer promises more after revision {}, where it began", asked);
    }
    if (page->change.full) {
        gathered.reset();
        if (page->more) {
            const auto empty = store.catalog_empty();
            if (!empty) return propagate(empty);
            if (!*empty) gathered = std::make_shared<CatalogChange>(CatalogChange{.revision = 0, .full = true, .tasks = {}, .deleted = {}});
        }
    }
    Kept kept{.change = {}, .gathered = {}, .revision = page->change.revision, .secrets = page->secrets, .more = page->more};
    if (gathered) {
        append_change(*gathered, std::move(page->change));
        if (page->more) {
            kept.gathered = std::move(gathered);
            return kept;
        }
        kept.change = std::move(*gathered);
    } else {
        kept.change = std::move(page->change);
    }
    const CatalogChange& change = *kept.change;
    const bool nothing = !change.full && change.tasks.empty() && change.deleted.empty() && change.revision == asked;
    if (!nothing) {
        if (const auto applied = store.apply_catalog(change); !applied) return propagate(applied);
    }
    return kept;
}

}  // namespace

struct CatalogSync::Impl : std::enable_shared_from_this<Impl> {
    Impl(Loop& loop_in, Random& random_in, http::Client& client_in, Disk& disk_in, std::int64_t revision_in, Hooks hooks_in)
        : loop(loop_in),
          random(random_in),
          client(client_in),
          disk(disk_in),
          hooks(std::move(hooks_in)),
          retry(loop_in, random_in, "catalog"),
          revision(revision_in) {}

    Loop& loop;
    Random& random;
    http::Client& client;
    Disk& disk;
    const Hooks hooks;
    Retry retry;
    Timer periodic;
    std::int64_t revision;       // of the replica on disk
    std::int64_t announced = 0;  // the newest that was named
    bool started = false;
    bool pulling = false;  // also while a failed pull waits for its next try
    bool again = false;    // a newer revision was named since the last question
    bool closed = false;

    void pull() {
        pulling = true;
        periodic.cancel();
        ask(revision, {});
    }

    void ask(std::int64_t since, Gathered gathered) {
        again = false;
        http::ClientRequest request;
        request.target = fmt::format("/api/v1/node/catalog?since={}", since);
        client.send(std::move(request), [weak = weak_from_this(), since, gathered = std::move(gathered)](Result<http::Response> answer) {
            const auto self = weak.lock();
            if (self && !self->closed) self->answered(judge_for_node(std::move(answer)), since, gathered);
        });
    }

    void answered(Result<http::Response> answer, std::int64_t since, const Gathered& gathered) {
        if (!answer) return failed(answer.error());
        disk.run<Kept>([body = std::make_shared<std::string>(std::move(answer->body)), since,
                        gathered](NodeStore& store) { return keep(store, *body, since, gathered); },
                       [weak = weak_from_this()](Result<Kept> kept) {
                           const auto self = weak.lock();
                           if (self && !self->closed) self->kept(std::move(kept));
                       });
    }

    void kept(Result<Kept> kept) {
        if (!kept) return failed(kept.error());
        retry.succeeded();
        if (!kept->change || !hooks.secrets) return take_up(std::move(*kept));
        // They are there before the tasks that name them.
        const auto held = std::make_shared<Kept>(std::move(*kept));
        const auto& tasks = held->change->tasks;
        const bool named = std::any_of(tasks.begin(), tasks.end(), task::names_secrets);
        hooks.secrets(held->secrets, named || held->change->full, [weak = weak_from_this(), held] {
            const auto self = weak.lock();
            if (self && !self->closed) self->take_up(std::move(*held));
        });
    }

    void take_up(Kept kept) {
        if (kept.change) {
            revision = kept.change->revision;
            if (hooks.past) hooks.past(kept.change->past);
            if (hooks.networks) hooks.networks(kept.change->networks);
            const bool changes = kept.change->full || !kept.change->tasks.empty() || !kept.change->deleted.empty();
            if (changes && hooks.changed) hooks.changed(std::move(*kept.change));
            if (closed) return;
        }
        if (kept.more) return ask(kept.revision, std::move(kept.gathered));
        pulling = false;
        // Once only for each announcement: the center may know less than ZooKeeper, after it was restored from a backup.
        const bool outdated = again && announced > revision;
        if (outdated) {
            pull();
        } else {
            wait();
        }
        if (hooks.caught_up) hooks.caught_up(revision);
    }

    // Begins anew from what is on disk: a full answer that broke off is gathered again.
    void failed(const Error& error) {
        retry.failed(error, [this] { pull(); });
    }

    // Nodes do not all ask in the same moment.
    void wait() {
        const Duration spread = kPeriod / 10;
        const Duration jitter{static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>(spread.count())))};
        periodic = loop.after(kPeriod - jitter, [this] { pull(); });
    }
};

CatalogSync::CatalogSync(Loop& loop, Random& random, http::Client& client, Disk& disk, std::int64_t revision, Hooks hooks)
    : impl_(std::make_shared<Impl>(loop, random, client, disk, revision, std::move(hooks))) {}

CatalogSync::~CatalogSync() {
    impl_->closed = true;
    impl_->periodic.cancel();
    impl_->retry.cancel();
}

void CatalogSync::start() {
    impl_->loop.assert_on_loop();
    if (std::exchange(impl_->started, true)) return;
    impl_->pull();
}

void CatalogSync::announced(std::int64_t revision) {
    impl_->loop.assert_on_loop();
    impl_->announced = revision;
    if (revision <= impl_->revision) return;
    impl_->again = true;
    if (!impl_->started) return;
    if (!impl_->pulling) return impl_->pull();
    impl_->retry.hurry();  // a center has just said so: it is there
}

}  // namespace cloudtask::node
