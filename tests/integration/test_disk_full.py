"""The disk of the center is full: errors are seen, state is kept, and all goes on when there is room again."""

import os
import subprocess
import tempfile
import unittest

from cluster import Cluster, NotYet


class DiskFull(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="cloudtask-test-")
        self.addCleanup(os.rmdir, folder)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "none", folder], capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            self.skipTest(f"cannot mount a small file system: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        self.small_disk = folder

    def fill(self):
        """Takes all room on the small disk."""
        path = os.path.join(self.small_disk, "filler")
        with open(path, "ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass
        return path

    def test_center_refuses_says_so_keeps_its_state_and_goes_on(self):
        with tempfile.TemporaryDirectory(prefix="cloudtask-test-") as folder, Cluster(folder) as cluster:
            cluster.start_zookeeper()
            cluster.start_mail()
            cluster.start_center(data=os.path.join(self.small_disk, "center"))
            cluster.log_in()
            cluster.make_runtime()
            cluster.start_node("node-1")
            cluster.wait_until_allocated(["node-1"])
            task = cluster.make_task("steady", [{"every": "1s"}], shell="seq 1 20")
            cluster.wait_for(lambda: len(cluster.runs(task, state="SUCCEEDED")) >= 2, 30, "two runs")
            known = {run["id"] for run in cluster.runs(task, state="SUCCEEDED")}

            filler = self.fill()
            reply = cluster.wait_for(lambda: self.refused_package(cluster), 30, "an upload to be refused")
            self.assertIn(reply.status, (503, 507))
            self.assertTrue(reply.is_problem())
            self.assertEqual(cluster.api.get(f"/tasks/{task['id']}")["name"], "steady", "reading goes on")
            self.assertTrue(cluster.center.running())
            before = len(cluster.runs(task))

            os.remove(filler)
            cluster.make_task("later", command=["/bin/true"])

            def caught_up():
                runs = cluster.runs(task)
                if len(runs) < before + 5:
                    raise NotYet(f"{len(runs)} runs, {before} before")
                return runs

            runs = cluster.wait_for(caught_up, 60, "the reports to come in again")
            self.assertLessEqual(known, {run["id"] for run in runs}, "history was lost")
            fires = [run["fire_time"] for run in runs]
            self.assertEqual(len(fires), len(set(fires)))

    def refused_package(self, cluster):
        reply = cluster.api.request("POST", "/packages?filename=big.sh", b"#!/bin/sh\n" + os.urandom(1 << 20))
        return reply if reply.status >= 500 else None
