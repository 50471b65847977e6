// JournalWriter: one write at a time, and not too many a second; what waits makes up the next one.
#include "node/journal_writer.h"

#include <iterator>
#include <utility>
#include <vector>

#include "cloudtask/core/log.h"

namespace cloudtask::node {

namespace {

constexpr Duration kJournalRetry = std::chrono::milliseconds{500};
// Writes begin no sooner after each other: each costs a sync of the disk and turns of two threads, whatever it holds. A first one that
// is wanted soon never waits.
constexpr Duration kGatherChanges = std::chrono::milliseconds{5};

struct Work {
    Batch batch;
    std::vector<JournalWriter::Done> done;

    bool empty() const { return batch.empty() && done.empty(); }
};

template <class T>
void move_behind(std::vector<T>& to, std::vector<T>&& from) {
    to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

struct JournalWriter::Impl : std::enable_shared_from_this<Impl> {
    using Pace = JournalWriter::Pace;

    Impl(Loop& loop_in, Disk& disk_in, Done written_in) : loop(loop_in), disk(disk_in), written(std::move(written_in)) {}

    Loop& loop;
    Disk& disk;
    const Done written;
    Work current, waiting;
    bool writing = false;  // `current` is at the disk
    bool failing = false;
    bool closed = false;
    SteadyInstant next_write{};                      // not before
    SteadyInstant wanted_by = SteadyInstant::max();  // of what waits
    SteadyInstant gather_until{};                    // while `gather` runs
    Timer gather, retry;

    void add(Batch batch, Pace pace, Done done) {
        loop.assert_on_loop();
        const SteadyInstant now = loop.clock().steady_now();
        wanted_by = std::min(wanted_by, pace == Pace::soon ? now : now + kGathered);
        move_behind(waiting.batch.entries, std::move(batch.entries));
        move_behind(waiting.batch.reports, std::move(batch.reports));
        move_behind(waiting.batch.commands, std::move(batch.commands));
        if (done) waiting.done.push_back(std::move(done));
        if (!writing && !failing) next();
    }

    void next() {
        if (waiting.empty()) return;
        const SteadyInstant now = loop.clock().steady_now(), begin = std::max(next_write, wanted_by);
        if (now < begin) {
            if (gather && gather_until <= begin) return;
            gather_until = begin;
            gather = loop.after(begin - now, [this] {
                gather.cancel();
                if (!writing && !failing) next();
            });
            return;
        }
        gather.cancel();
        next_write = now + kGatherChanges;
        wanted_by = SteadyInstant::max();
        current = std::exchange(waiting, {});
        send();
    }

    void send() {
        writing = true;
        disk.commit(current.batch, [weak = weak_from_this()](const Result<>& outcome) {
            const auto self = weak.lock();
            if (self && !self->closed) self->returned(outcome);
        });
    }

    void returned(const Result<>& outcome) {
        writing = false;
        if (!outcome) {
            failing = true;
            log::error("the journal cannot be written, trying again: {}", outcome.error().message);
            retry = loop.after(kJournalRetry, [this] { send(); });
            return;
        }
        if (std::exchange(failing, false)) log::info("the journal can be written again");
        const Work over = std::exchange(current, {});
        next();  // the disk is not to wait for the callbacks
        for (const Done& done : over.done) {
            done();
            if (closed) return;
        }
        if (written) written();
    }

    void close() {
        closed = true;
        gather.cancel();
        retry.cancel();
        const auto nobody = [](const Result<>&) {};
        if (!writing && !current.batch.empty()) disk.commit(std::move(current.batch), nobody);
        if (!waiting.batch.empty()) disk.commit(std::move(waiting.batch), nobody);
    }
};

JournalWriter::JournalWriter(Loop& loop, Disk& disk, Done written) : impl_(std::make_shared<Impl>(loop, disk, std::move(written))) {}

JournalWriter::~JournalWriter() { impl_->close(); }

void JournalWriter::write(Batch batch, Pace pace, Done done) { impl_->add(std::move(batch), pace, std::move(done)); }

bool JournalWriter::failing() const { return impl_->failing; }

bool JournalWriter::idle() const { return impl_->current.empty() && impl_->waiting.empty(); }

}  // namespace cloudtask::node
