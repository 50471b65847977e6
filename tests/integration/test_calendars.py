"""Calendars on real processes: a blackout a few seconds ahead drops and defers fires on the nodes, an edit of the calendar reaches them, and the ledger explains all."""

import datetime
import os
import tempfile
import time
import unittest

from cluster import CliError, Cluster, NotYet, instants, parse_instant


def local(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


class Calendars(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cloudtask-calendars-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.cluster = Cluster(folder.name, center_options=["--ledger.grace=2s"])
        self.cluster.__enter__()
        self.addCleanup(self.cluster.close)

    def fired_beyond(self, task, seconds):
        fires = instants(self.cluster.runs(task))
        if not fires or fires[-1] < seconds:
            raise NotYet(f"{task['name']} has fired up to {fires[-1:]}")
        return fires

    def test_fires_are_dropped_and_deferred_and_an_edit_reaches_the_nodes(self):
        cluster = self.cluster.start(nodes=2)
        file = os.path.join(self.folder, "calendar.yaml")

        def apply(begin, end):
            with open(file, "w") as out:
                out.write("kind: calendar\nruntime: demo\nname: close\nblackouts:\n")
                out.write(f"  - {{from: '{local(begin)}', to: '{local(end)}', name: Close}}\n")
            return cluster.cli("apply", "-f", file)

        begin = int(time.time()) + 4
        end = begin + 2
        self.assertIn("calendar demo/close created", apply(begin, end))
        quick = {"command": ["/bin/true"], "misfire_tolerance": "5s"}
        dropping = cluster.make_task("dropping", [{"every": "1s", "exclude": ["close"]}], **quick)
        deferring = cluster.make_task("deferring", [{"every": "1s", "exclude": ["close"], "on_excluded": "defer"}], **quick)
        start = dropping["created_at"]
        for task in (dropping, deferring):
            fires = cluster.wait_for(lambda task=task: self.fired_beyond(task, end + 1), 60, "fires after the blackout")
            self.assertLess(fires[0], begin, "it fired before the blackout too")
            self.assertEqual([fire for fire in fires if begin <= fire < end], [])
            self.assertEqual([fire for fire in fires if end <= fire <= end + 1], [end, end + 1])

        # The calendar says something else now: the tasks have a new version, and the nodes go by it.
        second = int(time.time()) + 3
        self.assertIn("calendar demo/close updated", apply(second, second + 2))
        self.assertEqual(cluster.api.get(f"/tasks/{dropping['id']}")["version"], 2)
        fires = cluster.wait_for(lambda: self.fired_beyond(dropping, second + 2), 60, "fires after the second blackout")
        self.assertEqual([fire for fire in fires if second <= fire < second + 2], [])
        fires = cluster.wait_for(lambda: self.fired_beyond(deferring, second + 2), 60, "fires after the second blackout")
        self.assertIn(second + 2, fires)

        stop = cluster.runs(dropping)[-1]["fire_time"]
        code, ledger = cluster.settled_ledger(start, stop)
        self.assertEqual((code, ledger["counts"]["unexplained"], ledger["unexpected"]), (0, 0, 0), ledger)
        reasons = {(each["verdict"], each["reason"]): each["count"] for each in ledger["reasons"]}
        # The first blackout as far as it was over when the calendar changed, and the second.
        self.assertEqual(reasons[("skipped", "calendar close (Close)")], 2 + 2)
        self.assertEqual(reasons[("skipped", "deferred by calendar close (Close)")], 2 + 2)
        self.assertEqual(ledger["due"], sum(ledger["counts"].values()))
        self.assertIn("calendar close (Close)", cluster.cli("why", dropping["id"], local(begin + 1) + "Z"))
        self.assertIn("skipped", cluster.cli("why", dropping["id"], local(begin + 1) + "Z", "-o", "yaml"))
        self.assertEqual(cluster.cli("why", dropping["id"], local(begin + 1) + "Z", "-q").strip(), "calendar")
        self.assertEqual(cluster.cli("why", deferring["id"], local(begin + 1) + "Z", "-q").strip(), "deferred")
        self.assertIn("deferred it", cluster.cli("why", deferring["id"], local(end) + "Z"))
        self.assertEqual(parse_instant(local(end) + "Z"), end)

        with self.assertRaises(CliError) as refused:
            cluster.cli("delete", "calendar", "demo/close")
        self.assertIn("is used by tests/", str(refused.exception))
        holidays = os.path.join(self.folder, "uk.csv")
        with open(holidays, "w") as out:
            out.write("date,name\n2026-12-25,Christmas Day\n2026-12-25,again\n")
        with self.assertRaises(CliError) as refused:
            cluster.cli("calendar", "import", holidays, "--runtime", "demo", "--name", "uk")
        self.assertIn(f"{holidays}:3", str(refused.exception))
        with open(holidays, "w") as out:
            out.write("date,name\n2026-12-25,Christmas Day\n")
        cluster.cli("calendar", "import", holidays, "--runtime", "demo", "--name", "uk", "--zone", "Europe/London")
        self.assertIn("Christmas Day", cluster.cli("get", "calendars", "demo/uk", "-o", "yaml"))
        cluster.cli("delete", "calendar", "demo/uk")


if __name__ == "__main__":
    unittest.main()
