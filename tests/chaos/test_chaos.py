"""Chaos, short: nodes, ZooKeeper, the center and the ways between them fail for half a minute, and then every fire is accounted for."""

import os
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import report  # noqa: E402
from chaos import Chaos, Options  # noqa: E402

OPTIONS = Options(seed=13, seconds=25, nodes=4, zookeepers=1, rate=30, change_period=1)


class ShortChaos(unittest.TestCase):
    def test_no_fire_is_started_twice_and_none_is_unexplained(self):
        folder = tempfile.mkdtemp(prefix="cloudtask-chaos-")
        findings = Chaos(OPTIONS, folder, lambda text: None).run()
        if not findings.good():
            report.write_timelines(findings, folder)
            self.fail(f"the data folder: {folder}\n{report.render(findings)}")
        shutil.rmtree(folder)
        self.assertGreater(findings.verdict.expected, 300)
        self.assertGreater(findings.verdict.ran, findings.verdict.expected // 2)
        self.assertGreaterEqual(len(findings.faults), 6, findings.faults)
