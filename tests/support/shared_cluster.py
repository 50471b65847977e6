"""One cluster for all tests of a module: start() in setUpModule(), stop() in tearDownModule(), `current` in between, and SharedClusterTest for their classes.

The data goes into a temporary folder that is removed, except when CLOUDTASK_KEEP_TEST_DATA is set.
"""

import os
import shutil
import tempfile
import unittest

from cluster import Cluster

current = None


def start(nodes=3, **options):
    global current
    current = Cluster(tempfile.mkdtemp(prefix="cloudtask-test-"), **options)
    current.__enter__()
    try:
        if nodes:
            current.start(nodes)
    except BaseException:
        stop()
        raise
    return current


def stop():
    global current
    if current:
        current.close()
        if os.environ.get("CLOUDTASK_KEEP_TEST_DATA"):
            print(f"kept: {current.folder}", flush=True)
        else:
            shutil.rmtree(current.folder, ignore_errors=True)
        current = None


class SharedClusterTest(unittest.TestCase):
    def setUp(self):
        self.cluster = current
        self.api = self.cluster.api

    def make_task(self, name, schedules=(), **fields):
        """A task that is disabled when the test ends."""
        task = self.cluster.make_task(name, schedules, **fields)
        self.addCleanup(self.cluster.disable, task)
        return task
