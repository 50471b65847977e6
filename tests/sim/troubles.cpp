// Troubles that chance alone hardly brings together: all nodes that may take a task are away for a while; a clock is wrong just while a
// session begins; a node is cut off from the center while definitions change and their owners die. Each was first seen on real processes.
// Added to a plain script, by dice of their own. Pure.
#include <algorithm>
#include <utility>

#include "tests/sim/dice.h"
#include "tests/sim/script.h"

namespace cloudtask::sim {

namespace {

using namespace std::chrono_literals;

// No later than this before the script's end, as what comes after is healed at once.
constexpr Duration kLast = 500ms;

class Troubles {
  public:
    Troubles(Dice& dice, Script& script) : dice_(dice), script_(script) {}

    void add() {
        for (ScriptTask& task : script_.tasks) choose_nodes(task);
        for (Event& event : script_.events) {
            if (event.what == Happening::move_task && dice_.one_in(2)) event.amount = some_nodes();
        }
        if (dice_.one_in(4)) {
            happens(dice_.time(4s, script_.trouble - 5s), Happening::cordon, any_node(), dice_.time(1s, 15s));
        }
        if (!script_.calm) add_storms();
        std::stable_sort(script_.events.begin(), script_.events.end(), [](const Event& a, const Event& b) { return a.at < b.at; });
    }

  private:
    void add_storms() {
        // Room for them: a wave of deaths and returns takes twenty seconds and more.
        script_.trouble = std::max<Duration>(script_.trouble, 35s);
        const auto kinds = dice_.between(1, 7);  // a bit for each
        if ((kinds & 1) != 0) nodes_of_a_task_go();
        if ((kinds & 2) != 0) clock_is_wrong_as_a_session_begins();
        if ((kinds & 4) != 0) changes_are_missed();
    }

    std::uint32_t some_nodes() {
        const auto count = std::min<std::int64_t>(dice_.one_in(3) ? 3 : 2, script_.nodes);
        std::uint32_t nodes = 0;
        for (std::int64_t chosen = 0; chosen < count;) {
            const std::uint32_t bit = 1U << dice_.below(script_.nodes);
            if ((nodes & bit) != 0) continue;
            nodes |= bit;
            ++chosen;
        }
        return nodes;
    }

    void choose_nodes(ScriptTask& task) {
        if (task.targets != 0 || dice_.one_in(2)) return;
        if (dice_.one_in(3)) {
            task.zone = static_cast<int>(dice_.below(kZones));
        } else {
            task.targets = some_nodes();
        }
    }

    int any_node() { return static_cast<int>(dice_.below(script_.nodes)); }

    void happens(Duration at, Happening what, int node, Duration lasting, std::int64_t amount = 0) {
        Event event{std::clamp<Duration>(at, 3s, script_.trouble - kLast), what};
        event.node = node;
        event.lasting = lasting;
        event.amount = amount;
        script_.events.push_back(event);
    }

    // A node is away for `lasting`, or somewhat longer.
    void goes(Duration at, int node, Duration lasting) {
        using enum Happening;
        happens(at, dice_.any_of({crash, crash, crash, crash, reboot, cut_zookeeper, cut_zookeeper, leave, cordon}), node, lasting);
    }

    // Nodes that may take the task, in any order.
    std::vector<int> nodes_of(const ScriptTask& task) {
        std::vector<int> nodes;
        for (int node = 0; node < script_.nodes; ++node) {
            const bool named = task.targets == 0 || (task.targets >> node & 1) != 0;
            if (named && (task.zone == kNoZone || zone_of(node) == task.zone)) nodes.push_back(node);
        }
        for (std::size_t i = nodes.size(); i > 1; --i)
            std::swap(nodes[i - 1], nodes[static_cast<std::size_t>(dice_.below(static_cast<std::int64_t>(i)))]);
        return nodes;
    }

    // All but two of the nodes that may take a task are away when its last two die shortly after each other, mostly before what the first
    // death began is settled. Then they come back.
    void nodes_of_a_task_go() {
        ScriptTask& task = script_.tasks[static_cast<std::size_t>(dice_.below(static_cast<std::int64_t>(script_.tasks.size())))];
        if (task.targets == 0 && task.zone == kNoZone) task.targets = some_nodes();
        if (task.interval > 0s && dice_.one_in(2)) task.interval = std::chrono::seconds{dice_.between(1, 2)};
        if (dice_.one_in(2)) task.at_least_once = true;
        const Duration at = dice_.time(13s, script_.trouble - 12s);
        std::vector<int> nodes = nodes_of(task);
        while (nodes.size() > 2) {
            const Duration earlier = dice_.time(4s, 9s);
            goes(at - earlier, nodes.back(), earlier + dice_.time(4s, 10s));
            nodes.pop_back();
        }
        if (nodes.empty()) return;
        goes(at, nodes.front(), dice_.time(5s, 16s));
        // A death is seen some four seconds later: the second node dies while both are thought to live, or in the very moment.
        const Duration second = dice_.one_in(2) ? dice_.time(-1s, 3s) : dice_.time(3s, 6s);
        if (nodes.size() > 1) goes(at + second, nodes.back(), dice_.time(5s, 16s));
    }

    // The clock is off while the node has no session, and is right again before, while or after it gets the next one. Later its tasks go to
    // others.
    void clock_is_wrong_as_a_session_begins() {
        using enum Happening;
        const int node = any_node();
        const Duration at = dice_.time(6s, script_.trouble - 14s);
        const Duration lasting = dice_.time(1s, 10s);
        const Duration wrong_for = dice_.time(200ms, dice_.one_in(2) ? 3s : 10s);
        Duration session{};  // the next one begins about then
        switch (dice_.below(4)) {
            case 0:
                happens(at, cut_zookeeper, node, lasting);
                session = at + lasting;
                break;
            case 1:
                happens(at, zookeeper_outage, node, lasting);
                session = at + lasting;
                break;
            case 2:
                happens(at, crash, node, lasting);
                session = at + lasting;
                break;
            default:
                happens(at, expire, node, 0s);
                session = at;
                break;
        }
        const std::int64_t off = dice_.any_of({60'000, 60'000, 60'000, -60'000, 12'000, 600'000});
        happens(session - dice_.time(0s, wrong_for), step_clock, node, wrong_for, off);
        if (dice_.one_in(2)) happens(session, cut_center, node, dice_.time(1s, 6s));
        if (!dice_.one_in(3)) goes(session + dice_.time(2s, 20s), node, dice_.time(5s, 12s));
    }

    // A node that does not hear the center takes tasks over that change meanwhile.
    void changes_are_missed() {
        using enum Happening;
        const int node = any_node();
        const Duration at = dice_.time(5s, script_.trouble - 14s);
        const Duration lasting = dice_.time(5s, 25s);
        happens(at, cut_center, node, lasting);
        for (auto left = dice_.between(1, 4); left > 0; --left) {
            happens(at + dice_.time(0s, lasting), dice_.any_of({edit_task, edit_task, move_task, disable_task, enable_task}), 0, 0s);
            Event& event = script_.events.back();
            event.task = static_cast<int>(dice_.below(static_cast<std::int64_t>(script_.tasks.size())));
            if (event.what == move_task && !dice_.one_in(3)) event.amount = some_nodes();
        }
        goes(at + dice_.time(0s, lasting), any_node(), dice_.time(3s, 12s));
    }

    Dice& dice_;
    Script& script_;
};

}  // namespace

Script make_script(std::uint64_t seed, bool wiped) {
    Script script = make_plain_script(seed, wiped);
    Dice dice(seed * 0xbf58476d1ce4e5b9ULL + 1);
    if (!dice.one_in(3)) Troubles(dice, script).add();
    add_mutexes(script);
    add_elsewhere(script);
    return script;
}

}  // namespace cloudtask::sim
