"""The configurations and mutations of handover.pml, and how one is checked: spin makes C of the model, gcc compiles it, the program walks
through every state. Used by scripts/model and test_model.py. It needs Debian's packages spin and gcc, and no program of this project.
"""

import collections
import os
import re
import shutil
import subprocess
import tempfile
import time

MODEL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "handover.pml")
MEMORY_MIB = 4000
DEPTH = 100_000

# name, what happens in it, definitions
Configuration = collections.namedtuple("Configuration", "name story defines")
# name, the rule that is broken, definitions of a configuration that shows it, the property that falls
Mutation = collections.namedtuple("Mutation", "name rule defines falls")
Outcome = collections.namedtuple("Outcome", "verdict states depth seconds trail")

CONFIGURATIONS = [
    Configuration("first-members", "two nodes make the first ring; one dies", "FROM_NOTHING INCARNATIONS=2 CRASHES=1"),
    Configuration("join", "a node joins and takes the task; another has nothing to do with it", "JOINS=1"),
    Configuration("join-leave", "a node joins and leaves again, or its loser does", "START=1 INCARNATIONS=2 JOINS=1 LEAVES=1"),
    Configuration("lost-writes", "a join and a death, while writes fail and are made again", "START=1 JOINS=1 CRASHES=1 LOST_WRITES=1"),
    Configuration("join-death", "a death before, in or after a join, or a restart: the allocator, the loser, the gainer, or neither",
                  "JOINS=1 CRASHES=1"),
    Configuration("join-expiry", "as join-death, but the process lives on within its horizon", "JOINS=1 EXPIRIES=1"),
    Configuration("two-deaths", "the second in the middle of the first one's transition", "START=3 CRASHES=2"),
    Configuration("death-expiry", "a death and an expiry", "START=3 CRASHES=1 EXPIRIES=1"),
    Configuration("two-fires", "a task with two fires, and a death", "FIRES=2 START=3 CRASHES=1"),
    Configuration("two-tasks", "a join takes one task and leaves another alone", "TASKS=2 JOINS=1"),
]

# What takes minutes.
DEEP = [
    Configuration("first-members-join", "the first ring, and a join", "FROM_NOTHING JOINS=1"),
    Configuration("two-joins", "one after the other", "START=1 JOINS=2"),
    Configuration("two-leaves", "two of three nodes leave", "START=3 LEAVES=2"),
    Configuration("leave-death", "a leave and a death", "START=3 LEAVES=1 CRASHES=1"),
    Configuration("join-leave-three", "as join-leave, with a third node", "JOINS=1 LEAVES=1"),
    Configuration("two-deaths-join", "two deaths and a join or a restart, down to no node at all", "JOINS=1 CRASHES=2"),
    Configuration("two-fires-join", "a task with two fires, and a join", "FIRES=2 JOINS=1"),
]

MUTATIONS = [
    Mutation("NO_WAIT", "a new owner waits for the handover of a living one", "JOINS=1", "I1"),
    Mutation("NO_HORIZON", "a fire is started only within the horizon", "START=3 CRASHES=1", "I1"),
    Mutation("UNACKNOWLEDGED", "and only within the horizon that is acknowledged", "EXPIRIES=1", "I1"),
    Mutation("EARLY_START", "nothing of an epoch is given out before its acknowledgement is written", "START=3 CRASHES=2", "I1"),
    Mutation("IGNORE_FLIGHT", "a handover covers a write that may have landed", "JOINS=1 JOINERS=4 EXPIRIES=1", "I1"),
    Mutation("NO_RAISE", "a gainer raises its horizon to the bound that it starts beyond", "JOINS=1 JOINERS=4 CRASHES=1", "I1"),
    Mutation("NO_FLOOR", "a restarted node takes for its own only what lies beyond its floor", "JOINS=1 JOINERS=2 CRASHES=2", "I1"),
    Mutation("STALE_READ", "the allocator reads a dead node's record afresh", "CRASHES=1", "I1"),
    Mutation("NO_FENCE", "an allocator that leads no more writes nothing", "QUIET JOINS=1 JOINERS=4 CRASHES=1", "I1"),
    Mutation("NO_SEAL", "the record of a ghost that is replaced is sealed", "INCARNATIONS=2 EXPIRIES=1", "I1"),
    Mutation("NO_RESUMED", "a transition is settled only when all gainers have resumed", "JOINS=1 CRASHES=1", "I1"),
    Mutation("LEAVE_CHAIN", "a loser stays in the chain until it has started what it kept",
             "START=1 INCARNATIONS=2 JOINS=1 JOINERS=4 CRASHES=1", "silently gone"),
    Mutation("NO_REPORT", "what a dying loser had promised to start is reported by its successor",
             "START=1 INCARNATIONS=2 JOINS=1 JOINERS=4 CRASHES=1", "silently gone"),
    Mutation("DONE_AHEAD", "`done` counts what is not opened or reported yet", "START=3 CRASHES=2", "silently gone"),
    Mutation("DONE_OF_ALL", "`done` of the dead counts for tasks, too, that they had not resumed with", "START=3 LEAVES=1 CRASHES=1", "silently gone"),
    Mutation("LAST_HORIZON", "`departed` keeps the handovers of the dead",
             "START=1 INCARNATIONS=2 JOINS=1 JOINERS=4 CRASHES=1", "silently gone"),
    Mutation("ONE_OWNER", "a node that lost a task and got it back counts as two owners", "JOINS=1 JOINERS=4 CRASHES=2", "silently gone"),
    Mutation("EAGER_JOIN", "a join waits until the transition is settled", "JOINS=1 CRASHES=1", "silently gone"),
    Mutation("FORGET_DEPARTED", "`departed` is kept for as long as the transition lasts", "START=3 CRASHES=2", "never settled"),
    Mutation("LEAVE_WAITING", "a node does not leave while it waits to take a task over", "START=1 INCARNATIONS=2 JOINS=1 LEAVES=1", "I2"),
    Mutation("ALL_WAIT", "who owns a task before and after goes on with it", "TASKS=2 JOINS=1", "I3"),
]

# A mutation is found sooner in the reverse order; these in the usual one.
FORWARD = ("NO_FENCE", "ONE_OWNER", "EAGER_JOIN", "LEAVE_WAITING")

# The property by what stands in the assertion that failed; the first that fits.
PROPERTIES = (
    ("journal", "I1"),
    ("kept", "I3"),
    ("(reported[tk]==0)", "I2"),
    ("reported[tk]", "silently gone"),
    ("(got==", "I2"),
    ("present", "a living node departed"),
    ("settled", "never settled"),
    ("epoch", "more epochs than the model has room for"),
)


class ModelError(Exception):
    pass


def mutated(mutation):
    return f"MUTATION M_{mutation.name} {mutation.defines}"


def missing_tools():
    return [tool for tool in ("spin", "gcc") if shutil.which(tool) is None]


def _run(command, folder, seconds):
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=seconds, check=False)


def _verdict(text):
    if re.search(r"errors: 0\b", text):
        # A search that was cut short has found nothing, but has not looked everywhere either.
        return "incomplete" if "out of memory" in text or "max search depth too small" in text else "holds"
    failed = re.search(r"pan:\d+: (.*?) \(at depth", text)
    if not failed:
        return "incomplete"
    return next((name for sign, name in PROPERTIES if sign in failed[1]), failed[1])


def check_mutation(mutation, seconds=600):
    return check(mutated(mutation), seconds, () if mutation.name in FORWARD else ("-O0", "-DREVERSE"))


def check(defines, seconds=600, options=()):
    """Checks one configuration; `defines` as in "JOINS=1 CRASHES=1". The trail is what led to a violation, one event a line.
    `options` go to gcc."""
    missing = missing_tools()
    if missing:
        raise ModelError(f"missing: {', '.join(missing)}; scripts/bootstrap installs it")
    flags = [f"-D{define}" for define in defines.split()]
    with tempfile.TemporaryDirectory(prefix="cloudtask-model-") as folder:
        shutil.copy2(MODEL, folder)  # with its time: spin warns of a model that is newer than its trail
        begun = time.monotonic()
        made = _run(["spin", "-a", *flags, "handover.pml"], folder, 60)
        if made.returncode != 0 or not os.path.exists(os.path.join(folder, "pan.c")):
            raise ModelError(f"spin: {made.stdout}{made.stderr}")
        # One process does nearly everything in the model, so the reduction by partial order finds nothing to leave out.
        made = _run(["gcc", "-O1", "-w", "-DSAFETY", "-DNOREDUCE", "-DVECTORSZ=2048", f"-DMEMLIM={MEMORY_MIB}", *options, "-o", "pan", "pan.c"],
                    folder, 120)
        if made.returncode != 0:
            raise ModelError(f"gcc: {made.stderr}")
        try:
            text = _run(["./pan", f"-m{DEPTH}", "-n"], folder, seconds).stdout
        except subprocess.TimeoutExpired:
            return Outcome("incomplete", 0, 0, time.monotonic() - begun, [])
        spent = time.monotonic() - begun
        states = re.search(r"(\d+) states, stored", text)
        depth = re.search(r"depth reached (\d+)", text)
        if not states or not depth:
            raise ModelError(f"the checker ended without a result: {text}")
        verdict = _verdict(text)
        trail = []
        if verdict not in ("holds", "incomplete"):
            told = _run(["spin", "-k", "handover.pml.trail", *flags, "handover.pml"], folder, 60).stdout
            trail = [line.strip() for line in told.splitlines() if line.strip()]
            trail = trail[:next((at for at, line in enumerate(trail) if line.startswith("spin: ")), len(trail))]
        return Outcome(verdict, int(states[1]), int(depth[1]), spent, trail)
