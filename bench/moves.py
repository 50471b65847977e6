"""What it costs when tasks move: a node that dies, joins, is drained, or restarts, under 300 fires of /bin/true a second; and what the number
of tasks costs ZooKeeper. Three nodes, each fire in the center's history, sessions of 1 s.

Reads the center's database while the center runs, as load.py does.
"""

import os
import signal
import sqlite3
import time

from cluster import NotYet
from load import Beats, median, percentile

RATE = 300
SESSION = 1.0  # seconds; what the cluster was started with


class History:
    """The runs of scheduled fires, as the center knows them."""

    def __init__(self, cluster):
        self._path = os.path.join(cluster.center.data, "center.db")

    def rows(self, columns, condition, *arguments):
        connection = sqlite3.connect(f"file:{self._path}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(f"SELECT {columns} FROM runs WHERE fire_time IS NOT NULL AND {condition}", arguments).fetchall()
        finally:
            connection.close()

    def owners(self, begin, end):
        """The node that ran each task's fires of that time, by task; a task with two nodes has the later one."""
        return dict(self.rows("task_id, node_name", "fire_time >= ? AND fire_time < ? AND state != 'LOST' ORDER BY fire_time", begin, end))

    def lateness(self, begin, end):
        """Of all fires that were due then, in ms."""
        return [late / 1000 for (late,) in self.rows("lateness", "fire_time >= ? AND fire_time < ? AND lateness IS NOT NULL", begin, end)]

    def outcome(self, begin, end):
        """How many fires of that time are known, and how many of them in each state."""
        states = [state for (state,) in self.rows("state", "fire_time >= ? AND fire_time < ? AND attempt = 1", begin, end)]
        return {state: states.count(state) for state in sorted(set(states))}


def now():
    return time.time_ns() // 1000


def started(cluster):
    """Runs that the living node processes have started."""
    return sum(int(node.status()["cloudtask_node_runs_started_total"]) for node in cluster.nodes.values() if node.running())


def await_history(cluster, history, begin, end, expected):
    """Until the center knows the end of all fires of that time; what it knows then."""

    def all_known():
        found = history.outcome(begin, end)
        if sum(found.values()) < expected or "RUNNING" in found or "PENDING" in found:
            raise NotYet(f"the center knows {found} of {expected}")
        return found

    return cluster.wait_for(all_known, 30, "the center to know the end of every fire")


def failover(cluster, history, rounds):
    """Kills a node `rounds` times; for each the seconds until a new owner starts a fire, and what is wrong."""
    gaps, faults, lost = [], [], 0
    names = sorted(cluster.nodes)
    for number in range(rounds):
        victim = cluster.nodes[names[number % len(names)]]
        before = now() - 3_000_000
        owners = history_once_known(cluster, history, before)
        killed = now()
        victim.send(signal.SIGKILL)
        victim.wait_until_ended(10)
        moving = {task for task, node in owners.items() if node == victim.name}

        def taken_over():
            rows = history.rows("task_id, min(started_at)", "fire_time > ? AND node_name != ? AND started_at IS NOT NULL GROUP BY task_id", killed, victim.name)
            first = {task: at for task, at in rows if task in moving}
            if len(first) < len(moving):
                raise NotYet(f"{len(first)} of {len(moving)} tasks have gone on")
            return first

        first = cluster.wait_for(taken_over, 30, f"the tasks of {victim.name} to go on")
        gaps.append((min(first.values()) - killed) / 1e6)
        settled = now()
        cluster.wait_for(lambda: known_up_to(history, settled), 30, "the center to know of them")
        after = history.owners(settled - 1_000_000, settled)
        moved = {task for task, node in after.items() if owners.get(task) not in (None, node)}
        if not moved <= moving:
            faults.append(f"{len(moved - moving)} tasks moved that were not {victim.name}'s")
        gone = history.rows("fire_time, task_id", "state = 'LOST' AND fire_time >= ? AND fire_time < ?", before, settled)
        lost += len(gone)
        strange = [row for row in gone if row[1] not in moving or not killed - 2_000_000 <= row[0] <= killed + 2_500_000]
        if strange:
            faults.append(f"{len(strange)} fires are LOST that the dead node cannot have claimed")
        victim.start()
        cluster.wait_until_allocated(names)
    return gaps, lost, faults


def known_up_to(history, instant):
    if not history.rows("1", "fire_time >= ? LIMIT 1", instant):
        raise NotYet("no later fire is known")
    return True


def history_once_known(cluster, history, since):
    """Who runs what, once a second's fires of all tasks are known."""

    def complete():
        end = now() - 500_000
        owners = history.owners(max(since, end - 2_000_000), end)
        if len(owners) < RATE:
            raise NotYet(f"the owners of {len(owners)} tasks are known")
        return owners

    return cluster.wait_for(complete, 30, "fires of all tasks")


def disturbed(cluster, history, action, seconds=6):
    """Lateness before and while `action` moves tasks, and the fires that were lost, doubled or not there."""
    quiet = now()
    time.sleep(seconds)  # the measured time itself
    begin = now()
    counted = started(cluster)
    action()
    time.sleep(1)  # fires that are due as the last of it happens belong to it
    end = now()
    outcome = await_history(cluster, history, begin, end, 0)
    cluster.wait_for(lambda: known_up_to(history, end + 1_000_000), 30, "the center to know of later fires")
    outcome = history.outcome(begin, end)
    expected = RATE * (end - begin) / 1e6
    runs = history.rows("count(*)", "started_at IS NOT NULL AND started_at >= ?", begin)[0][0]
    return {"before_p90": percentile(history.lateness(quiet, begin), 0.9), "during_p90": percentile(history.lateness(begin, end), 0.9),
            "expected": round(expected), "known": sum(outcome.values()), "outcome": outcome, "seconds": (end - begin) / 1e6,
            "started_by_nodes": started(cluster) - counted, "runs_known": runs}


def writes_per_second(cluster, seconds):
    """Transactions that ZooKeeper committed: its zxid counts them."""

    def zxid():
        line = next(line for line in cluster.zookeeper.srvr().splitlines() if line.startswith("Zxid:"))
        return int(line.split()[1], 16)

    begin, at = zxid(), time.monotonic()
    time.sleep(seconds)  # the measured time itself
    return (zxid() - begin) / (time.monotonic() - at)


__all__ = ["RATE", "SESSION", "History", "Beats", "failover", "disturbed", "writes_per_second", "median"]
