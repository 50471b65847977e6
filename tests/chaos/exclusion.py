"""Runs that must not overlap: those of a task that forbids it, and those under one mutex. By what the tasks themselves told of their begin and end.

Part of the checker (fire_checker.py): pure, and without code of the scheduler.
"""

import collections
import dataclasses


# What began so much after its fire had waited for something.
WAITED = 500_000


@dataclasses.dataclass(frozen=True)
class Overlap:
    line: object  # the sink.Line that began too soon
    text: str


@dataclasses.dataclass(frozen=True)
class Absence:
    """A time in which a node may have had no session with ZooKeeper, and the others took it for dead."""

    node: str  # its name; empty: every node
    begin: int
    end: int
    waiting_only: bool = False  # only what had waited may have begun beside others: it does so where the task is another node's by then


def overlaps(alone, evidence):
    """Each start that fell into a run which it had to wait for, once.

    `alone`: {task: what its runs have to themselves}, a name that others may share. `evidence`: a fire_checker.Evidence. A run that did not tell of its end
    was killed, and counts no longer than its begin. Nor does a run that the history has LOST, and between two nodes nothing does while one of them was
    absent: what goes on over there nobody can know.
    """
    lost = {entry.run for entry in evidence.entries if entry.state == "LOST"}
    by_name = collections.defaultdict(list)
    for line in evidence.lines:
        if line.task in alone and line.run not in lost:
            by_name[alone[line.task]].append(line)
    found = []
    for name, starts in sorted(by_name.items()):
        starts.sort(key=lambda line: line.clock)
        longest, until = None, 0
        for line in starts:
            if line.clock < until and not _apart(longest, line, evidence.absences):
                found.append(Overlap(line, f"attempt {line.attempt} began on {line.node} {(until - line.clock) / 1e6:.3f} s before the end of run {longest.run} on "
                                           f"{longest.node}, though both need {name}"))
            end = evidence.ends.get(line.run, line.clock)
            if end > until:
                longest, until = line, end
    return found


def _apart(first, second, absences):
    """Whether the two ran on different nodes, one of which was absent between their begins."""
    nodes = {first.node, second.node}
    waited = second.clock > second.fire + WAITED
    return len(nodes) == 2 and any(each.begin <= second.clock and first.clock <= each.end and (waited or not each.waiting_only)
                                   for each in absences if each.node in nodes or not each.node)
