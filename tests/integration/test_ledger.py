"""The fire ledger: after a node was killed every fire is accounted for; a row that is taken out of the history is named."""

import contextlib
import os
import sqlite3
import tempfile
import unittest

from cluster import Cluster, NotYet, instants, parse_instant

PERIODIC = [f"worker-{number}" for number in range(1, 9)]


class Ledger(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cloudtask-ledger-")
        self.addCleanup(folder.cleanup)
        self.cluster = Cluster(folder.name, center_options=["--ledger.grace=2s"])
        self.cluster.__enter__()
        self.addCleanup(self.cluster.close)

    def fires(self, task, at_least):
        runs = self.cluster.runs(task)
        if len(runs) < at_least:
            raise NotYet(f"{task['name']} has {len(runs)} runs")
        return runs

    def later_than(self, task, seconds):
        newest = instants(self.cluster.runs(task))[-1]
        if newest < seconds:
            raise NotYet(f"the newest fire of {task['name']} is {newest}")
        return newest

    def unexplained_gauge(self):
        text = self.cluster.api.request("GET", "//metrics").body.decode()
        value = next(line for line in text.splitlines() if line.startswith("cloudtask_fires_unexplained ")).split()[1]
        if value != "1":
            raise NotYet(f"cloudtask_fires_unexplained is {value}")
        return value

    def test_a_killed_node_leaves_nothing_unexplained_and_a_missing_row_is_named(self):
        cluster = self.cluster.start(nodes=3)
        quick = {"command": ["/bin/true"], "misfire_tolerance": "5s"}
        tasks = {name: cluster.make_task(name, [{"every": "1s"}], **quick) for name in PERIODIC}
        tasks["slow"] = cluster.make_task("slow", [{"every": "1s"}], shell="sleep 2.5", misfire_tolerance="5s")
        tasks["again"] = cluster.make_task("again", [{"every": "1s"}], guarantee="at_least_once", **quick)
        tasks["once"] = cluster.make_task("once", [{"every": "2s"}], misfire="all", **quick)
        for task in tasks.values():
            cluster.wait_for(lambda task=task: self.fires(task, 8), 60, f"fires of {task['name']}")

        owners = cluster.owners(group="tests")
        victim = max(cluster.nodes, key=lambda node: sum(1 for owner in owners.values() if owner == node))
        cluster.nodes[victim].kill()
        killed = max(instants(cluster.runs(tasks[PERIODIC[0]])))
        cluster.wait_until_allocated(set(cluster.nodes) - {victim})
        for task in tasks.values():
            cluster.wait_for(lambda task=task: self.later_than(task, killed + 8), 60, f"{task['name']} to go on elsewhere")
        # Definitions change while it runs.
        cluster.disable(tasks["once"])
        cluster.cli("delete", "task", f"demo/tests/{PERIODIC[-1]}")
        cluster.start_node(victim)
        cluster.wait_until_allocated(cluster.nodes)
        goes_on = tasks[PERIODIC[0]]
        end = cluster.wait_for(lambda: self.later_than(goes_on, killed + 16), 60, "some more fires")

        start = goes_on["created_at"]
        stop = cluster.runs(goes_on)[-1]["fire_time"]
        self.assertGreater(end - parse_instant(start), 15)
        code, ledger = cluster.settled_ledger(start, stop)
        self.assertEqual((code, ledger["counts"]["unexplained"]), (0, 0), ledger)
        self.assertEqual(ledger["unexpected"], 0, ledger["unexpected_fires"])
        self.assertEqual(ledger["due"], sum(ledger["counts"].values()))
        self.assertGreater(ledger["counts"]["ran"], 100)
        self.assertGreater(ledger["counts"]["skipped"], 3, "overlap of the slow one")

        # One row goes.
        gone = cluster.runs(goes_on, state="SUCCEEDED")[3]
        cluster.center.stop()
        with contextlib.closing(sqlite3.connect(os.path.join(cluster.center.data, "center.db"))) as database:
            self.assertEqual(database.execute("DELETE FROM runs WHERE id = ?", (gone["id"],)).rowcount, 1)
            database.commit()
        cluster.start_center()
        code, holed = cluster.settled_ledger(start, stop)
        self.assertEqual(code, 1)
        self.assertEqual([(fire["task_name"], fire["fire_time"]) for fire in holed["unexplained_fires"]], [(goes_on["name"], gone["fire_time"])])
        self.assertEqual(holed["counts"]["ran"] + holed["counts"]["late"], ledger["counts"]["ran"] + ledger["counts"]["late"] - 1)
        self.assertEqual(cluster.cli("why", goes_on["id"], gone["fire_time"], "-q").strip(), "unexplained")
        cluster.wait_for(self.unexplained_gauge, 90, "the gauge")

    def test_while_no_node_is_there_fires_are_awaited_and_then_missed_also_those_of_a_version_that_was_superseded(self):
        cluster = self.cluster
        cluster.start_zookeeper()
        cluster.start_center()
        cluster.log_in()
        cluster.make_runtime()
        # Before any node has ever joined.
        quick = {"command": ["/bin/true"], "misfire_tolerance": "2s"}
        task = cluster.make_task("steady", [{"every": "1s"}], **quick)
        edited = cluster.make_task("edited", [{"every": "1s"}], **quick)
        start = task["created_at"]
        code, ledger = cluster.wait_for(lambda: self.with_many(start, "now", "awaited", 4), 60, "fires without a node")
        self.assertEqual((code, ledger["counts"]["unexplained"]), (0, 0), ledger)
        cluster.start_node("node-1")
        cluster.wait_for(lambda: self.fires(task, 10), 60, "fires")

        cluster.nodes["node-1"].kill()
        killed = instants(cluster.runs(task))[-1]
        cluster.wait_for(lambda: self.gone("node-1"), 60, "the node to be seen as gone")
        code, ledger = cluster.wait_for(lambda: self.with_many(start, "now", "awaited", 16), 60, "more fires without a node")
        self.assertEqual((code, ledger["counts"]["unexplained"]), (0, 0), ledger)
        edited = cluster.api.get(f"/tasks/{edited['id']}")
        edited["schedules"] = [{"every": "3s"}]
        changed = cluster.api.request("PUT", f"/tasks/{edited['id']}", edited, {"If-Match": f'"{edited["version"]}"'})
        self.assertEqual(changed.status, 200, changed.body)

        cluster.start_node("node-1")
        cluster.wait_for(lambda: self.later_than(task, killed + 25), 60, "the node to go on")
        stop = cluster.runs(task)[-1]["fire_time"]
        code, ledger = cluster.settled_ledger(start, stop)
        self.assertEqual((code, ledger["counts"]["unexplained"]), (0, 0), (ledger["counts"], ledger["unexplained_fires"][:5]))
        self.assertGreater(ledger["counts"]["missed"], 10)
        # The node that comes back accounts for the version that was superseded while nobody was there.
        self.assertEqual(ledger["counts"]["changed"], 0)
        owed = [run for run in cluster.runs(edited, state="SKIPPED") if run["task_version"] == 1 and run["reason"].startswith("misfire")]
        self.assertGreater(len(owed), 5)
        missed = cluster.runs(task, state="SKIPPED")[-2]
        self.assertEqual(cluster.cli("why", task["id"], missed["fire_time"], "-q").strip(), "misfire_no_node")

    def with_many(self, start, end, verdict, at_least):
        code, ledger = self.cluster.verify(start, end)
        if ledger["counts"][verdict] < at_least:
            raise NotYet(f"{ledger['counts']}")
        return code, ledger

    def gone(self, node):
        if node in self.cluster.online():
            raise NotYet(f"{node} is online")
        return True
