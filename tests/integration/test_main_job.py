"""The main job, as scripts/run shows it, and that scripts/run leaves nothing behind."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import unittest

from cluster import ROOT, clean_environment
from processes import alive, tail, wait_for

RUN = os.path.join(ROOT, "scripts", "run")
PID = re.compile(r"\(pid (\d+)\)")


def environment():
    kept = {"CLOUDTASK_BIN": os.environ["CLOUDTASK_BIN"]} if "CLOUDTASK_BIN" in os.environ else {}
    return clean_environment(**kept)


class MainJob(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="cloudtask-main-job-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.data = os.path.join(self.folder, "data")
        self.output = os.path.join(self.folder, "output")

    def read_output(self):
        with open(self.output, encoding="utf-8", errors="replace") as file:
            return file.read()

    def start(self, *words):
        with open(self.output, "wb") as output:
            process = subprocess.Popen([RUN, "--no-build", "--data", self.data, *words], stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                                       env=environment(), start_new_session=True)

        def end():
            if process.poll() is None:
                process.terminate()  # it stops what it started
                process.wait()

        self.addCleanup(end)
        return process

    def test_once_shows_all_of_it_and_leaves_nothing_running(self):
        process = self.start("--once")
        wait_for(lambda: process.poll() is not None, 300, "scripts/run --once to end")
        output = self.read_output()
        self.assertEqual(process.returncode, 0, output)
        self.assertIn("All of it was seen to happen", output)
        pids = PID.findall(output)
        self.assertGreaterEqual(len(pids), 5, output)  # ZooKeeper, center, three nodes
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_ending_it_early_stops_what_it_started(self):
        process = self.start()
        wait_for(lambda: len(PID.findall(self.read_output())) >= 5 or process.poll() is not None, 60, "the cluster to be started")
        self.assertIsNone(process.poll(), tail(self.output))
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: process.poll() is not None, 60, "scripts/run to end")
        self.assertEqual(process.returncode, 0, self.read_output())
        self.assertEqual([pid for pid in PID.findall(self.read_output()) if alive(pid)], [])
