"""Chaos on real processes: a cluster under load, faults by seed, and a proof of every fire afterwards. Started by scripts/chaos.

The order of things: servers, tasks, faults and changes side by side, everything healed, every task disabled, everything that is still on its way
awaited, then the checker (fire_checker.py) and the report (report.py). Exit 1 if a fire was started twice, before its time, into a run that it
has to wait for, or is unexplained.
"""

import argparse
import dataclasses
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "support"))

import fire_checker  # noqa: E402
from exclusion import Absence  # noqa: E402
import faults  # noqa: E402
import reference  # noqa: E402
import report  # noqa: E402
import sink  # noqa: E402
import workload as workloads  # noqa: E402
from api import ApiError  # noqa: E402
from cluster import ROOT, RUNTIME, NotYet  # noqa: E402
from gate import Gates  # noqa: E402
from processes import wait_for  # noqa: E402
from world import SESSION_SECONDS, World  # noqa: E402

QUIET_SECONDS = 5  # after the last fire that is checked, before the tasks are disabled
PATIENCE = 90  # for reports that are on their way
IN_VAIN = 4  # times that looking again has shown nothing new


@dataclasses.dataclass
class Options:
    seed: int
    seconds: float = 300
    nodes: int = 5
    zookeepers: int = 3
    rate: float = 80
    change_period: float = 2.0


class Chaos:
    """One run. `folder` holds all its data; `say` takes lines of text."""

    def __init__(self, options, folder, say=print):
        self.options, self.folder, self._say = options, folder, say
        self._began = time.time()
        self._log = open(os.path.join(folder, "faults.log"), "a", encoding="utf-8", buffering=1)  # noqa: SIM115
        self.crashes = []  # servers that ended though nobody ended them

    def log(self, text):
        self._log.write(f"{reference.format_instant(workloads.now())} {text}\n")

    def say(self, text):
        self.log(text)
        self._say(f"{time.time() - self._began:7.1f} s  {text}")

    def run(self):
        """The report.Findings of it."""
        options = self.options
        sink_path = os.path.join(self.folder, "sink.txt")
        with Gates() as gates, World(os.path.join(self.folder, "cluster"), gates, options.zookeepers) as world:
            world.start(options.nodes)
            self.say(f"{options.nodes} nodes, {options.zookeepers} ZooKeeper server(s), center; seed {options.seed}")
            if not world.can_step_clocks():
                self.say("no clock is stepped: libfaketime is not installed (scripts/bootstrap installs it)")
            work = workloads.Workload(options.seed, sink_path, options.rate, options.seconds, list(world.nodes))
            work.make_all(world.api)
            self.say(f"{len({workloads.id_of(story) for story in work.stories})} tasks")
            newest = work.newest_revision()
            world.wait_for(lambda: all(world.catalog_revision(name) >= newest for name in world.nodes), 30, "every node to know every task")
            work.all_is_known()
            world.wait_for(lambda: os.path.getsize(sink_path) > 1000, 30, "the first fires")
            after = workloads.now()
            work.start_changing(world.api, options.change_period)
            try:
                player = self.play(world)
            finally:
                work.stop_changing()
            until = self.come_to_rest(world, work)
            workloads.settle(work.stories, disturbances(player.played), list(world.nodes))
            findings = self.find(world, work, player.played, sink_path, after, until)
        self.save(findings)
        return findings

    def play(self, world):
        planned = faults.plan(self.options.seed, self.options.seconds, list(world.nodes), self.options.zookeepers > 1, world.can_step_clocks())
        player = faults.Player(world, planned, self.log)
        end = time.monotonic() + self.options.seconds
        told = time.monotonic()
        while time.monotonic() < end or player.active():
            pause = player.play()
            self.look_for_crashes(world)
            if time.monotonic() - told > 15:
                told = time.monotonic()
                self.say(f"{len(player.played)} of {len(planned)} faults, now: {'; '.join(fault.describe() for fault in player.active()) or 'none'}")
            time.sleep(min(0.1, pause if pause is not None else 0.1))
        self.say(f"{len(player.played)} faults are over")
        return player

    def look_for_crashes(self, world):
        for process in world.watched():
            if process.died():
                self.crashes.append(f"{process.name} ended with {process.returncode} though nobody ended it")
                self.say(self.crashes[-1])
                process.kill()
                process.start()

    def come_to_rest(self, world, work):
        """Heals everything and waits until nothing is under way. Returns the instant up to which fires are checked."""
        world.heal()
        world.wait_until_allocated(world.nodes, timeout=PATIENCE)
        time.sleep(2 * SESSION_SECONDS)
        until = workloads.now()
        self.say("healed; the last fires")
        time.sleep(QUIET_SECONDS)
        for task_id in {workloads.id_of(story) for story in work.stories}:
            work.change(world.api, task_id, "disable", lambda task: task.update(enabled=False))

        def at_rest():
            for state in ("PENDING", "RUNNING"):
                if world.api.get(f"/runs?runtime={RUNTIME}&state={state}&limit=1")["items"]:
                    raise NotYet(f"a run is {state}")
            return True

        try:
            wait_for(at_rest, PATIENCE, "every run to have ended", poll=0.5)
        except AssertionError as error:
            self.say(str(error).splitlines()[0])  # the checker says which
        return until

    def find(self, world, work, played, sink_path, after, until):
        """Collects and checks; again for a while if something is missing, as reports may be on their way."""
        deadline = time.monotonic() + PATIENCE
        seen = []
        while True:
            lines = sink.read(sink_path)
            evidence = fire_checker.Evidence(lines, history(world.api), sink.read_ends(sink_path), absences(played))
            verdict = fire_checker.check(work.stories, evidence, after, until)
            self.say(f"{verdict.expected} fires expected, {verdict.ran} ran, {verdict.count('double')} doubles, {verdict.count('overlap')} overlaps, "
                     f"{verdict.count('unexplained')} unexplained, {verdict.count('early')} early")
            seen.append(set(verdict.offences))
            if not seen[-1] or time.monotonic() > deadline or (len(seen) > IN_VAIN and seen[-1 - IN_VAIN] == seen[-1]):
                return report.Findings(self.options, after, until, work.stories, evidence, played, verdict, self.crashes + work.faults)
            time.sleep(5)

    def save(self, findings):
        """What was found, so that it can be checked again (--recheck)."""
        with open(os.path.join(self.folder, "findings.json"), "w", encoding="utf-8") as file:
            json.dump(findings.to_json(), file)


def disturbances(played):
    return [(fault.target, int(fault.began * reference.SECOND), int((fault.ended or time.time()) * reference.SECOND)) for fault in played]


def absences(played):
    """Of nodes, by the faults that may cost them their sessions, or their tasks for a while."""
    recovery = int(workloads.RECOVERY_SECONDS * reference.SECOND)
    return [Absence(fault.target if faults.befalls_a_node(fault) else "", begin, end + recovery, fault.kind == faults.MOVES_BACK)
            for fault, (_, begin, end) in zip(played, disturbances(played)) if fault.kind in (*faults.COST_SESSIONS, faults.MOVES_BACK)]


def history(api):
    """All runs of the runtime, as entries."""
    for attempt in range(5):
        try:
            return [entry_of(run) for run in api.every("/runs", runtime=RUNTIME) if run.get("fire_time")]
        except (OSError, ApiError):
            if attempt == 4:
                raise
            time.sleep(1)


def entry_of(run):
    covers = run.get("covers_until")
    return fire_checker.Entry(sink.shard_name(run["task_id"], run.get("shard")), reference.parse_instant(run["fire_time"]), run["attempt"], run["state"], run.get("reason", ""),
                         run.get("node_name", ""), reference.parse_instant(covers) if covers else 0, run.get("exit_code"), run["id"])


def main():
    parser = argparse.ArgumentParser(prog="scripts/chaos", description="Chaos on real processes, and a proof of every fire.")
    parser.add_argument("--minutes", type=float, default=5, help="how long faults are made (5)")
    parser.add_argument("--seed", type=int, help="the same seed makes the same plan of faults and tasks (default: a new one, printed)")
    parser.add_argument("--keep", action="store_true", help="keep the data folder (it is kept anyway when something is wrong)")
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--zookeepers", type=int, default=3, choices=(1, 3), help="one server, or an ensemble of three (3)")
    parser.add_argument("--rate", type=float, default=80, help="fires per second, about (80)")
    parser.add_argument("--report", default=os.path.join(ROOT, "docs", "chaos-report.md"), help="where the report goes; empty: nowhere")
    parser.add_argument("--recheck", metavar="FOLDER", help="only check again what an earlier run has kept")
    arguments = parser.parse_args()

    def stop(number, frame):
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    if arguments.recheck:
        folder = arguments.recheck
        with open(os.path.join(folder, "findings.json"), encoding="utf-8") as file:
            findings = report.Findings.from_json(json.load(file))
        findings.verdict = fire_checker.check(findings.stories, findings.evidence, findings.after, findings.until)
    else:
        folder = tempfile.mkdtemp(prefix="cloudtask-chaos-")
        seed = arguments.seed if arguments.seed is not None else random.SystemRandom().randrange(1_000_000)
        options = Options(seed, arguments.minutes * 60, arguments.nodes, arguments.zookeepers, arguments.rate)
        try:
            findings = Chaos(options, folder, lambda text: print(text, flush=True)).run()
        except BaseException:
            print(f"the data folder: {folder}", flush=True)
            raise
    text = report.render(findings)
    print(text, flush=True)
    if arguments.report and not arguments.recheck:
        with open(arguments.report, "w", encoding="utf-8") as file:
            file.write(text)
    if not findings.good():
        report.write_timelines(findings, folder)
        print(f"the data folder: {folder}; a timeline of each fire that is wrong is in {os.path.join(folder, 'timelines')}", flush=True)
    elif arguments.keep:
        print(f"the data folder: {folder}", flush=True)
    elif not arguments.recheck:
        shutil.rmtree(folder, ignore_errors=True)
    return 0 if findings.good() else 1


if __name__ == "__main__":
    sys.exit(main())
