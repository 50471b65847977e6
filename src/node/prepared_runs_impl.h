// The inside of PreparedRuns, for the prepared_runs*.cpp alone: what they share, and who does what. Lives on the loop.
//
//   prepared_runs.cpp           from the intent to a run that is ready; ends without a start
//   prepared_runs_starting.cpp  what is due is started, or is too late
//   prepared_runs_waiting.cpp   what waits for others of its task, or for its time
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "node/backlog.h"
#include "node/prepared_runs.h"
#include "node/run_texts.h"
#include "node/waiting_line.h"

namespace cloudtask::node {

struct PreparedRuns::Impl : std::enable_shared_from_this<Impl> {
    using Pace = JournalWriter::Pace;
    // What waits for a run that goes on is looked at when one ends here; of what goes on elsewhere nobody tells.
    static constexpr Duration kLookAgain = std::chrono::seconds{1};

    struct Prepared : PreparedRun {
        bool intent_written = false;
        bool package_ready = false;
        bool package_asked = false;  // it is being fetched or unpacked
        bool folder_asked = false;
        std::int64_t retry = 0;  // see JournalEntry
        std::string mutex;       // see RunKeys
        Instant order{};         // in its line
        Instant not_before{};    // of a further attempt: its time
        bool in_line = false;    // it waits for others of its task, and its fire is closed
        bool parked = false;     // the journal has it as waiting
        bool reported = false;   // as PENDING
        std::string refusal;     // why it cannot be started, known ahead of time; empty: it can

        Asking asking() const { return {run.id, task->id, order, run.trigger}; }
        RunKeys keys() const { return {task->id, mutex}; }
        const std::string& line() const { return mutex.empty() ? task->id : mutex; }
    };

    static inline const WaitingLine kNobody;

    Surroundings around;
    std::unordered_map<std::string, Prepared> prepared;    // by run id
    std::set<std::pair<Instant, std::string>> due;         // the same, by time
    std::set<std::pair<Instant, std::string>> folderless;  // of these, those whose folder is not made yet, though it could be
    std::size_t folders_ahead = 0;                         // of these, those whose folder is being made or there
    std::size_t parked_count = 0;                          // of these, what only waits
    std::unordered_map<std::string, WaitingLine> lines;    // by RunKeys::line(); none is empty
    RunCounts waiting;                                     // all that are in these
    std::unordered_set<std::string> known_runs;            // in the journal: not begun again
    // The times of the fires that were taken and are neither started nor on disk as ended: what ZooKeeper must not hear of as done.
    std::multiset<Instant> open_fires;
    bool fires_closed = false;  // since that was told
    Duration clock_offset{};    // of the wall clock from the steady one
    Timer due_timer;
    Instant due_timer_at{};
    std::map<std::uint64_t, Timer> retries;
    std::uint64_t next_retry = 0;
    bool starting_more = false;  // a further turn of start_due() is posted
    bool look_soon = false;      // something that is due waits for what other nodes have to tell

    explicit Impl(Surroundings surroundings)
        : around(std::move(surroundings)), clock_offset(now().time_since_epoch() - around.loop.clock().steady_now().time_since_epoch()) {}

    Instant now() const { return around.loop.clock().now(); }

    // --- accounts

    // Nothing if the journal knows the run already.
    void add_unstarted(Batch& batch, task::Run run, task::RunState state, std::string reason);
    void write_unstarted(Batch batch, Instant fire_time);
    void close_fire(const std::optional<Instant>& fire_time);

    // --- from intent to start

    // Writes the intent, together with `batch`, and makes everything ready. False if the journal knows the run already: nothing is done.
    bool prepare(Batch&& batch, PreparedRun wanted);
    // What its task's parameters come to: into the run, so that the journal has them with the intent.
    static void work_out(Prepared& entry);
    // As the journal keeps it.
    JournalEntry journal_entry(const Prepared& entry, Phase phase) const;
    // Gives the run a folder, if it has none yet, and the secrets that there are now. False if nothing of the folder is there.
    bool write_intent(Batch&& batch, Prepared& entry);
    // Of a run without a package; PackageCache makes the others'.
    void make_folders();
    // It is started, or will not be.
    void drop_prepared(const std::string& run_id);
    void retry(Duration delay, std::function<void()> function);
    void fetch_package(const std::string& run_id);
    // A center that is away may come back within the task's tolerance; a package that is not what it should be will not mend.
    void package_failed(const std::string& run_id, const Error& error);
    // Ends a prepared run that could not be started.
    void fail_prepared(const std::string& run_id, std::string reason);
    void end_prepared(const Prepared& entry, task::RunState state, std::string reason);
    // Ends a run whose intent is written and that nothing was started for. `closed`: ZooKeeper does not wait for it any more.
    void end_unstarted(task::Run run, const TaskPointer& task, std::int64_t retry, bool closed, task::RunState state, std::string reason);
    // What waits does so for a while, and fires for an instant: when the clock is set, the former go with it.
    void follow_clock();
    void start_due();
    void arm(Instant time);
    // The rest of a burst comes as starts come to pass: what waits here can still be too late, or stopped. And were all of it begun in one
    // turn of the loop, nobody would learn of exits meanwhile.
    void start_more();
    bool too_late(const Prepared& entry, Instant at) const { return entry.fire && at - entry.due > entry.task->misfire_tolerance; }
    // What is ready ahead of time is started by the timer, what was written late by the journal; what got its package late, here.
    void start_if_due(const Prepared& entry);
    void tell_closed();
    // Fires of one task that were taken in time, but whose intent or package was not there in time: misfires as well. They are judged
    // together, and what is to run starts when its own intent is written.
    void start_late(const Backlog& backlog);
    // What is under a mutex waits until it is known what earlier owners have begun.
    bool unsettled(const Prepared& entry);
    void start(const std::string& run_id);
    // The node that has a run, or something that waits, which the run must not overlap with; empty if there is none.
    std::string elsewhere_of(const Prepared& entry) const;
    InTheWay in_the_way(const Prepared& entry, const WaitingLine& line) const;
    void skip(const Prepared& entry, std::string reason);
    // Its intent is on disk.
    void begin(Prepared& entry);
    void start_done(const Result<>& started, const task::Run& run, const TaskPointer& task, std::int64_t retry, bool closed);

    // --- waiting

    // A fire that goes on, or waits in a line, is closed: that it is to be run is on disk, so ZooKeeper need not wait for it.
    enum class Place { held, resting, queued };
    void enter_line(Prepared& entry, Place place);
    void leave_line(const Prepared& entry);
    // It is looked at again then, or when a run of its task ends.
    void look_at(Prepared& entry, Instant time);
    // From here on the journal has it as certainly not begun. The center is told once.
    void park(Prepared& entry, Batch&& batch, std::string reason);
    // It has its turn: it is held until its intent is on disk again.
    void unpark(Prepared& entry);
    // To be run is what its task wants: it waits for the run that is in its way.
    void hold(Prepared& entry, std::string reason);
    void queue(Prepared& entry, Batch&& batch, std::string reason);
    // The newest run goes before all others of its task: those that wait are not run, those that run are stopped, and it begins when their
    // trees are gone. One that runs on another node is waited for.
    void replace(Prepared& entry, const std::string& elsewhere);
    void wake(const RunKeys& keys);
    void wake_line(const std::string& key);
    // Takes its place in memory; on disk it has it.
    void resume(JournalEntry kept);
    bool take_over(Batch&& batch, JournalEntry entry);
    bool end(const std::string& run_id, task::RunState state, std::string reason);
    void skip_task(const std::string& task_id, const std::string& reason);
};

}  // namespace cloudtask::node
