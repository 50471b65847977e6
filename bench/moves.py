"""What it costs when tasks move: a node that dies, joins, is drained, or restarts, under 300 fires of /bin/true a second on three nodes; and what
the number of tasks costs ZooKeeper.

First the measuring, then the sections of the benchmark. Reads the center's database while the center runs, as load.py does. Times are microseconds since 1970 unless a name says otherwise.
"""

import os
import random
import sqlite3
import time

from catalog import MANY
from cluster import RUNTIME, NotYet
from figures import bound, figure, head, ratio, say, table
from load import Beats, fill_catalog, median, node_status, percentile

RATE = 300  # tasks, each due once a second
SECOND = 1_000_000


def now():
    return time.time_ns() // 1000


class History:
    """The runs of scheduled fires, as the center knows them."""

    def __init__(self, cluster):
        self._cluster = cluster
        self._path = os.path.join(cluster.center.data, "center.db")

    def rows(self, columns, condition, *arguments):
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(f"SELECT {columns} FROM runs WHERE fire_time IS NOT NULL AND {condition}", arguments).fetchall()
        finally:
            connection.close()

    def runners(self, begin, end):
        """The node that started each task's last fire of that time, by task id."""
        return dict(self.rows("task_id, node_name", "fire_time >= ? AND fire_time < ? AND started_at IS NOT NULL ORDER BY fire_time", begin, end))

    def lateness_ms(self, begin, end):
        return [late / 1000 for (late,) in self.rows("lateness", "fire_time >= ? AND fire_time < ? AND lateness IS NOT NULL", begin, end)]

    def wait_until_complete(self, begin, end):
        """How many fires of that time (whole seconds) ended in which state, once the center knows the end of all that there should be."""

        def complete():
            states = [state for (state,) in self.rows("state", "fire_time >= ? AND fire_time < ? AND attempt = 1", begin, end)]
            if len(states) < RATE * (end - begin) // SECOND or {"PENDING", "RUNNING"} & set(states):
                raise NotYet(f"the center knows {len(states)} fires, {states.count('RUNNING')} of them still running")
            return {state: states.count(state) for state in sorted(set(states))}

        return self._cluster.wait_for(complete, 60, "the center to know the end of every fire")

    def wait_for_runners(self, since):
        """Who runs what, once every task has run in the last two seconds."""

        def complete():
            runners = self.runners(max(since, now() - 2 * SECOND), now())
            if len(runners) < RATE:
                raise NotYet(f"{len(runners)} tasks have run")
            return runners

        return self._cluster.wait_for(complete, 30, "every task to run")


def wait_until_settled(cluster):
    """Until no task is on its way from one node to another: every fire from now on is its owner's."""

    def settled():
        allocation = cluster.api.get("/runtimes/demo/allocation")
        if allocation["previous"]:
            raise NotYet(f"epoch {allocation['epoch']} is not settled")
        return True

    cluster.wait_for(settled, 30, "the ring to settle")


def kill_one(cluster, history, name):
    """Kills a node: seconds until another one starts a fire of its tasks, what is LOST, and what is wrong with what moved."""
    wait_until_settled(cluster)
    before = history.wait_for_runners(now())
    orphaned = {task for task, node in before.items() if node == name}
    # A ring settles in step with the nodes' claims. A death does not, so it comes at any moment of the second in which a claim is raised.
    time.sleep(random.random())
    killed = now()
    cluster.nodes[name].kill()

    def gone_on():
        rows = history.rows("task_id, min(started_at)", "started_at > ? AND node_name != ? GROUP BY task_id", killed, name)
        first = [at for task, at in rows if task in orphaned]
        if len(first) < len(orphaned):
            raise NotYet(f"{len(first)} of its {len(orphaned)} tasks have gone on")
        return min(first)

    first = cluster.wait_for(gone_on, 30, f"the tasks of {name} to go on")
    wait_until_settled(cluster)
    after = history.wait_for_runners(now())
    moved = {task for task, node in after.items() if node != before[task]}
    lost = history.rows("task_id, fire_time", "state = 'LOST' AND fire_time > ?", killed - 3 * SECOND)
    # `done` follows within a second and a horizon reaches 1.6 ahead.
    strange = [task for task, at in lost if task not in orphaned or not killed - 1.5 * SECOND <= at <= killed + 1.7 * SECOND]
    cluster.nodes[name].start()
    cluster.wait_until_allocated(cluster.nodes)
    return {"seconds": (first - killed) / SECOND, "lost": len(lost), "lost_elsewhere": len(strange), "moved": len(moved),
            "moved_wrongly": len(moved ^ orphaned)}


def watch_calm(cluster, seconds):
    """Lets the time pass, and asks the center as often as who waits for a move does: these questions cost the machine something, too."""
    over = time.monotonic() + seconds

    def passed():
        cluster.wait_until_allocated(cluster.nodes)
        if time.monotonic() < over:
            raise NotYet("the time is not over")
        return True

    cluster.wait_for(passed, seconds + 30, "the time to pass")


def disturb(cluster, history, action, quiet_seconds=8):
    """Lateness while nothing moves and while `action` makes tasks move, and how the fires of that time ended."""
    quiet = now()
    watch_calm(cluster, quiet_seconds)
    begin = now()
    action()
    end = now() + SECOND  # its last second is measured, too
    first, last = begin // SECOND * SECOND, -(-end // SECOND) * SECOND  # fires are counted by whole seconds
    time.sleep((last - now()) / SECOND)
    ended = history.wait_until_complete(first, last)
    expected = RATE * (last - first) // SECOND
    return {"before_p90": percentile(history.lateness_ms(quiet, begin), 0.9), "during_p90": percentile(history.lateness_ms(begin, end), 0.9),
            "seconds": (end - begin) / SECOND, "expected": expected, "succeeded": ended.get("SUCCEEDED", 0), "ended": ended}


def starts_by(cluster, nodes):
    """All starts that these node processes have made: a fire that was started twice counts twice. Once nothing is due there any more."""

    def idle(node):
        status = node_status(node)
        if status["cloudtask_node_runs_prepared"] or status["cloudtask_node_runs_running"]:
            raise NotYet("it has runs")
        return status

    idle_nodes = [cluster.wait_for(lambda node=node: idle(node), 30, f"{node.name} to be idle") for node in nodes]
    return sum(int(status["cloudtask_node_runs_started_total"]) for status in idle_nodes)


def zookeeper_writes_per_second(cluster, seconds):
    """Transactions that ZooKeeper has committed: its zxid counts them."""

    def zxid():
        return int(next(line for line in cluster.zookeeper.srvr().splitlines() if line.startswith("Zxid:")).split()[1], 16)

    begin, at = zxid(), time.monotonic()
    time.sleep(seconds)  # the measured time itself
    return (zxid() - begin) / (time.monotonic() - at)


# --- the sections


def tasks_move(bench, cluster):
    names = [f"bench-{number}" for number in (1, 2, 3)]
    bench.start(cluster, names)
    beats = Beats(cluster, "move", RATE)
    beats.enable(RATE)
    history = History(cluster)
    if bench.wanted("failover"):
        failover(bench, cluster, history, names)
    if bench.wanted("moves"):
        joins_and_leaves(bench, cluster, history, beats)


def failover(bench, cluster, history, names):
    rounds = 3 if bench.quick else 10
    head(f"SIGKILL of one of three nodes at {RATE} fires/s, {rounds} times; sessions of 1 s")
    found = [kill_one(cluster, history, names[number % len(names)]) for number in range(rounds)]
    bench.results["failover"] = found
    seconds = [one["seconds"] for one in found]
    table(("", "median", "max"), [("from the kill to the first fire by a new owner, s", figure(median(seconds)), figure(max(seconds)))])
    say(f"  {bound(median(seconds), 1.75, 's')}")
    say(f"  tasks that moved {sum(one['moved'] for one in found)}, of these not the dead node's, or its and not moved: "
        f"{sum(one['moved_wrongly'] for one in found)}; LOST {sum(one['lost'] for one in found)}, of these not claimed by it: "
        f"{sum(one['lost_elsewhere'] for one in found)}")


def joins_and_leaves(bench, cluster, history, beats):
    rounds = 2 if bench.quick else 5
    head(f"{rounds} joins, drains and rolling restarts at {RATE} fires/s")
    beats.enable(0)
    before = starts_by(cluster, cluster.nodes.values())
    begin = now()
    beats.enable(RATE)
    gone = 0  # starts by nodes that have left
    found = {"join": [], "drain": [], "rolling restart": []}
    for number in range(rounds):
        name = f"bench-new-{number + 1}"
        found["join"].append(disturb(
            cluster, history, lambda name=name: (cluster.start_node(name), cluster.wait_until_allocated(cluster.nodes))))
        found["drain"].append(disturb(cluster, history, lambda name=name: cluster.cli("node", "drain", f"{RUNTIME}/{name}")))
        gone += starts_by(cluster, [cluster.nodes[name]])
        cluster.nodes.pop(name).stop()
    beats.enable(0)
    started = starts_by(cluster, cluster.nodes.values()) + gone - before
    known = len(history.rows("1", "started_at >= ?", begin))
    beats.enable(RATE)

    def restart_all():
        for name in ("bench-1", "bench-2", "bench-3"):
            cluster.nodes[name].stop()
            cluster.start_node(name)
            cluster.wait_until_allocated(["bench-1", "bench-2", "bench-3"])

    found["rolling restart"] = [disturb(cluster, history, restart_all) for _ in range(rounds)]
    bench.results["moves"] = {**found, "started_by_nodes": started, "started_in_history": known}
    rows = []
    for name, all_of_it in found.items():
        ratios = sorted(one["during_p90"] / one["before_p90"] for one in all_of_it)
        rows.append((name, figure(median([one["seconds"] for one in all_of_it])), sum(one["expected"] for one in all_of_it),
                     sum(one["succeeded"] for one in all_of_it), figure(median([one["before_p90"] for one in all_of_it])),
                     figure(median([one["during_p90"] for one in all_of_it])), f"{median(ratios):.2f} x", f"{ratios[0]:.2f} to {ratios[-1]:.2f}"))
    table(("medians", "s", "fires in all", "succeeded", "p90 before, ms", "p90 during", "ratio", "of each"), rows)
    say(f"  joins and drains: the nodes count {started} starts, the history {known}")


def writes(bench, cluster):
    head(f"ZooKeeper's writes a second with 100 tasks and with {MANY:,}; three nodes, 100 fires/s in both")
    bench.start(cluster, ["bench-1", "bench-2", "bench-3"])
    template = cluster.make_task("template", [{"cron": "0 0 * * *", "zone": "Europe/Berlin"}], command=["/bin/true"])
    beats = Beats(cluster, "beat", 100)
    beats.enable(100)
    seconds = 15 if bench.quick else 60
    few = zookeeper_writes_per_second(cluster, seconds)
    for server in (*cluster.nodes.values(), cluster.center):
        server.stop()
    fill_catalog(cluster, template, MANY)
    cluster.start_center()
    for name in cluster.nodes:
        cluster.start_node(name)
    cluster.wait_until_allocated(cluster.nodes)

    def own_all():
        owned = sum(node_status(node)["cloudtask_node_owned_tasks"] for node in cluster.nodes.values())
        if owned < MANY:
            raise NotYet(f"the nodes own {owned} tasks")
        return True

    cluster.wait_for(own_all, 120, f"the nodes to own {MANY} tasks")
    many = zookeeper_writes_per_second(cluster, seconds)
    beats.enable(0)
    idle = zookeeper_writes_per_second(cluster, seconds / 2)
    bench.results["writes"] = {"few": few, "many": many, "idle": idle}
    table(("", "writes/s"), [("100 tasks", figure(few)), (f"{MANY:,} tasks", figure(many)), ("ratio", ratio(many, few)), (f"{MANY:,} tasks, none due", figure(idle))])
