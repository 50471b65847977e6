"""Nodes are taken out of the ring and come back, one after the other, while every second dozens of tasks fire: nothing is lost, doubled or killed.

Each run writes one line to a file of this test's own, the sink, which knows nothing of the scheduler.
"""

import os
import time
import unittest

import shared_cluster
from api import Api
from cluster import NotYet, parse_instant

TASKS = 24
# A run lasts long enough that many are going on at any moment.
LINE = "sleep 0.3; echo $CLOUDTASK_TASK $CLOUDTASK_FIRE_TIME $CLOUDTASK_ATTEMPT $CLOUDTASK_NODE >> {sink}"
# A graceful stop does not wait for the long runs; a node that restarts is back long before its runs count as lost.
NODE_OPTIONS = ["--stop.drain-timeout=1s"]
CENTER_OPTIONS = ["--lost.grace=30s", "--zookeeper.session-timeout=4s"]


def setUpModule():
    shared_cluster.start(nodes=3, node_options=NODE_OPTIONS, center_options=CENTER_OPTIONS)


def tearDownModule():
    shared_cluster.stop()


class Load:
    """Tasks that fire every second; the sink tells what was really started."""

    def __init__(self, cluster, prefix):
        self.cluster = cluster
        self.sink = os.path.join(cluster.folder, f"{prefix}.sink")
        self.tasks = {}
        for number in range(TASKS):
            name = f"{prefix}-{number:02}"
            self.tasks[name] = cluster.make_task(name, [{"every": "1s"}], shell=LINE.format(sink=self.sink),
                                                 overlap="allow", max_parallel=10)
        cluster.wait_for(lambda: set(self.fires()) == set(self.tasks), 60, "each task to fire")

    def lines(self):
        if not os.path.exists(self.sink):
            return []
        with open(self.sink, encoding="ascii") as file:
            return [line.split() for line in file.read().splitlines()]

    def fires(self):
        """{task name: [(fire time, node)]}, sorted."""
        fires = {}
        for task, fire_time, _, node in self.lines():
            fires.setdefault(task, []).append((parse_instant(fire_time), node))
        return {task: sorted(seen) for task, seen in fires.items()}

    def fired_since(self, instant, tasks=None):
        """Each of the tasks has written its line of a fire beyond `instant`."""
        fires = self.fires()
        behind = [name for name in tasks or self.tasks if not fires.get(name) or fires[name][-1][0] <= instant]
        if behind:
            raise NotYet(f"behind: {behind}")
        return True

    def owners(self):
        return {name: owner for name, owner in self.cluster.owners(group="tests").items() if name in self.tasks}

    def end(self):
        for task in self.tasks.values():
            self.cluster.disable(task)
        self.cluster.wait_for(self.all_ended, 60, "the last runs to end")

    def all_ended(self):
        running = [run["id"] for name in self.tasks for run in self.cluster.runs(self.tasks[name], state="RUNNING")]
        if running:
            raise NotYet(f"running: {running}")
        return True

    def check(self, test, lossy=False):
        """Every fire between a task's first and its last stands in the sink once, and every run in the history succeeded."""
        fires = self.fires()
        others = [] if lossy else [(run["task_name"], run["fire_time"], run["state"], run["node_name"], run.get("reason"))
                                   for task in self.tasks.values() for run in self.cluster.runs(task)
                                   if run["state"] != "SUCCEEDED" and not (run.get("reason") or "").startswith("disabled:")]
        test.assertEqual(others, [], "runs that did not go their way")
        for name, seen in fires.items():
            times = [round(fire_time) for fire_time, _ in seen]
            test.assertEqual(len(times), len(set(times)), f"a fire of {name} was started twice: {seen}")
            if not lossy:
                missing = sorted(set(range(times[0], times[-1] + 1)) - set(times))
                test.assertEqual(missing, [], f"fires of {name} that never started")


class Drain(shared_cluster.SharedClusterTest):
    def setUp(self):
        super().setUp()
        if not self.cluster.center.running():
            self.cluster.start_center()
        for name, node in self.cluster.nodes.items():
            if not node.running():
                self.cluster.start_node(name)
            self.cluster.cli("node", "uncordon", f"demo/{name}")
        self.cluster.wait_until_allocated(self.cluster.nodes)

    def node(self, name):
        return next(node for node in self.cluster.api.every("/nodes") if node["name"] == name)

    def status(self, name):
        """What the node itself says."""
        node = self.cluster.nodes[name]
        return Api(node.address()).get("//status")

    def run_on(self, name, seconds, code):
        """A run of some seconds on that node alone, that writes at its start and its end."""
        task = self.cluster.make_task(f"long-{name}-{time.time_ns()}", shell=f"echo begin; sleep {seconds}; echo end; exit {code}", targets=[name])
        run = self.cluster.wait_for(lambda: self.cluster.start_task(task), 30, f"{name} to take a run")
        return self.cluster.wait_for_run(run, states=("RUNNING",))

    def check_ended(self, run, code):
        ended = self.cluster.wait_for_run(run, 60)
        self.assertEqual((ended["state"], ended["exit_code"]), ("FAILED", code), ended)
        self.cluster.wait_for(lambda: self.cluster.api.log(run["id"]) == b"begin\nend\n", 30, "its whole output")

    def test_a_drained_node_has_nothing_to_do_and_takes_its_tasks_back_when_it_is_uncordoned(self):
        cluster = self.cluster
        load = Load(cluster, "drained")
        before = load.owners()
        victim = max(cluster.nodes, key=lambda node: sum(1 for owner in before.values() if owner == node))
        run = self.run_on(victim, 6, 7)
        asked_at = time.time()
        told = cluster.cli("node", "drain", f"demo/{victim}", "--timeout", "60s")
        self.assertIn(f"node demo/{victim} drained", told)
        drained_at = time.time()
        self.check_ended(run, 7)
        self.assertGreater(drained_at - asked_at, 3, "it waited for the long run")
        node = self.node(victim)
        self.assertEqual((node["online"], node["in_ring"], node["running_runs"], node["cordoned"]["by"]), (True, False, 0, "admin"), node)
        self.assertIn("online,cordoned", cluster.cli("get", "nodes"))
        after = load.owners()
        self.assertEqual({name for name in before if after[name] != before[name]}, {name for name in before if before[name] == victim},
                         "exactly the drained node's tasks moved")
        with self.assertRaisesRegex(Exception, "exit 6"):
            cluster.cli("task", "start", f"demo/tests/{run['task_name']}")

        # A restart, also with the center away, leaves it cordoned.
        cluster.center.stop()
        cluster.nodes[victim].stop()
        cluster.nodes[victim].start().wait_until_listening()
        cluster.wait_for(lambda: self.status(victim)["cloudtask_node_registered"] == 1, 30, f"{victim} to be back")
        self.assertEqual(self.status(victim)["cloudtask_node_cordoned"], 1)
        self.assertEqual(self.status(victim)["cloudtask_node_owned_tasks"], 0)
        cluster.start_center()
        cluster.wait_for(lambda: victim in cluster.online(), 30, f"the center to see {victim}")
        self.assertNotIn(victim, cluster.allocated())

        cluster.cli("node", "uncordon", f"demo/{victim}")
        cluster.wait_until_allocated(cluster.nodes)
        self.assertEqual(load.owners(), before, "the tasks are where they were")
        mine = [name for name in before if before[name] == victim]
        cluster.wait_for(lambda: all(load.fires()[name][-1][1] == victim for name in mine), 30, f"the tasks to fire at {victim} again")
        idle = [line for line in load.lines() if line[3] == victim and drained_at + 1 < parse_instant(line[1]) < drained_at + 2]
        self.assertEqual(idle, [], "nothing fired at the drained node")
        load.end()
        load.check(self)

    def test_a_drain_that_is_not_reached_in_time_says_so(self):
        run = self.run_on("node-1", 8, 3)
        self.cluster.cli("node", "cordon", "demo/node-1")

        def handed_over():
            node = self.node("node-1")
            if not node["cordoned"]["done"] or node["in_ring"] or not node["ring_settled"]:
                raise NotYet(f"{node}")
            return True

        self.cluster.wait_for(handed_over, 30, "node-1 to hand over")
        with self.assertRaisesRegex(Exception, "(?s)exit 1: .*not drained after 1s: its tasks have moved.*runs: 1.*stays cordoned"):
            self.cluster.cli("node", "drain", "demo/node-1", "--timeout", "1s")
        self.assertTrue(self.node("node-1")["cordoned"])
        self.cluster.cli("node", "uncordon", "demo/node-1")
        self.cluster.wait_until_allocated(self.cluster.nodes)
        self.check_ended(run, 3)

    def test_a_rolling_restart_loses_doubles_and_kills_nothing(self):
        cluster = self.cluster
        load = Load(cluster, "rolling")
        before = load.owners()
        runs = {}
        for number, name in enumerate(sorted(cluster.nodes), start=3):
            runs[name] = (self.run_on(name, 8, number), number)
            self.assertEqual(cluster.nodes[name].stop(grace=30), 0, "a graceful stop")
            cluster.nodes[name].start()
            cluster.wait_until_allocated(cluster.nodes)
        since = time.time()
        cluster.wait_for(lambda: load.fired_since(since), 30, "each task to go on")
        for run, code in runs.values():
            self.check_ended(run, code)
        self.assertEqual(load.owners(), before, "the tasks are where they were")
        load.end()
        load.check(self)

    def test_each_node_is_drained_restarted_and_uncordoned_under_load(self):
        cluster = self.cluster
        load = Load(cluster, "upgraded")
        for name in sorted(cluster.nodes):
            cluster.cli("node", "drain", f"demo/{name}", "--timeout", "60s")
            self.assertEqual(cluster.nodes[name].stop(grace=30), 0)
            cluster.nodes[name].start()
            cluster.cli("node", "uncordon", f"demo/{name}")
            cluster.wait_until_allocated(cluster.nodes)
        since = time.time()
        cluster.wait_for(lambda: load.fired_since(since), 30, "each task to go on")
        load.end()
        load.check(self)

    def test_a_restart_within_the_session_time_out_moves_nothing(self):
        cluster = self.cluster
        load = Load(cluster, "killed")
        before = load.owners()
        victim = max(cluster.nodes, key=lambda node: sum(1 for owner in before.values() if owner == node))
        cluster.nodes[victim].kill()
        cluster.nodes[victim].start()
        since = time.time()
        cluster.wait_for(lambda: load.fired_since(since + 2), 60, "each task to go on")
        self.assertEqual(load.owners(), before)
        for name, fires in load.fires().items():
            self.assertEqual({node for _, node in fires}, {before[name]}, f"{name} fired elsewhere")
        load.end()
        load.check(self, lossy=True)

    def test_what_happens_is_what_the_plan_says(self):
        cluster = self.cluster
        tasks = {f"planned-{number:02}": cluster.make_task(f"planned-{number:02}", [{"every": "1s"}], command=["/bin/true"]) for number in range(20)}
        pinned = cluster.make_task("planned-pinned", [{"every": "1s"}], command=["/bin/true"], targets=["node-2"])
        tasks[pinned["name"]] = pinned
        owner = {name: cluster.owner(task["id"]) for name, task in tasks.items()}
        plan = cluster.cli_json("plan-failover", "--down", "demo/node-2")
        moves = {move["name"]: move["to"] for move in plan["moves"] if move["name"] in tasks}
        self.assertEqual(set(moves), {name for name in tasks if owner[name] == "node-2"})
        self.assertIsNone(moves["planned-pinned"])
        self.assertIn("no node can take it", cluster.cli("plan-failover", "--down", "demo/node-2"))

        cluster.nodes["node-2"].kill()
        cluster.wait_for(lambda: cluster.allocated() == {"node-1", "node-3"}, 60, "the ring without node-2")
        after = {name: cluster.owner(task["id"]) for name, task in tasks.items()}
        self.assertEqual({name: after[name] for name in tasks if after[name] != owner[name]}, moves, "the plan is what happened")
        counts = {node["name"]: node["tasks"] for node in plan["nodes"]}
        self.assertEqual(sum(counts.values()), sum(node["tasks_after"] for node in plan["nodes"]) + plan["without_node"])
        allocation = cluster.api.get("/runtimes/demo/allocation")
        names = {node["id"]: node["name"] for node in cluster.api.every("/nodes")}
        self.assertEqual({names[node["id"]]: node["tasks"] for node in allocation["nodes"]},
                         {node["name"]: node["tasks_after"] for node in plan["nodes"] if node["stays"]}, "the load after")
        cluster.start_node("node-2")
        cluster.wait_until_allocated(cluster.nodes)
        for task in tasks.values():
            cluster.disable(task)


if __name__ == "__main__":
    unittest.main()
