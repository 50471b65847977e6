// The guarantee of a task in sentences: see guarantee.h. Pure.
#include "cloudtask/ring/guarantee.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cloudtask/core/units.h"
#include "cloudtask/ring/placement.h"
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/decisions.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::ring {

namespace {

bool ever_fires(const task::Task& task) {
    return task.enabled && std::any_of(task.schedules.begin(), task.schedules.end(), [](const task::Schedule& schedule) {
               return schedule.enabled() && schedule.kind() != task::Schedule::Kind::manual;
           });
}

// The misfire policies of its schedules that fire.
std::set<task::Misfire> misfires_of(const task::Task& task) {
    std::set<task::Misfire> policies;
    for (const auto& schedule : task.schedules) {
        if (schedule.enabled() && schedule.kind() != task::Schedule::Kind::manual) policies.insert(task.misfire_for(schedule));
    }
    return policies;
}

std::string fate_text(task::Misfire policy) {
    const bool earlier = task::is_made_up_for(policy, false), last = task::is_made_up_for(policy, true);
    if (earlier) return "is run late, each of them if several were missed";
    if (last) return "is run late; of several that were missed only the latest is run, for all of them";
    return "is skipped, and recorded as such";
}

class Writer {
  public:
    Writer(const task::Task& task, const GuaranteeFacts& facts) : task_(task), facts_(facts) {
        const Placement placement = placement_of(task);
        const Ring ring(facts.members);
        const auto candidates = ring.preference(task.id, placement, 2);
        if (!candidates.empty()) out_.owner = candidates[0]->name;
        if (candidates.size() > 1) out_.successor = candidates[1]->name;
        out_.fires = ever_fires(task);
        out_.taken_over_within = facts.session_timeout + kTakeOver;
        out_.late_by_tolerance = out_.taken_over_within <= task.misfire_tolerance;
        out_.uncertain = facts.horizon;
        out_.begun_again = task::is_begun_again(task);
    }

    Guarantee write() {
        owner();
        if (out_.fires) {
            node_lost();
            uncertain();
        }
        runs_lost();
        if (out_.fires) {
            missed();
            start_deadline();
            overlap();
        }
        time_limit();
        success();
        retry();
        drain();
        if (out_.fires) away();
        return std::move(out_);
    }

  private:
    void add(std::string_view topic, std::string text) { out_.sentences.push_back({topic, std::move(text)}); }

    std::string node() const { return out_.owner.empty() ? "its node" : out_.owner; }

    void owner() {
        std::string text;
        if (out_.owner.empty()) {
            text = facts_.members.empty()
                       ? "The runtime has no node: nothing of it is started until one joins."
                       : "No node of the runtime has what its targets and labels ask for: nothing of it is started until one comes.";
        } else if (out_.successor.empty()) {
            text = fmt::format("{} runs it. No other node can: if {} is gone, it waits.", out_.owner, out_.owner);
        } else {
            text = fmt::format("{} runs it. If {} is gone, {} does.", out_.owner, out_.owner, out_.successor);
        }
        if (!task_.enabled) text += " It is disabled: its schedules do not fire.";
        if (task_.enabled && !out_.fires) text += " It has no schedule that fires: it is started by hand only.";
        add("owner", std::move(text));
    }

    void node_lost() {
        if (out_.owner.empty()) return;
        if (out_.successor.empty()) {
            add("node-lost",
                fmt::format("If {} dies, what comes due is started when a node that can take it is there, or treated as missed.",
                            out_.owner));
            return;
        }
        std::string text = fmt::format(
            "If {} dies, {} starts its fires from then on, after {} at the most ({} until the session of {} ends, {} to "
            "take over).",
            out_.owner, out_.successor, format_duration(out_.taken_over_within), format_duration(facts_.session_timeout), out_.owner,
            format_duration(kTakeOver));
        text += out_.late_by_tolerance
                    ? fmt::format(" That is within the tolerance of {}: what comes due meanwhile is started late.",
                                  format_duration(task_.misfire_tolerance))
                    : fmt::format(" That may be more than the tolerance of {}: what came due earlier than that counts as missed.",
                                  format_duration(task_.misfire_tolerance));
        add("node-lost", std::move(text));
    }

    void uncertain() {
        const std::string fires = fmt::format("Fires that {} had claimed when it dies, of {} at the most, may have been started or not",
                                              node(), format_duration(out_.uncertain));
        if (out_.begun_again) {
            add("uncertain",
                fires + ": they are reported LOST, and run again as a further attempt, so that one may run twice (at_least_once).");
        } else {
            add("uncertain", fires + ": they are reported LOST, and not run again, so that none runs twice (at_most_once).");
        }
    }

    void missed() {
        const auto policies = misfires_of(task_);
        for (const auto policy : policies) {
            std::string which;
            if (policies.size() > 1) {
                which = policy == task::Misfire::once ? " of an `at` schedule" : " of another schedule";
            }
            std::string text = fmt::format("A fire{} that cannot be started within {} {}.", which, format_duration(task_.misfire_tolerance),
                                           fate_text(policy));
            if (policy == task::Misfire::all && task_.misfire_limit < task::kMostMisfires) {
                text += fmt::format(" Of more than {} the first {} are run.", task_.misfire_limit, task_.misfire_limit);
            }
            add("missed", std::move(text));
        }
    }

    void runs_lost() {
        std::string text = "A run that is going on when its node dies is LOST. It is not run again.";
        if (const auto retry = task::retry_of(task_); retry && task::asks_for_retry(*retry, task::RunState::lost, std::nullopt)) {
            text += retry->elsewhere ? " If the node comes back and cannot tell how the run ended, another node makes a further attempt."
                                     : " If the node comes back and cannot tell how the run ended, that node makes a further attempt.";
        }
        if (task::retry_of(task_) || task::without_room(task_) != task::NoRoom::skip) {
            text += " What waits there to begin is begun when the node is back, and is LOST once the node is removed.";
        }
        add("runs-lost", std::move(text));
    }

    void start_deadline() {
        if (!task_.start_deadline) return;
        add("start-deadline",
            fmt::format("What has not begun {} after its fire was due, for whatever reason, is skipped, and recorded as such.",
                        format_duration(*task_.start_deadline)));
    }

    void overlap() {
        const std::int64_t most = task::runs_at_once(task_);
        const std::string beside =
            task::has_mutex(task_) ? fmt::format(", or of another task under {},", task::mutex_words(task::mutex_key(task_))) : "";
        std::string text = most == 1
                               ? fmt::format("A fire that comes due while a run of it{} is in progress", beside)
                               : fmt::format("Up to {} runs of it may be in progress at one time; a fire that comes due beyond that", most);
        switch (task::without_room(task_)) {
            case task::NoRoom::skip:
                text += " is skipped, and recorded as such.";
                break;
            case task::NoRoom::queue:
                text += fmt::format(" waits for its turn; while {} wait, further ones are skipped, and recorded as such.",
                                    task_.queue_limit == 1 ? "one does" : std::to_string(task_.queue_limit));
                break;
            case task::NoRoom::replace:
                text += " stops that run, and begins once its processes are gone; of several that wait for that only the latest is run.";
                break;
        }
        if (task_.retry && task_.retry->elsewhere) {
            text += " Further attempts on other nodes do not count.";
        } else if (task_.retry) {
            text += beside.empty() ? " A run that is to be tried again counts as in progress."
                                   : " A run that is to be tried again counts as in progress, but lets other tasks go first meanwhile.";
        }
        add("overlap", std::move(text));
    }

    void time_limit() {
        std::string text;
        if (task_.soft_limit) {
            text = fmt::format("A run that takes longer than {} goes on, and a mail says so. ", format_duration(*task_.soft_limit));
        }
        const std::string limit = format_duration(task_.time_limit);
        text += task_.grace > Duration::zero()
                    ? fmt::format(
                          "A run that takes longer than {} is asked to end (TERM), is killed with all its processes {} later, "
                          "and is TIMED_OUT.",
                          limit, format_duration(task_.grace))
                    : fmt::format("A run that takes longer than {} is killed with all its processes, and is TIMED_OUT.", limit);
        add("time-limit", std::move(text));
    }

    void success() {
        if (!task_.success) return;
        std::string text = "A run has succeeded if it exits with " + codes_text(task_.success->exit_codes);
        if (const auto& output = task_.success->output) {
            text += fmt::format(" and the end of its {} {} '{}'", output->standard_error ? "stderr" : "stdout",
                                output->matches ? "matches" : "does not match", output->pattern);
        }
        add("success", text + "; else it has FAILED.");
    }

    void retry() {
        if (!task_.retry) {
            add("failed", "A run that fails is not run again.");
            return;
        }
        const task::Retry& retry = *task_.retry;
        std::string which;
        if (retry.failed) {
            which = retry.exit_codes.empty() ? "FAILED" : fmt::format("FAILED with exit code {}", codes_text(retry.exit_codes));
        }
        if (retry.timed_out) which += which.empty() ? "TIMED_OUT" : ", or is TIMED_OUT,";
        if (which.empty()) return;  // only what is LOST
        std::string text = fmt::format("A run that {} {} is tried again on {}, {} times at the most, after {}", retry.failed ? "has" : "is",
                                       which, retry.elsewhere ? "another node (if no other can take it, on the same one)" : "the same node",
                                       retry.attempts - 1, delays_text(retry));
        if (retry.jitter > 0) text += fmt::format(" and up to {:g} % more", retry.jitter * 100);
        add("failed", text + ". A mail about the failure is sent when no further attempt follows.");
    }

    // Without the jitter, by what the node reckons with.
    static std::string delays_text(task::Retry retry) {
        constexpr std::int64_t kTold = 4;
        retry.jitter = 0;
        std::string text;
        for (std::int64_t made = 1; made < retry.attempts && made <= kTold; ++made) {
            text += (made == 1 ? "" : ", ") + format_duration(task::retry_delay(retry, made, {}));
        }
        if (retry.attempts - 1 <= kTold) return text;
        return text + fmt::format(", ... {}", format_duration(task::retry_delay(retry, retry.attempts - 1, {})));
    }

    static std::string codes_text(const task::ExitCodes& codes) {
        std::string text;
        for (const auto& range : codes.ranges()) text += (text.empty() ? "" : ", ") + task::ExitCodes::to_string(range);
        return text;
    }

    void drain() {
        if (out_.owner.empty()) return;
        std::string text = fmt::format("If {} is drained or stopped in order, ", out_.owner);
        text +=
            out_.successor.empty() ? "it waits for a node that can take it" : fmt::format("{} goes on from the next fire", out_.successor);
        add("drain", text + "; nothing is lost or doubled, and a run in progress goes on where it is.");
    }

    void away() {
        add("zookeeper",
            fmt::format("Without contact with ZooKeeper {} starts what it has claimed, up to {} ahead, and then pauses (unless "
                        "claims.on-zookeeper-loss says otherwise); what comes due meanwhile counts as missed once it is later than "
                        "the tolerance.",
                        node(), format_duration(out_.uncertain)));
        add("center", "Without the center everything is started as before; its history and mails come when it is back.");
    }

    const task::Task& task_;
    const GuaranteeFacts& facts_;
    Guarantee out_;
};

}  // namespace

// Of a task with pieces one is described, and stands for all.
Guarantee describe_guarantee(const task::Task& task, const GuaranteeFacts& facts) {
    const auto with_head = [&facts](const task::Task& piece, std::string head) {
        Guarantee guarantee = Writer(piece, facts).write();
        guarantee.sentences.insert(guarantee.sentences.begin(), {"pieces", std::move(head)});
        return guarantee;
    };
    if (task.mode == task::Mode::shards) {
        return with_head(
            task::shard_of(task, 0),
            fmt::format("A fire of it is {} runs, one for each shard, and each shard has a node of its own. What follows names the "
                        "node of shard 0; it holds for each shard by itself.",
                        task.shards));
    }
    if (task.mode == task::Mode::broadcast) {
        const Placement placement{task.targets, task.labels};
        const auto first = std::find_if(facts.members.begin(), facts.members.end(),
                                        [&placement](const Member& member) { return placement.accepts(member); });
        const auto count = std::count_if(facts.members.begin(), facts.members.end(),
                                         [&placement](const Member& member) { return placement.accepts(member); });
        if (first != facts.members.end()) {
            return with_head(task::piece_on(task, {first->id, first->name}),
                             fmt::format("A fire of it is one run on each node that its targets and labels name, {} now. What follows is "
                                         "said of {}; it holds for each node by itself.",
                                         count, first->name));
        }
    }
    return Writer(task, facts).write();
}

}  // namespace cloudtask::ring
