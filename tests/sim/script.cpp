// Script: see script.h. Pure.
#include "tests/sim/script.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "cloudtask/core/units.h"
#include "tests/sim/dice.h"

namespace cloudtask::sim {

namespace {

using namespace std::chrono_literals;

ScriptTask make_task(Dice& dice, const Script& script) {
    ScriptTask task;
    static constexpr int kIntervals[] = {1, 2, 3, 5, 5, 7, 10, 15};
    task.interval = dice.one_in(6) ? 0s : std::chrono::seconds{kIntervals[dice.below(std::size(kIntervals))]};
    task.offset = task.interval == 0s ? dice.time(2s, script.trouble) : Duration{dice.below(task.interval / 1ms) * 1000};
    task.run_for = dice.one_in(4) ? dice.time(2s, 12s) : dice.time(10ms, 800ms);
    if (dice.one_in(5)) task.targets = 1U << dice.below(script.nodes);
    task.at_least_once = dice.one_in(3);
    task.overlapping = dice.one_in(2);
    task.misfire = static_cast<int>(dice.below(3));
    task.tolerance = dice.one_in(3) ? dice.time(1s, 4s) : 10s;
    return task;
}

// By dice of their own, so that a seed's troubles are what they were.
void add_policies(Script& script) {
    Dice dice(script.seed * 0x94d049bb133111ebULL + 1);
    for (ScriptTask& task : script.tasks) {
        if (dice.one_in(3)) {
            task.attempts = static_cast<int>(dice.between(2, 4));
            task.delay = dice.time(100ms, 2s);
            task.retries_lost = dice.one_in(2);
        }
        const auto policy = task.overlapping ? 3 : dice.below(4);
        if (policy == 0) {
            task.queue = static_cast<int>(dice.between(1, 3));
            task.run_for = std::min<Duration>(task.run_for, 2s);
        }
        task.replaces = policy == 1;
        if (dice.one_in(6)) task.deadline = dice.time(2s, 15s);
    }
}

// What does not touch any promise but that of I2.
Event calm_event(Dice& dice) {
    using enum Happening;
    Event event;
    event.what = dice.any_of({leave, leave, leave, cut_zookeeper, cut_center, center_outage, edit_task, move_task, move_task, disable_task,
                              enable_task, delete_task, lose_answers});
    switch (event.what) {
        case leave:
            event.lasting = dice.one_in(4) ? 0s : dice.time(1s, 15s);
            break;
        case cut_zookeeper:
            event.lasting = dice.time(50ms, 600ms);
            break;
        case lose_answers:
            event.lasting = dice.time(1s, 10s);
            event.amount = dice.between(10, 100);
            break;
        default:
            event.lasting = dice.time(1s, 15s);
            break;
    }
    return event;
}

Event stormy_event(Dice& dice) {
    using enum Happening;
    Event event;
    event.what = dice.any_of({crash,         crash,         crash,         crash,        reboot,       pause,        pause,
                              pause,         cut_zookeeper, cut_zookeeper, cut_center,   expire,       expire,       lose_answers,
                              step_clock,    slow_disk,     fail_disk,     crash_leader, crash_leader, crash_leader, zookeeper_outage,
                              center_outage, spawn_fails,   edit_task,     move_task,    disable_task, enable_task,  delete_task,
                              leave,         leave});
    event.lasting = dice.one_in(3) ? dice.time(100ms, 2s) : dice.time(1s, 14s);
    switch (event.what) {
        case crash:
            event.amount = dice.one_in(2) ? 0 : dice.between(1, 120);
            break;
        case crash_leader:
            event.amount = dice.between(1, 25);
            break;
        case lose_answers:
            event.amount = dice.between(20, 300);
            break;
        case step_clock:
            event.amount = dice.between(1, dice.one_in(2) ? 4000 : 20000) * (dice.one_in(2) ? 1 : -1);
            break;
        case slow_disk:
            event.amount = dice.between(20, 4000);
            break;
        case leave:
            if (dice.one_in(4)) event.lasting = 0s;
            break;
        default:
            break;
    }
    return event;
}

const char* name_of(Happening what) {
    switch (what) {
        case Happening::join:
            return "join";
        case Happening::leave:
            return "leave";
        case Happening::cordon:
            return "cordoned";
        case Happening::crash:
            return "crash";
        case Happening::reboot:
            return "reboot";
        case Happening::pause:
            return "pause";
        case Happening::cut_zookeeper:
            return "cut from ZooKeeper";
        case Happening::cut_center:
            return "cut from the center";
        case Happening::expire:
            return "session expires";
        case Happening::lose_answers:
            return "answers of ZooKeeper are lost";
        case Happening::step_clock:
            return "clock steps";
        case Happening::slow_disk:
            return "disk is slow";
        case Happening::fail_disk:
            return "disk is full";
        case Happening::crash_leader:
            return "leader crashes";
        case Happening::zookeeper_outage:
            return "ZooKeeper is away";
        case Happening::zookeeper_wiped:
            return "ZooKeeper is wiped";
        case Happening::center_outage:
            return "center is away";
        case Happening::spawn_fails:
            return "no process can be started";
        case Happening::create_task:
            return "task is created";
        case Happening::edit_task:
            return "task is edited";
        case Happening::move_task:
            return "task moves";
        case Happening::leave_mutex:
            return "task leaves its mutex";
        case Happening::enter_mutex:
            return "task enters its mutex";
        case Happening::disable_task:
            return "task is disabled";
        case Happening::enable_task:
            return "task is enabled";
        case Happening::delete_task:
            return "task is deleted";
    }
    return "?";
}

std::string time_text(Duration time) { return fmt::format("{}.{:03}", time / 1s, time / 1ms % 1000); }

std::string nodes_text(std::uint32_t targets) {
    std::string text;
    for (int node = 0; targets >> node != 0; ++node) {
        if ((targets >> node & 1) != 0) text += fmt::format("{}{}", text.empty() ? " on node " : " or ", node);
    }
    return text;
}

bool of_task(Happening what) { return what >= Happening::create_task; }
bool of_all(Happening what) {
    using enum Happening;
    return what == crash_leader || what == zookeeper_outage || what == zookeeper_wiped || what == center_outage;
}

}  // namespace

Script make_plain_script(std::uint64_t seed, bool wiped) {
    Dice dice(seed * 0x9e3779b97f4a7c15ULL + 1);
    Script script;
    script.seed = seed;
    script.calm = dice.one_in(4);
    script.nodes = static_cast<int>(dice.between(2, 5));
    script.early = static_cast<int>(dice.between(1, script.nodes));
    script.trouble = dice.time(25s, 50s);
    script.network = dice.one_in(3) ? dice.time(5ms, 40ms) : dice.time(300us, 3ms);
    const auto tasks = dice.between(2, 7);
    for (std::int64_t i = 0; i < tasks; ++i) {
        script.tasks.push_back(make_task(dice, script));
        if (!dice.one_in(4)) continue;
        script.tasks.back().from_start = false;
        Event event{dice.time(5s, script.trouble - 5s), Happening::create_task};
        event.task = static_cast<int>(i);
        script.events.push_back(event);
    }
    for (int node = script.early; node < script.nodes; ++node) {
        Event event{dice.time(3s, script.trouble - 5s), Happening::join};
        event.node = node;
        script.events.push_back(event);
    }
    const auto events = dice.between(1, script.calm ? 6 : 10);
    for (std::int64_t i = 0; i < events; ++i) {
        Event event = script.calm ? calm_event(dice) : stormy_event(dice);
        event.at = dice.time(4s, script.trouble - 1s);
        event.node = static_cast<int>(dice.below(script.nodes));
        event.task = static_cast<int>(dice.below(tasks));
        if (event.what == Happening::move_task) {
            const std::int64_t target = dice.between(0, script.nodes);
            event.amount = target < script.nodes ? std::int64_t{1} << target : 0;
        }
        script.events.push_back(event);
    }
    // Troubles come together more often than chance has it: some follow close upon another.
    for (std::size_t i = 1; i < script.events.size(); ++i) {
        if (script.events[i].what != Happening::create_task && dice.one_in(3)) {
            script.events[i].at = std::min<Duration>(script.events[i - 1].at + dice.time(1ms, 5s), script.trouble - 1s);
        }
    }
    if (wiped) {
        script.calm = false;
        script.events.push_back({dice.time(8s, script.trouble - 5s), Happening::zookeeper_wiped});
    }
    std::stable_sort(script.events.begin(), script.events.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
    add_policies(script);
    return script;
}

Script with_modes(Script script) {
    Dice dice(script.seed * 0xbf58476d1ce4e5b9ULL + 1);
    if (dice.one_in(2)) return script;
    for (ScriptTask& task : script.tasks) {
        if (task.mutex > 0) continue;
        if (dice.one_in(3)) {
            task.shards = static_cast<int>(dice.between(2, 4));
        } else {
            task.broadcast = dice.one_in(4);
        }
    }
    return script;
}

void add_mutexes(Script& script) {
    Dice dice(script.seed * 0xd6e8feb86659fd93ULL + 1);
    if (dice.one_in(2)) return;
    const auto mutexes = dice.between(1, 2);
    std::vector<const ScriptTask*> first(3);
    for (ScriptTask& task : script.tasks) {
        const auto mutex = static_cast<std::size_t>(dice.between(0, mutexes));
        if (mutex == 0) continue;
        task.mutex = static_cast<int>(mutex);
        task.overlapping = task.replaces = false;
        task.run_for = std::min<Duration>(task.run_for, 2s);
        if (first[mutex] == nullptr) first[mutex] = &task;
        task.targets = first[mutex]->targets;
        task.zone = first[mutex]->zone;
        if (!dice.one_in(5)) continue;
        Event event{dice.time(5s, script.trouble - 6s), Happening::leave_mutex};
        event.task = static_cast<int>(&task - script.tasks.data());
        script.events.push_back(event);
        event.what = Happening::enter_mutex;
        event.at = std::min<Duration>(event.at + dice.time(1s, 15s), script.trouble - 1s);
        script.events.push_back(event);
    }
    std::stable_sort(script.events.begin(), script.events.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
}

void add_elsewhere(Script& script) {
    Dice dice(script.seed * 0xa0761d6478bd642fULL + 1);
    for (ScriptTask& task : script.tasks) {
        if (!dice.one_in(2) || !task.overlapping || task.mutex > 0) continue;
        task.elsewhere = true;
        if (task.attempts > 1) continue;
        task.attempts = static_cast<int>(dice.between(2, 4));
        task.delay = dice.time(100ms, 2s);
    }
}

std::string zone_name(int zone) { return zone == 0 ? "east" : "west"; }

std::string describe(const Event& event) {
    std::string text = fmt::format("{:>8}  ", time_text(event.at));
    if (of_task(event.what)) {
        text += fmt::format("task {}: ", event.task);
    } else if (!of_all(event.what)) {
        text += fmt::format("node {}: ", event.node);
    }
    text += name_of(event.what);
    if (event.what == Happening::move_task) {
        text += event.amount == 0 ? " to any node" : nodes_text(static_cast<std::uint32_t>(event.amount));
    } else if (event.amount != 0) {
        text += fmt::format(" ({})", event.amount);
    }
    if (event.lasting > 0s && !of_task(event.what)) text += fmt::format(" for {} s", time_text(event.lasting));
    return text;
}

std::string describe(const Script& script) {
    std::string text = fmt::format("seed {}: {}, {} nodes ({} from the start), {} tasks, healed at {} s, network up to {} us\n",
                                   script.seed, script.calm ? "calm" : "stormy", script.nodes, script.early, script.tasks.size(),
                                   time_text(script.trouble), script.network.count());
    static constexpr const char* kMisfires[] = {"skip", "once", "all"};
    for (std::size_t i = 0; i < script.tasks.size(); ++i) {
        const ScriptTask& task = script.tasks[i];
        std::string policies;
        if (task.attempts > 1) {
            policies += fmt::format(", {} attempts after {}{}", task.attempts, format_duration(task.delay),
                                    task.retries_lost ? ", also of what is lost" : "");
            if (task.elsewhere) policies += ", on other nodes";
        }
        if (task.queue > 0) policies += fmt::format(", {} may queue", task.queue);
        if (task.replaces) policies += ", replaces";
        if (task.shards > 0) policies += fmt::format(", {} shards", task.shards);
        if (task.broadcast) policies += ", broadcast";
        if (task.mutex > 0) policies += fmt::format(", under mutex {}", task.mutex);
        if (task.deadline > 0s) policies += fmt::format(", not later than {}", format_duration(task.deadline));
        text += fmt::format("  task {}: {}, runs up to {}, misfire {} after {}{}{}{}{}\n", i,
                            task.interval == 0s ? "at " + time_text(task.offset)
                                                : fmt::format("every {} + {}", format_duration(task.interval), time_text(task.offset)),
                            format_duration(task.run_for), kMisfires[task.misfire], format_duration(task.tolerance),
                            (task.targets == 0 ? "" : "," + nodes_text(task.targets)) +
                                (task.zone == kNoZone ? "" : fmt::format(", in zone {}", zone_name(task.zone))),
                            task.at_least_once ? ", at least once" : "", task.overlapping ? ", overlapping" : "", policies);
    }
    for (const Event& event : script.events) text += describe(event) + "\n";
    return text;
}

}  // namespace cloudtask::sim
