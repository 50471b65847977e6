"""The plan of faults: what a seed gives."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import faults  # noqa: E402


class Plan(unittest.TestCase):
    NODES = [f"node-{number}" for number in range(1, 6)]

    def plan(self, seed, seconds=600, ensemble=True):
        return faults.plan(seed, seconds, self.NODES, ensemble)

    def test_a_seed_gives_the_same_plan_and_another_one_another(self):
        self.assertEqual(self.plan(1), self.plan(1))
        self.assertNotEqual(self.plan(1), self.plan(2))

    def test_every_kind_comes_and_ends_within_the_run(self):
        for seed in range(20):
            plan = self.plan(seed)
            self.assertEqual({fault.kind for fault in plan}, set(faults.KINDS))
            self.assertTrue(all(fault.at + fault.seconds <= 600 for fault in plan))

    def test_one_server_has_no_leader_to_lose(self):
        self.assertFalse([fault for fault in self.plan(3, ensemble=False) if "leader" in fault.kind])

    def test_one_fault_at_a_time_for_one_target_and_one_node_is_always_well(self):
        for seed in range(20):
            plan = self.plan(seed)
            for fault in plan:
                now = [other for other in plan if other is not fault and other.at <= fault.at < other.at + other.seconds]
                self.assertNotIn(fault.target, [other.target for other in now])
                self.assertLess(len({other.target for other in [fault, *now]} & set(self.NODES)), len(self.NODES))
