"""The tasks under chaos: hundreds of mixed schedules and policies by seed, and the changes that are made to them while the faults go on.

Keeps the story of each task (fire_checker.Story): what was defined, and between which two instants each change came into force. A change is tried until the
center has certainly taken it. The changes are made on a thread of their own, which talks to the center and starts no process.
"""

import copy
import random
import threading
import time

import reference
import sink
from api import ApiError
from cluster import RUNTIME
from fire_checker import Change, Story
from policies import Policies

SECOND = reference.SECOND
GROUP = "tests"
MUTEXES = 4
# How long after a change is in the center's store a node may still fire by the definition before it, if nothing is in the way of the news.
NEWS_SECONDS = 3.0
# How long after something was in the way of the news they may still be held up: who was cut off waits a while before it tries again.
RECOVERY_SECONDS = 8.0
CRONS = ("*/3 * * * * *", "*/7 * * * * *", "1-59/10 * * * * *", "0,13,29,44 * * * * *", "*/20 * * * * mon-sun", "5,35 */1 * * * *", "30 * * * *",
         "10-30/4 * 0-23 * * *", "* * * * *")
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")


def now():
    return int(time.time() * SECOND)


class Workload:
    """`rate`: fires per second, about."""

    def __init__(self, seed, sink_path, rate, seconds, nodes):
        self.stories = []
        self.faults = []  # what went wrong while changing: to be reported, and to fail the run
        self._random = random.Random(f"workload {seed}")
        self._sink = sink_path
        self._rate, self._seconds, self._nodes = rate, seconds, nodes
        self._defined = {}  # task id: what the center holds
        self._mutexes = {}  # name: where its tasks are placed
        self._stop = threading.Event()
        self._thread = None
        self._count = 0

    # --- the tasks

    def make_all(self, api):
        made = 0.0
        while made < self._rate:
            definition = self.invent()
            self.create(api, definition)
            made += frequency(definition)

    def newest_revision(self):
        return max(task["revision"] for task in self._defined.values())

    def all_is_known(self):
        """Every node has seen all that was defined so far: it is in force from now on."""
        for story in self.stories:
            for change in story.changes:
                change.settled, change.seen = now(), True

    def invent(self):
        """A new definition, of any kind."""
        pick = self._random
        self._count += 1
        definition = {"runtime": RUNTIME, "group": GROUP, "name": f"task-{self._count:04}", "schedules": self.invent_schedules(), "enabled": True}
        kind = pick.random()
        then = ""
        if kind < 0.06:  # overlaps itself, and is skipped then
            definition["schedules"] = [{"every": "1s"}]
            then = "sleep 2.5"
        elif kind < 0.10:  # overlaps itself, and may
            definition["schedules"] = [{"every": "2s"}]
            definition.update(overlap="allow", max_parallel=4)
            then = "sleep 3"
        elif kind < 0.14:  # runs for long at times when its node goes
            definition["schedules"] = [{"every": "20s", "anchor": self.anchor()}]
            then = "sleep 9"
        elif kind < 0.40:
            then = self.invent_policies(definition, int((kind - 0.14) / 0.26 * 7))
        elif kind < 0.48:  # shares a mutex with others
            then = self.invent_mutex(definition)
        definition["shell"] = sink.shell(self._sink, then, tells_its_end=must_be_alone(definition, then))
        if "mutex" not in definition and pick.random() < 0.1:
            definition.update(mode="shards", shards=pick.randint(2, 4))
        if pick.random() < 0.25:
            definition["guarantee"] = "at_least_once"
        if pick.random() < 0.3:
            definition["misfire"] = pick.choice(("skip", "once", "all"))
        if pick.random() < 0.15:
            definition["misfire_tolerance"] = pick.choice(("2s", "5s", "30s"))
        if "mutex" not in definition:
            self.invent_placement(definition)
        return definition

    def invent_policies(self, definition, which):
        """The command that a task with such policies runs."""
        pick = self._random
        retry = {"attempts": pick.randint(2, 3), "delay": pick.choice(("200ms", "1s", "4s")), "factor": 1.5, "jitter": 0.2}
        if which < 2 and pick.random() < 0.5:
            definition.update(overlap="allow", max_parallel=5)
            retry["node"] = "other"
        if which == 0:  # fails at first, or always
            definition["retry"] = {**retry, "on": pick.choice((["failed"], ["failed", "lost"], ["failed", "timed_out", "lost"]))}
            return f'[ "$CLOUDTASK_ATTEMPT" -ge {pick.randint(2, 4)} ]'
        if which == 1:  # fails in a way that is tried again, or in one that is not
            definition["retry"] = {**retry, "exit_codes": pick.choice((["9-12"], [1, 2]))}
            return "exit 9"
        if which == 2:  # takes too long
            definition["schedules"] = [{"every": "5s", **self.maybe_anchor()}]
            definition.update(retry={**retry, "on": ["timed_out"]}, time_limit="2s", soft_limit="1s", grace="1s")
            return "sleep 6"
        if which == 3:  # its fires wait for their turn
            definition["schedules"] = [{"every": "2s"}]
            definition.update(overlap="queue", queue_limit=pick.randint(1, 3), max_parallel=pick.randint(1, 2))
            return pick.choice(("sleep 1.5", "sleep 2.5", "sleep 5"))
        if which == 4:  # the newest goes before the others
            definition["schedules"] = [{"every": pick.choice(("2s", "5s"))}]
            definition.update(overlap="replace", grace="1s")
            return "sleep 4"
        if which == 5:  # too late it need not begin
            definition["schedules"] = [{"every": "2s"}]
            definition.update(overlap="queue", start_deadline=pick.choice(("2s", "6s")), misfire="all", misfire_tolerance="30s", misfire_limit=5)
            return pick.choice(("true", "sleep 3"))
        definition["success"] = {"exit_codes": [0, "7-8"], "output": {"pattern": "^done$"}}
        return f"echo done; exit {pick.choice((0, 7, 9))}"

    def invent_mutex(self, definition):
        """The command of a task under one of a few mutexes. All tasks of one have the same nodes, so these do not change."""
        pick = self._random
        name = f"mutex-{pick.randint(1, MUTEXES)}"
        if name not in self._mutexes:
            self._mutexes[name] = {}
            self.invent_placement(self._mutexes[name])
        definition.update(copy.deepcopy(self._mutexes[name]), mutex=name, schedules=[{"every": pick.choice(("2s", "5s")), **self.maybe_anchor()}])
        definition.update(pick.choice(({"overlap": "forbid"}, {"overlap": "queue", "queue_limit": pick.randint(1, 3)})))
        return pick.choice(("sleep 0.3", "sleep 1", "sleep 2.5"))

    def invent_placement(self, definition):
        pick = self._random
        choice = pick.random()
        definition["targets"], definition["labels"] = [], {}
        if choice < 0.08:
            definition["targets"] = pick.sample(self._nodes, min(len(self._nodes), pick.randint(1, 3)))
        elif choice < 0.16:
            definition["labels"] = {"zone": pick.choice(("east", "west"))}

    def invent_schedules(self):
        pick = self._random
        kind = pick.random()
        if kind < 0.08:
            return [{"every": "1s", **self.maybe_anchor()}]
        if kind < 0.32:
            return [{"every": "2s", **self.maybe_anchor()}]
        if kind < 0.66:
            return [{"every": "5s", **self.maybe_anchor()}]
        if kind < 0.86:
            return [self.cron()]
        if kind < 0.94:
            return [self.instant() for _ in range(pick.randint(3, 20))]
        return [{"every": "10s"}, self.cron(), {"every": "4s", **self.maybe_anchor()}, self.instant()]  # meet in some instants

    def cron(self):
        return {"cron": self._random.choice(CRONS), "zone": self._random.choice(ZONES)}

    def maybe_anchor(self):
        return {"anchor": self.anchor()} if self._random.random() < 0.7 else {}

    def anchor(self):
        """An instant of the day before, with a fraction, so that not everything is due at whole seconds."""
        return reference.format_instant(now() - 86400 * SECOND + self._random.randrange(0, 10 * SECOND, 1000))

    def instant(self):
        return {"at": reference.format_instant(now() + self._random.randrange(5 * SECOND, int((self._seconds + 10) * SECOND)))}

    # --- telling the center

    def create(self, api, definition):
        since = now()

        def attempt(again):
            if again:
                found = [task for task in api.every("/tasks", runtime=RUNTIME, group=GROUP, name=definition["name"]) if task["name"] == definition["name"]]
                if found:
                    return found[0]
            return api.post("/tasks", definition)

        task = self.insist(attempt)
        if task:
            self._defined[task["id"]] = task
            changes = [Change(since, now(), yields(definition), "created")]  # of all shards
            for shard in range(definition["shards"]) if "shards" in definition else [None]:
                name = sink.shard_name(task["id"], shard)
                alone = (definition.get("mutex") or name) if sink.ENDS in definition["shell"] else ""
                self.stories.append(Story(name, task["name"], definition.get("guarantee") == "at_least_once", changes, Policies.of(definition), alone))

    def change(self, api, task_id, what, change):
        """`change(definition)` alters it in place. Nothing but the enabled flag is altered for "enable" and "disable"."""
        definition = copy.deepcopy(self._defined[task_id])
        change(definition)
        since = now()

        def attempt(again):
            if what in ("enable", "disable"):
                return api.post(f"/tasks/{task_id}/{what}")
            current = api.get(f"/tasks/{task_id}")
            if again and current["version"] > definition["version"]:
                return current  # nobody else changes it: an earlier try went through
            body = {key: value for key, value in definition.items() if key not in ("last_run", "state", "owner", "running", "next_fire")}
            return api.call("PUT", f"/tasks/{task_id}", body, {"If-Match": f'"{definition["version"]}"'})

        task = self.insist(attempt)
        if task:
            self._defined[task_id] = task
            story = next(story for story in self.stories if id_of(story) == task_id)
            story.changes.append(Change(since, now(), yields(definition), what))

    def insist(self, attempt):
        """Tries until there is an answer: the center may be away at any time."""
        deadline = time.monotonic() + 120
        again = False
        while True:
            try:
                return attempt(again)
            except (OSError, ApiError) as error:
                status = error.reply.status if isinstance(error, ApiError) else 0
                if time.monotonic() > deadline or (400 <= status < 500 and status not in (408, 409, 412, 428, 429)):
                    self.faults.append(f"a change of a task was not taken: {str(error)[:300]}")
                    return None
            again = True
            time.sleep(0.2)

    # --- changes while the faults go on

    def start_changing(self, api, period):
        """One change each `period` seconds, about, until stop_changing()."""
        self._thread = threading.Thread(target=self._change_on, args=(api, period), name="changes")
        self._thread.start()

    def stop_changing(self):
        self._stop.set()
        self._thread.join()

    def _change_on(self, api, period):
        pick = self._random
        while not self._stop.wait(period * pick.uniform(0.5, 1.5)):
            story = pick.choice(self.stories)
            task_id = id_of(story)
            enabled = self._defined[task_id]["enabled"]
            choice = pick.random()
            if not enabled:
                self.change(api, task_id, "enable", lambda task: task.update(enabled=True))
            elif choice < 0.3:
                self.change(api, task_id, "disable", lambda task: task.update(enabled=False))
            elif choice < 0.6:
                self.change(api, task_id, "new schedules", lambda task: task.update(schedules=self.invent_schedules()))
            elif choice < 0.75 and "mutex" not in self._defined[task_id]:
                self.change(api, task_id, "new placement", self.invent_placement)
            elif choice < 0.9:
                self.change(api, task_id, "new description", lambda task: task.update(description=f"changed at {now()}"))
            else:
                self.create(api, self.invent())


def id_of(story):
    """Of the task, of which the story may be that of one shard."""
    return story.task.split("#")[0]


def frequency(definition):
    """Fires per second, about."""
    begin = now()
    return len(reference.fires(definition["schedules"], begin, begin + 60 * SECOND)) / 60 * definition.get("shards", 1)


def must_be_alone(definition, then):
    """Whether runs of the task take long enough to overlap, and must not."""
    return then.startswith("sleep") and ("mutex" in definition or definition.get("overlap", "forbid") == "forbid")


def yields(definition):
    """The schedules that are in force by a definition."""
    return definition["schedules"] if definition.get("enabled", True) else []


def settle(stories, disturbances, nodes):
    """Ends the time in which a change may not have reached every node: NEWS_SECONDS after it was made, and RECOVERY_SECONDS after each of the
    disturbances ((target, begin, end), instants in microseconds) that were in the way of the news to one of the nodes."""
    recovery = int(RECOVERY_SECONDS * SECOND)
    ways = [sorted((begin, end + recovery) for target, begin, end in disturbances if target == node or target not in nodes) for node in nodes]
    changes = {id(change): change for story in stories for change in story.changes}  # those of a task are all its shards'
    for change in changes.values():
        if not change.seen:
            change.settled = max(_news_arrive(change, way) for way in ways)


def _news_arrive(change, way):
    arrive = change.settled + int(NEWS_SECONDS * SECOND)
    for begin, end in way:
        if begin <= arrive and end >= change.since:
            arrive = max(arrive, end)
    return arrive
