"""The center, ZooKeeper or a node goes away and comes back: schedules go on, reports arrive late but once, nothing is fired twice.

A task appends a line to a file of its own at each start: that is what really happened, beside what the history says.
"""

import os
import unittest

import shared_cluster
from cluster import Cluster, NotYet, instants
from processes import tail


def setUpModule():
    shared_cluster.start(nodes=2)


def tearDownModule():
    shared_cluster.stop()


def begun(runs):
    """Those that were begun. One that ends right before its node is killed may be LOST: nobody has told how it ended."""
    return [run for run in runs if run["state"] in ("SUCCEEDED", "FAILED", "LOST")]


class Outages(shared_cluster.SharedClusterTest):
    def diary(self, name):
        return os.path.join(self.cluster.folder, f"{name}.diary")

    def entries(self, name):
        """How often the task was really started."""
        try:
            with open(self.diary(name), encoding="ascii") as file:
                return file.read().count("\n")
        except FileNotFoundError:
            return 0

    def make_diarist(self, name):
        task = self.cluster.make_task(name, [{"every": "1s"}], shell=f"echo $$ >> {self.diary(name)}")
        self.addCleanup(lambda: self.cluster.disable(task))
        self.cluster.wait_for(lambda: self.cluster.runs(task, state="SUCCEEDED"), 30, f"a run of {name}")
        return task

    def await_entries(self, name, more):
        wanted = self.entries(name) + more
        self.cluster.wait_for(lambda: self.entries(name) >= wanted, 60, f"{more} more fires of {name}")

    def settled_runs(self, task):
        """All runs of a task, after it was disabled and all of them have ended."""
        self.cluster.disable(task)

        def settled():
            runs = self.cluster.runs(task)
            open_ones = [run for run in runs if run["state"] in ("PENDING", "RUNNING")]
            if open_ones or len(begun(runs)) < self.entries(task["name"]):
                raise NotYet(f"{len(runs)} runs, {len(open_ones)} of them open, {self.entries(task['name'])} starts")
            return runs

        return self.cluster.wait_for(settled, 60, f"every run of {task['name']} to be reported")

    def assert_each_fire_once(self, task, gapless=True):
        runs = self.settled_runs(task)
        fires = instants(runs)
        self.assertEqual(len(fires), len(set(fires)), "a fire stands twice in the history")
        self.assertEqual(len([run for run in runs if run["state"] == "SUCCEEDED"]), self.entries(task["name"]), "history and reality differ")
        if gapless:
            self.assertEqual(fires, [fires[0] + i for i in range(len(fires))], "a fire is missing in the history")

    def test_center_is_killed_and_away_for_ten_fires(self):
        task = self.make_diarist("without-center")
        self.cluster.center.kill()
        self.await_entries("without-center", 10)
        self.cluster.start_center()
        self.assert_each_fire_once(task)

    def test_center_keeps_definitions_logins_and_history_over_a_kill(self):
        task = self.make_diarist("before-the-kill")
        known = {run["id"] for run in self.cluster.runs(task, state="SUCCEEDED")}
        version = self.cluster.api.get(f"/tasks/{task['id']}")["version"]
        self.cluster.center.kill()
        self.cluster.start_center()
        self.assertEqual(self.cluster.api.get(f"/tasks/{task['id']}")["version"], version)  # with the old token
        self.assertLessEqual(known, {run["id"] for run in self.cluster.runs(task, state="SUCCEEDED")})

    def test_zookeeper_is_killed_and_comes_back(self):
        task = self.make_diarist("without-zookeeper")
        self.cluster.zookeeper.kill()
        self.cluster.start_zookeeper()
        self.cluster.wait_until_allocated(self.cluster.nodes)
        self.await_entries("without-zookeeper", 3)
        self.assert_each_fire_once(task, gapless=False)  # beyond the horizon, fires are left to the misfire policy

    def test_node_restarts_and_finds_its_running_task_again(self):
        cluster = self.cluster
        go = os.path.join(cluster.folder, "go")
        task = cluster.make_task("patient", shell=f"echo waiting; while [ ! -e {go} ]; do sleep 0.1; done; echo done; exit 5")
        run = cluster.wait_for_run(cluster.wait_for(lambda: cluster.start_task(task), 30, "the start"), states=("RUNNING",))
        node = cluster.nodes[run["node_name"]]
        node.kill()
        node.start()
        node.wait_until_listening()
        self.assertEqual(cluster.api.get(f"/runs/{run['id']}")["state"], "RUNNING")
        with open(go, "w", encoding="ascii"):
            pass
        ended = cluster.wait_for_run(run, timeout=60)
        self.assertEqual((ended["state"], ended.get("exit_code")), ("FAILED", 5), ended)
        self.assertEqual(cluster.api.log(run["id"]), b"waiting\ndone\n")
        cluster.wait_until_allocated(cluster.nodes)

    def test_node_is_killed_again_and_again_and_no_fire_is_doubled(self):
        task = self.make_diarist("hard-times")
        for _ in range(3):
            node = self.cluster.nodes[self.cluster.wait_for(lambda: self.cluster.owner(task["id"]), 60, "an owner")]
            node.kill()
            node.start()
            node.wait_until_listening()
            self.await_entries("hard-times", 3)
        self.cluster.wait_until_allocated(self.cluster.nodes)
        runs = self.settled_runs(task)
        fires = instants(runs)
        self.assertEqual(len(fires), len(set(fires)), "a fire stands twice in the history")
        self.assertGreaterEqual(len(begun(runs)), self.entries("hard-times"), "a start is not in the history")


class NothingThereAtStart(unittest.TestCase):
    def test_center_and_node_wait_for_zookeeper_and_for_each_other(self):
        folder = os.path.join(shared_cluster.current.folder, "late")
        with Cluster(folder) as cluster:
            cluster.plan_zookeeper()
            cluster.start_mail()
            cluster.start_center()
            cluster.log_in()  # the API serves without ZooKeeper
            cluster.make_runtime()
            self.assertNotEqual(cluster.api.request("GET", "//readyz").status, 200, "not ready without ZooKeeper")
            task = cluster.make_task("early-bird", [{"every": "1s"}], command=["/bin/true"])
            node, address = cluster.add_node("node-1"), cluster.center.address()
            cluster.center.kill()
            node.start()
            cluster.wait_for(lambda: f"cannot reach {address}" in tail(node.log_path), 30, "the node to say that it waits")
            cluster.start_center()
            cluster.start_zookeeper()
            cluster.wait_until_allocated(["node-1"])
            cluster.wait_for(lambda: cluster.runs(task, state="SUCCEEDED"), 60, "a fire, now that all are there")
            cluster.wait_for(lambda: cluster.api.request("GET", "//readyz").status == 200, 30, "the center to be ready")
