"""Faults by seed: which, on what, when and for how long is settled before anything starts, so that a seed gives the same plan each time.

Each fault is a generator: it does something, yields the seconds until it goes on, and at last puts things right. Player runs many of them at once, one
step at a time, on the main thread. No step waits for anything.
"""

import dataclasses
import heapq
import itertools
import random
import time

import gate as gates
from processes import NotYet
from world import SESSION_SECONDS, TRUE_CLOCK

ALL = "all"
ROLLING_SECONDS = 40  # reserved for a rolling restart of all nodes
CALM_SECONDS = 8  # before and after a kill that is measured
LEADER_SECONDS = 5  # for an ensemble to have a leader
GIVE_UP_SECONDS = 12  # for a node to hand over and stop


@dataclasses.dataclass
class Fault:
    kind: str
    target: str
    at: float  # seconds after the first
    seconds: float
    detail: str = ""
    began: float = 0.0  # wall clock, when it was played
    ended: float = 0.0

    def describe(self):
        return f"{self.kind} of {self.target} for {self.seconds:.1f} s{f' ({self.detail})' if self.detail else ''}"


# --- what each kind does


def kill_node(world, fault):
    """SIGKILL to the process alone; what it started lives on."""
    node = world.nodes[fault.target]
    node.kill()
    yield fault.seconds
    node.start()


def pause_node(world, fault):
    node = world.nodes[fault.target]
    node.freeze()
    yield fault.seconds
    node.thaw()


def step_clock(world, fault):
    world.set_clock(fault.target, fault.detail)
    yield fault.seconds
    world.set_clock(fault.target, TRUE_CLOCK)


def break_zookeeper_link(world, fault):
    return break_link(world.zookeeper_gates[fault.target], fault)


def break_center_link(world, fault):
    return break_link([world.center_gates[fault.target]], fault)


def break_link(links, fault):
    state, _, after = fault.detail.partition(", then ")
    for link in links:
        link.set(state)
    yield fault.seconds
    for link in links:
        if after:
            link.reset()
        link.set(gates.OPEN)


def kill_center(world, fault):
    world.center.kill()
    yield fault.seconds
    world.center.start()


def restart_zookeeper(world, fault):
    """All servers at once: no quorum for so long. `detail` says how they end."""
    for server in world.zookeeper_servers:
        server.kill() if fault.detail == "SIGKILL" else server.terminate()
    yield fault.seconds
    for server in world.zookeeper_servers:
        while server.running():
            yield 0.1
        server.start()


def lose_zookeeper_leader(world, fault):
    for _ in range(LEADER_SECONDS * 4):
        try:
            leader = world.zookeeper.leader()
            break
        except NotYet:
            yield 0.25
    else:
        fault.detail = "there was none"
        return
    fault.detail = leader.name
    leader.kill()
    yield fault.seconds
    leader.start()


def restart_rolling(world, fault):
    """SIGTERM to one node after the other; the next one follows when it is back in its place."""
    for name, node in world.nodes.items():
        node.terminate()
        for _ in range(GIVE_UP_SECONDS * 10):
            if not node.running():
                break
            yield 0.1
        else:
            fault.detail += f"{name} did not stop within {GIVE_UP_SECONDS} s; "
            node.kill()
        node.start()
        yield fault.seconds


# After this one a task may come back to a node that still has a run of it, while fires of it wait elsewhere.
MOVES_BACK = "rolling restart"

KINDS = {
    # kind: (what it does, how often, the kind of thing that it befalls)
    "node killed, back within the session time-out": (kill_node, 10, "node"),
    "node killed, back after the session time-out": (kill_node, 18, "node"),
    "node paused beyond the session time-out": (pause_node, 16, "node"),
    "node paused briefly": (pause_node, 5, "node"),
    "clock stepped within the bound": (step_clock, 7, "node"),
    "clock stepped beyond the bound": (step_clock, 7, "node"),
    "node cut off from ZooKeeper": (break_zookeeper_link, 16, "node"),
    "node cut off from the center": (break_center_link, 8, "node"),
    "center killed": (kill_center, 6, "center"),
    "ZooKeeper restarted": (restart_zookeeper, 5, "zookeeper"),
    "ZooKeeper's leader lost": (lose_zookeeper_leader, 6, "zookeeper"),
    MOVES_BACK: (restart_rolling, 3, ALL),
}

# After these a node, or each of them, may find its session with ZooKeeper over.
COST_SESSIONS = ("node killed, back after the session time-out", "node paused beyond the session time-out", "clock stepped beyond the bound",
                 "node cut off from ZooKeeper", "ZooKeeper restarted", "ZooKeeper's leader lost")


def befalls_a_node(fault):
    return KINDS[fault.kind][2] == "node"


def plan(seed, seconds, nodes, ensemble, clocks=True):
    """The faults of a run of `seconds`, in order of time; each has ended by then. `nodes` are names."""
    pick = random.Random(f"faults {seed}")
    kinds = [kind for kind in KINDS if (ensemble or "leader" not in kind) and (clocks or "clock" not in kind)]
    order = _every_kind_early(pick, kinds)
    taken = []  # (target, begin, end)
    waiting = []  # kinds that found nothing free
    faults = []
    at = 0.0
    while at < seconds:
        kind = waiting.pop(0) if waiting else next(order)
        begin = at
        if kind == "rolling restart":
            begin = max([at, *(last for who, _, last in taken if who in nodes or who == ALL)])
        alone = "killed, back after" in kind and seconds > 100 and pick.random() < 0.4  # so that how soon others take over can be measured
        if alone:
            begin = max([at, *(last + CALM_SECONDS for _, _, last in taken)])
        fault = _invent(pick, kind, nodes)
        fault.at = begin
        end = begin + fault.seconds * (len(nodes) if kind == "rolling restart" else 1)
        if kind == "rolling restart":
            end = max(end, begin + ROLLING_SECONDS)
        if kind == "ZooKeeper's leader lost":
            end += LEADER_SECONDS
        if end > seconds or not _free(taken, fault.target, begin, end + 1.0, nodes):
            if end <= seconds:
                waiting.append(kind)
            at += 0.2
            continue
        taken.append((fault.target, begin, end + 1.0))
        faults.append(fault)
        at = end + CALM_SECONDS if alone else begin
        at += pick.expovariate(1 / 3.0) if pick.random() < 0.75 else pick.uniform(5, 10)  # often one on top of the other, now and then alone
    return faults


def _every_kind_early(pick, kinds):
    """Kinds without end: by weight, after each has come once."""
    first = list(kinds)
    pick.shuffle(first)
    yield from first
    while True:
        yield pick.choices(kinds, [KINDS[kind][1] for kind in kinds])[0]


def _free(taken, target, begin, end, nodes):
    """One fault at a time for one target, and at least one node that nothing befalls; a rolling restart is alone with the nodes."""
    others = {who for who, first, last in taken if first < end and begin < last}
    befallen = others & set(nodes)
    if target == ALL:
        return not befallen and ALL not in others
    if target in nodes:
        return ALL not in others and target not in others and len(befallen) < len(nodes) - 1
    return target not in others


def _invent(pick, kind, nodes):
    _, _, what = KINDS[kind]
    target = pick.choice(nodes) if what == "node" else what
    beyond = pick.uniform(1.5, 5) * SESSION_SECONDS
    within = pick.uniform(0.0, 0.4) * SESSION_SECONDS
    if kind.startswith("clock"):
        size = pick.uniform(0.5, 4.0) if "within" in kind else pick.choice((6, 8, 15, 60, 600)) + pick.uniform(0, 1)
        return Fault(kind, target, 0, pick.uniform(4, 15), f"{pick.choice('+-')}{size:.1f}")
    if kind.startswith("node cut off"):
        state = pick.choice((gates.CUT, gates.HOLE, gates.HOLE, gates.DEAF))
        detail = state + (", then reset" if state != gates.CUT and pick.random() < 0.5 else "")
        return Fault(kind, target, 0, pick.choice((within, beyond, beyond)) if "ZooKeeper" in kind else pick.uniform(1, 12), detail)
    if kind == "ZooKeeper restarted":
        return Fault(kind, target, 0, pick.choice((0.1, pick.uniform(1, 4), pick.uniform(4, 9))), pick.choice(("SIGKILL", "SIGTERM")))
    if kind == "rolling restart":
        return Fault(kind, target, 0, pick.uniform(0.5, 2.5))
    if kind in ("center killed", "ZooKeeper's leader lost"):
        return Fault(kind, target, 0, pick.uniform(0.5, 10))
    return Fault(kind, target, 0, within if "within" in kind or "briefly" in kind else beyond)


class Player:
    """Plays faults: call play() until it says that it is done."""

    def __init__(self, world, faults, log):
        self._world, self._log = world, log
        self._began = time.monotonic()
        self._tie = itertools.count()
        self._heap = [(self._began + fault.at, next(self._tie), fault, None) for fault in faults]
        heapq.heapify(self._heap)
        self.played = []

    def active(self):
        """Faults that have begun and are not put right yet."""
        return [fault for fault in self.played if not fault.ended]

    def play(self):
        """Does what is due; returns the seconds until something more is, None when all is over."""
        while self._heap and self._heap[0][0] <= time.monotonic():
            _, _, fault, steps = heapq.heappop(self._heap)
            if steps is None:
                fault.began = time.time()
                self.played.append(fault)
                self._log(f"{fault.describe()} begins")
                steps = KINDS[fault.kind][0](self._world, fault)
            try:
                pause = next(steps)
            except StopIteration:
                fault.ended = time.time()
                self._log(f"{fault.kind} of {fault.target} is over{f' ({fault.detail})' if fault.detail else ''}")
            else:
                heapq.heappush(self._heap, (time.monotonic() + pause, next(self._tie), fault, steps))
        return max(0.0, self._heap[0][0] - time.monotonic()) if self._heap else None
