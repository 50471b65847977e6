"""What a run of chaos found, as one page for people, and a timeline around each fire that is wrong."""

import collections
import dataclasses
import os
import re
import statistics
import time

import reference
import zookeeper_log
from exclusion import Absence
from fire_checker import EARLY, Change, Entry, Evidence, Story, Verdict
from faults import Fault
from policies import Policies
from sink import Line
from world import SESSION_SECONDS

SECOND = reference.SECOND
LATE_SECONDS = 1.0
TAKEOVER_SECONDS = SESSION_SECONDS + 0.5  # the bound on a kill's effect: docs/architecture.md
AROUND_SECONDS = 15
CALM_SECONDS = 4.0
MOST_TIMELINES = 40


@dataclasses.dataclass
class Findings:
    options: object  # chaos.Options
    after: int
    until: int
    stories: list
    evidence: Evidence
    faults: list  # that were played
    verdict: Verdict
    problems: list  # beside the fires: crashes, changes that were refused

    def good(self):
        return not self.verdict.offences and not self.problems and self.verdict.expected > 0

    def to_json(self):
        return {"options": dataclasses.asdict(self.options), "after": self.after, "until": self.until, "problems": self.problems, "evidence": dataclasses.asdict(self.evidence),
                **{name: [dataclasses.asdict(item) for item in getattr(self, name)] for name in ("stories", "faults")}}

    @staticmethod
    def from_json(value):
        from chaos import Options  # it uses this module

        stories = [Story(**{**story, "changes": [Change(**change) for change in story["changes"]], "policies": Policies(**story["policies"])})
                   for story in value["stories"]]
        told = value["evidence"]
        evidence = Evidence([Line(**line) for line in told["lines"]], [Entry(**entry) for entry in told["entries"]], told["ends"],
                            [Absence(**absence) for absence in told["absences"]])
        return Findings(Options(**value["options"]), value["after"], value["until"], stories, evidence,
                        [Fault(**fault) for fault in value["faults"]], Verdict(), value["problems"])


# --- the page


def render(findings):
    verdict, options = findings.verdict, findings.options
    seconds = (findings.until - findings.after) / SECOND
    late = [late for _, late in verdict.lateness]
    calm = [late for fire, late in verdict.lateness if not any(near(fault, fire) for fault in findings.faults)]
    tasks = {story.task.split("#")[0]: story for story in findings.stories}
    changes = sum(1 for story in tasks.values() for change in story.changes[1:] if change.since < findings.until)
    takeovers, unclear = takeover_times(findings)
    have_to_wait = {story.task for story in findings.stories if story.alone}
    alone = sum(1 for line in findings.evidence.lines if line.task in have_to_wait and line.run in findings.evidence.ends)
    rows = [
        "# Chaos report",
        "",
        f"Made by `scripts/chaos --minutes {options.seconds / 60:g} --seed {options.seed}` on {time.strftime('%Y-%m-%d', time.gmtime())}: real processes on "
        f"one machine ({machine()}).",
        f"{options.nodes} nodes, {'one ZooKeeper server' if options.zookeepers == 1 else f'an ensemble of {options.zookeepers} ZooKeeper servers'} "
        f"(sessions of {SESSION_SECONDS:g} s, ticks of 0.25 s), one center, {len(tasks)} tasks, {changes} changes of their definitions, "
        f"{seconds:.0f} s of fires.",
        "",
        "Each task appends a line to a file of its own accord. A checker in Python, which shares no code with the scheduler, computes from the",
        "definitions what was due, and matches it with these lines and with the center's history, fire by fire.",
        "",
        f"**{verdict.count('double')} doubles, {verdict.count('overlap')} overlaps, {verdict.count('unexplained')} unexplained, "
        f"{verdict.count('early')} before their time.**"
        + (" What follows shows a fault of the scheduler." if verdict.offences else ""),
        "",
        "| fires | |",
        "|---|---:|",
        f"| expected | {verdict.expected} |",
        f"| started | {verdict.ran} |",
        f"| of these more than {LATE_SECONDS:g} s late | {sum(1 for each in late if each > LATE_SECONDS * SECOND)} |",
        f"| started again by `at_least_once` (attempt 2 and on) | {verdict.rerun} |",
        f"| started again by `retry` | {verdict.retried} |",
        f"| not started, with the reason in the history | {sum(verdict.explained.values())} |",
        f"| of these told by an entry that stands for many | {verdict.covered} |",
        f"| LOST in the history although they were started (\"may have been started\") | {verdict.lost_but_ran} |",
        f"| `at_least_once`, LOST and not started again | {verdict.unfulfilled} |",
        f"| started while a change of their task was on its way, owed by only one of both versions | {verdict.not_owed} |",
        f"| started twice | {verdict.count('double')} |",
        f"| runs that told of begin and end, as they may not overlap (`forbid`, `mutex`) | {alone} |",
        f"| of these begun before the end of one that they had to wait for | {verdict.count('overlap')} |",
        f"| started more than {EARLY / SECOND:g} s before their time | {verdict.count('early')} |",
        f"| unexplained | {verdict.count('unexplained')} |",
        "",
        "| lateness of starts | p50 | p90 | p99 |",
        "|---|---:|---:|---:|",
        f"| all | {percentiles(late)} |",
        f"| fires with no fault within {CALM_SECONDS:g} s | {percentiles(calm)} |",
        "",
        f"From the SIGKILL of a node to the first start of one of its tasks by another node (bound {TAKEOVER_SECONDS:g} s; {len(takeovers)} kills that no other "
        f"fault came close to, {unclear} others): "
        + (f"median {statistics.median(takeovers):.2f} s, longest {max(takeovers):.2f} s, "
           f"{sum(1 for each in takeovers if each > TAKEOVER_SECONDS)} beyond the bound." if takeovers else "none."),
        "",
        "| why a fire was not started | fires |",
        "|---|---:|",
        *(f"| {reason} | {count} |" for reason, count in verdict.explained.most_common()),
        "",
        "| fault | times | seconds |",
        "|---|---:|---:|",
        *(f"| {kind} | {len(spans)} | {sum(spans):.0f} |" for kind, spans in sorted(by_kind(findings.faults).items())),
        "",
    ]
    if findings.problems:
        rows += ["What else went wrong:", "", *(f"- {problem}" for problem in findings.problems[:20]), ""]
    if verdict.offences:
        names = {story.task: story.name for story in findings.stories}
        rows += ["Fires that are wrong (the first ones):", ""]
        rows += [f"- {each.kind}: {names.get(each.task, each.task)} at {reference.format_instant(each.fire)}: {each.text}" for each in worst_first(verdict.offences)[:30]]
        rows += [""]
    return "\n".join(rows)


def worst_first(offences):
    return sorted(offences, key=lambda offence: (("double", "overlap", "unexplained", "early").index(offence.kind), offence.fire))


def percentiles(values):
    if len(values) < 2:
        return "- | - | -"
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return " | ".join(f"{cuts[percent - 1] / 1000:.1f} ms" for percent in (50, 90, 99))


def near(fault, instant, seconds=CALM_SECONDS):
    return fault.began - seconds <= instant / SECOND <= (fault.ended or time.time()) + seconds


def by_kind(faults):
    spans = collections.defaultdict(list)
    for fault in faults:
        spans[fault.kind].append((fault.ended or time.time()) - fault.began)
    return spans


def takeover_times(findings):
    """(seconds from each kill of a node to the first start by another node of a task that was its, how many kills cannot be judged)."""
    runs = collections.defaultdict(list)  # {task: (clock, node)}
    for line in sorted(findings.evidence.lines, key=lambda line: line.clock):
        runs[line.task].append((line.clock / SECOND, line.node))
    times, unclear = [], 0
    for fault in findings.faults:
        if fault.kind != "node killed, back after the session time-out":
            continue
        first = None
        for starts in runs.values():
            before = [node for clock, node in starts if clock < fault.began]
            after = [(clock, node) for clock, node in starts if clock > fault.began]
            if before and after and before[-1] == fault.target:
                moved = next((clock for clock, node in after if node != fault.target), None)
                if moved is not None and (first is None or moved < first):
                    first = moved
        others = [other for other in findings.faults if other is not fault and other.began < fault.began + 2 * TAKEOVER_SECONDS
                  and (other.ended or time.time()) + 4 * SESSION_SECONDS > fault.began]
        if others or first is None or first > fault.ended:
            unclear += 1
        else:
            times.append(first - fault.began)
    return times, unclear


def machine():
    """Cores, memory and kernel."""
    with open("/proc/meminfo", encoding="ascii") as file:
        kilobytes = int(re.search(r"MemTotal:\s+(\d+)", file.read()).group(1))
    return f"{os.cpu_count()} cores, {kilobytes / 1048576:.0f} GiB of memory, Linux {os.uname().release}"


# --- timelines


def write_timelines(findings, folder):
    """One file for each fire that is wrong, with all that was seen around it."""
    place = os.path.join(folder, "timelines")
    os.makedirs(place, exist_ok=True)
    written = zookeeper_log.read(os.path.join(folder, "cluster", "zookeeper"))
    with open(os.path.join(place, "zookeeper.txt"), "w", encoding="utf-8") as file:
        file.writelines(f"{reference.format_instant(instant)} {text}\n" for instant, text in written)
    logs = read_logs(os.path.join(folder, "cluster", "logs"))
    stories = {story.task: story for story in findings.stories}
    for number, offence in enumerate(worst_first(findings.verdict.offences)[:MOST_TIMELINES], 1):
        story = stories.get(offence.task)
        name = story.name if story else offence.task
        with open(os.path.join(place, f"{number:03}-{offence.kind}-{name}.txt"), "w", encoding="utf-8") as file:
            file.write(f"{offence.kind}: {name} ({offence.task}), fire {reference.format_instant(offence.fire)}\n{offence.text}\n\n")
            for change in story.changes if story else []:
                file.write(f"defined from {reference.format_instant(change.since)}, surely from {reference.format_instant(change.settled)}: "
                           f"{change.text} {change.schedules}\n")
            file.write("\n")
            file.writelines(f"{when} {text}\n" for when, text in around(findings, logs, offence))


def around(findings, logs, offence):
    """(time, text) of everything near the fire, in order."""
    found = []

    def add(instant, text):
        if abs(instant - offence.fire) <= AROUND_SECONDS * SECOND:
            found.append((reference.format_instant(int(instant)), text))

    for fault in findings.faults:
        if near(fault, offence.fire, AROUND_SECONDS):
            found.append((reference.format_instant(int(fault.began * SECOND)), f"FAULT {fault.describe()} begins"))
            found.append((reference.format_instant(int((fault.ended or fault.began) * SECOND)), f"FAULT {fault.kind} of {fault.target} is over"))
    for line in findings.evidence.lines:
        if line.task == offence.task:
            add(line.clock, f"STARTED fire {reference.format_instant(line.fire)} attempt {line.attempt} on {line.node}, epoch {line.epoch}, run {line.run}")
    for entry in findings.evidence.entries:
        if entry.task == offence.task:
            add(entry.fire, f"HISTORY fire {reference.format_instant(entry.fire)} attempt {entry.attempt} {entry.state} by {entry.node}: {entry.reason}")
    add(offence.fire, "THE FIRE THAT IS WRONG")
    for instant, text in logs:
        add(instant, text)
    return sorted(found)


def read_logs(folder):
    """(instant, text) of every line of the servers' logs. A node whose clock was stepped writes the time that it believes."""
    found = []
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        if name.endswith(".log"):
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
                for text in file:
                    stamp, _, rest = text.partition(" ")
                    try:
                        found.append((reference.parse_instant(stamp), f"{name[:-4]}: {rest.rstrip()}"))
                    except ValueError:
                        pass
    return found
