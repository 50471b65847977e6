// Disk: one trip to the worker at a time; what is asked for meanwhile waits, in order, and makes up the next trip, its neighbouring commits
// as one.
#include "node/disk.h"

#include <iterator>
#include <utility>
#include <vector>

namespace cloudtask::node {

namespace {

// Something that was asked for: a batch to commit, or (if set) a job.
struct Operation {
    Batch batch;
    std::function<void(NodeStore&)> job;
    std::function<void()> job_done;
    Disk::Done committed;
    Result<> outcome;
};

using Trip = std::vector<Operation>;

void append_batch(Batch& to, Batch&& from) {
    to.entries.insert(to.entries.end(), std::make_move_iterator(from.entries.begin()), std::make_move_iterator(from.entries.end()));
    to.reports.insert(to.reports.end(), std::make_move_iterator(from.reports.begin()), std::make_move_iterator(from.reports.end()));
    to.commands.insert(to.commands.end(), std::make_move_iterator(from.commands.begin()), std::make_move_iterator(from.commands.end()));
    if (from.cordoned) to.cordoned = from.cordoned;
}

// On the worker. True if reports were appended.
bool carry_out(Trip& trip, NodeStore& store) {
    bool reported = false;
    for (std::size_t i = 0; i < trip.size();) {
        if (trip[i].job) {
            trip[i++].job(store);
            continue;
        }
        Batch group;
        std::size_t end = i;
        for (; end < trip.size() && !trip[end].job; ++end) append_batch(group, std::move(trip[end].batch));
        const Result<> outcome = store.commit(group);
        reported = reported || (outcome && !group.reports.empty());
        for (; i < end; ++i) trip[i].outcome = outcome;
    }
    return reported;
}

}  // namespace

struct Disk::Impl : std::enable_shared_from_this<Impl> {
    Impl(Loop& loop_in, Worker& worker_in, NodeStore& store_in) : loop(loop_in), worker(worker_in), store(store_in) {}

    Loop& loop;
    Worker& worker;
    NodeStore& store;
    std::function<void()> on_reports;
    Trip waiting;
    bool travelling = false;
    bool closed = false;

    void add(Operation operation) {
        loop.assert_on_loop();
        waiting.push_back(std::move(operation));
        if (!travelling) depart();
    }

    void depart() {
        travelling = true;
        const auto trip = std::make_shared<Trip>(std::exchange(waiting, {}));
        worker.submit([self = shared_from_this(), trip] {
            const bool reported = carry_out(*trip, self->store);
            self->loop.post([self, trip, reported] { self->returned(*trip, reported); });
        });
    }

    void returned(Trip& trip, bool reported) {
        travelling = false;
        if (closed) return;
        if (!waiting.empty()) depart();  // the disk is not to wait for the callbacks
        for (Operation& operation : trip) {
            if (operation.job) {
                operation.job_done();
            } else {
                operation.committed(std::move(operation.outcome));
            }
            if (closed) return;
        }
        if (reported && on_reports) on_reports();
    }
};

Disk::Disk(Loop& loop, Worker& worker, NodeStore& store) : impl_(std::make_shared<Impl>(loop, worker, store)) {}

// What was asked for is still carried out; nobody is told.
Disk::~Disk() {
    impl_->closed = true;
    if (!impl_->waiting.empty()) impl_->depart();
}

void Disk::commit(Batch batch, Done done) {
    impl_->add(Operation{.batch = std::move(batch), .job = {}, .job_done = {}, .committed = std::move(done), .outcome = {}});
}

void Disk::submit(std::function<void(NodeStore&)> job, std::function<void()> done) {
    impl_->add(Operation{.batch = {}, .job = std::move(job), .job_done = std::move(done), .committed = {}, .outcome = {}});
}

void Disk::on_reports(std::function<void()> handler) { impl_->on_reports = std::move(handler); }

}  // namespace cloudtask::node
