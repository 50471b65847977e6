"""The checker: what should have been started (by the definitions and the reference implementation of their schedules), what was (the sink), and what
the scheduler says of it (the history), matched fire by fire. Pure; shares no code with the scheduler.

A definition counts from the instant at which its change may have been in force; the one before it counts up to the instant from which on it cannot be in
force any more. Between the two instants both may: what only one of them yields may be started or not. What every definition yields that may be in
force at that time must be accounted for: in the sink, or in the history with a reason.
"""

import collections
import dataclasses
import re

import policies as rules
import reference
from exclusion import overlaps

FOREVER = 1 << 62
# A node whose clock is ahead by less than the bound (5 s by default) takes part, and starts early by so much.
EARLY = 5_500_000
ENDED = ("SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED", "LOST", "SKIPPED")


@dataclasses.dataclass
class Change:
    """One change of a task's definition, as who made it knows it."""

    since: int  # not in force before
    settled: int  # what was there before is not in force any more afterwards
    schedules: list  # as given to the API; empty while the task is disabled
    text: str = ""
    seen: bool = False  # by every node at `settled`, as they said themselves


@dataclasses.dataclass
class Story:
    """All that was ever defined of one task, or of one shard of it. The first change made it."""

    task: str  # its id, or sink.shard_name()
    name: str
    at_least_once: bool = False
    changes: list = dataclasses.field(default_factory=list)
    policies: rules.Policies = dataclasses.field(default_factory=rules.Policies)
    alone: str = ""  # what its runs have to themselves: a mutex, or the task; empty: they may overlap


@dataclasses.dataclass(frozen=True)
class Entry:
    """One entry of the history, in the center's words."""

    task: str
    fire: int
    attempt: int
    state: str
    reason: str = ""
    node: str = ""
    covers_until: int = 0  # it accounts for all fires of the task up to here
    exit_code: int = None
    run: str = ""  # the id of the attempt's run


@dataclasses.dataclass
class Evidence:
    """What there is to judge by."""

    lines: list  # sink.Line
    entries: list  # Entry
    ends: dict = dataclasses.field(default_factory=dict)  # {run: instant} of the runs that told of their end
    absences: list = dataclasses.field(default_factory=list)  # exclusion.Absence


@dataclasses.dataclass(frozen=True)
class Offence:
    """A fire that breaks the promise. `kind`: double, overlap, unexplained or early."""

    kind: str
    task: str
    fire: int
    text: str


@dataclasses.dataclass
class Verdict:
    expected: int = 0  # fires that had to be accounted for
    ran: int = 0  # of these, in the sink
    rerun: int = 0  # attempts after the first, in the sink, of tasks without retries
    retried: int = 0  # the same, of tasks with retries
    lost_but_ran: int = 0  # LOST in the history, and in the sink: "may have been started"
    unfulfilled: int = 0  # asked for at least once, LOST, in the sink with no attempt, and the history has no further one
    not_owed: int = 0  # in the sink, yielded by only one of two definitions at a time at which both may have been in force
    explained: collections.Counter = dataclasses.field(default_factory=collections.Counter)  # not in the sink: {state and reason: fires}
    covered: int = 0  # of these, by an entry that stands for many
    lateness: list = dataclasses.field(default_factory=list)  # (fire, microseconds) of each first attempt
    offences: list = dataclasses.field(default_factory=list)

    def count(self, kind):
        return sum(1 for offence in self.offences if offence.kind == kind)


def check(stories, evidence, after, until):
    """The verdict on all fires in (after, until]; doubles, overlaps and early starts are looked for in everything that the sink has."""
    verdict = Verdict()
    lines, entries = evidence.lines, evidence.entries
    started = collections.defaultdict(list)  # {(task, fire): lines}
    for line in lines:
        started[line.task, line.fire].append(line)
    told = collections.defaultdict(list)  # {(task, fire): entries}
    covering = collections.defaultdict(list)  # {task: entries}
    seen = collections.defaultdict(set)  # {task: fires of the window that the sink or the history has}
    for entry in entries:
        told[entry.task, entry.fire].append(entry)
        if entry.covers_until:
            covering[entry.task].append(entry)
    known = {story.task: story for story in stories}
    for (task, fire), found in sorted(started.items()):
        _check_starts(verdict, known.get(task), task, fire, found)
    for found in overlaps({story.task: story.alone for story in stories if story.alone}, evidence):
        verdict.offences.append(Offence("overlap", found.line.task, found.line.fire, found.text))
    for task, fire in [*started, *told]:
        if after < fire <= until:
            seen[task].add(fire)
    for story in stories:
        owed, possible = fires_of(story, after, until)
        for fire in sorted(owed | seen[story.task]):
            _check_fire(verdict, story, fire, fire in owed, fire in possible, started.get((story.task, fire), []),
                        told.get((story.task, fire), []), covering[story.task])
    return verdict


def fires_of(story, after, until):
    """(owed, possible): fires in (after, until] that have to be accounted for, and those that may be started at all."""
    yields = collections.defaultdict(set)  # {fire: numbers of the definitions that yield it}
    spans = []
    for number, change in enumerate(story.changes):
        last = story.changes[number + 1].settled if number + 1 < len(story.changes) else FOREVER
        spans.append((change.since, last))
        for fire in reference.fires(change.schedules, max(after, change.since - 1), min(until, last)):
            yields[fire].add(number)
    owed = set()
    for fire, numbers in yields.items():
        in_force = {number for number, (first, last) in enumerate(spans) if first <= fire <= last}
        if numbers >= in_force and fire > story.changes[0].settled:
            owed.add(fire)
    return owed, set(yields)


def _check_starts(verdict, story, task, fire, lines):
    """No run twice, no attempt beyond those that the task asks for, and nothing before its time."""
    runs = collections.Counter(line.run for line in lines)
    attempts = collections.Counter(line.attempt for line in lines)
    most = story.policies.attempts if story else 1
    again = story is not None and story.at_least_once
    where = ", ".join(f"attempt {line.attempt} on {line.node} at {reference.format_instant(line.clock)}" for line in lines)
    # The second attempt may be one by its own node, as the first failed, and one by another node, as that one died.
    if any(count > 1 for count in runs.values()) or (not (again and most > 1) and any(count > 1 for count in attempts.values())):
        verdict.offences.append(Offence("double", task, fire, f"started more than once: {where}"))
    elif len(attempts) > most and not again:
        verdict.offences.append(Offence("double", task, fire, f"started again, more often than was asked for: {where}"))
    soonest = min(lines, key=lambda line: line.clock)
    if soonest.clock < fire - EARLY:
        verdict.offences.append(Offence("early", task, fire, f"started {(fire - soonest.clock) / 1e6:.1f} s too early on {soonest.node}"))
    if story is None:
        verdict.offences.append(Offence("unexplained", task, fire, f"nobody defined this task: {where}"))


def _check_fire(verdict, story, fire, owed, possible, lines, entries, covering):
    def unexplained(text):
        verdict.offences.append(Offence("unexplained", story.task, fire, text))

    told = {entry.run for entry in entries}
    first = [line for line in lines if line.attempt == 1]
    if story.policies.attempts > 1:
        verdict.retried += len(lines) - len(first)
    else:
        verdict.rerun += len(lines) - len(first)
    if first:
        verdict.lateness.append((fire, first[0].clock - fire))
    if owed:
        verdict.expected += 1
        verdict.ran += 1 if lines else 0
    elif lines:
        verdict.not_owed += 1
    if not possible:
        states = [f"{entry.state} by {entry.node}" for entry in entries]
        return unexplained(f"no definition that may have been in force yields it; {len(lines)} starts, history: {states or 'nothing'}")
    for line in lines:
        if line.run not in told:
            return unexplained(f"attempt {line.attempt} was started on {line.node}, and the history never had it")
    for entry in entries:
        problem = _contradiction(entry, [line for line in lines if line.run == entry.run])
        if problem:
            return unexplained(problem)
        if entry.state == "LOST" and any(line.run == entry.run for line in lines):
            verdict.lost_but_ran += 1
    problem = rules.problem(story.policies, story.at_least_once, fire, lines, entries)
    if problem:
        return unexplained(problem)
    if lines:
        return None
    if owed and story.at_least_once and entries and _last(entries).state == "LOST":
        verdict.unfulfilled += 1
    if entries:
        verdict.explained[_class_of(_last(entries))] += 1 if owed else 0
    elif owed:
        cover = next((entry for entry in covering if entry.fire <= fire <= entry.covers_until), None)
        if not cover:
            return unexplained("neither started nor in the history")
        verdict.covered += 1
        verdict.explained[_class_of(cover)] += 1
    return None


def _contradiction(entry, lines):
    """What is wrong between an entry and the starts of that attempt; nothing if they agree."""
    what = f"attempt {entry.attempt} is {entry.state} in the history (by {entry.node or 'nobody'}; {entry.reason or 'no reason'})"
    if entry.state not in ENDED:
        return f"{what}, long after its end"
    if lines and entry.state == "SKIPPED":
        return f"{what}, but it was started on {lines[0].node}"
    if not lines and (entry.state == "SUCCEEDED" or (entry.state != "LOST" and entry.exit_code is not None)):
        return f"{what}, but nothing was started"
    if not lines and not entry.reason:
        return f"{what}, which does not say why it was not started"
    return None


def _last(entries):
    return max(entries, key=lambda entry: entry.attempt)


def _class_of(entry):
    """State and reason without what differs from fire to fire."""
    reason = entry.reason
    for pattern, name in ((r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"), (r"\d+(min|ms|us|s|m|h)(\d+(ms|us|s))*", "T"), (r"node-[0-9]+", "NODE"),
                          (r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "RUN"), (r"\btask-[0-9]+", "TASK"), (r"mutex-[0-9]+", "MUTEX")):
        reason = re.sub(pattern, name, reason)
    return f"{entry.state}: {reason}"
