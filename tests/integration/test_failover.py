"""A node dies: its tasks, and no others, go on at other nodes; what it was running shows as LOST; when it returns, they come back."""

import unittest

import shared_cluster
from cluster import NotYet, parse_instant

TASKS = [f"worker-{number:02}" for number in range(1, 16)]


def setUpModule():
    shared_cluster.start(nodes=3)


def tearDownModule():
    shared_cluster.stop()


class Failover(shared_cluster.SharedClusterTest):
    def fires_after(self, task, instant, node):
        """True once `node` has run a fire of `task` that was due after `instant`."""
        newest = self.cluster.runs(task, state="SUCCEEDED")[-3:]
        seen = [run for run in newest if run["node_name"] == node and parse_instant(run["fire_time"]) > instant]
        if not seen:
            raise NotYet(f"{task['name']}: newest {[(run['node_name'], run['fire_time']) for run in newest]}")
        return True

    def owners_without(self, absent):
        owners = {name: owner for name, owner in self.cluster.owners(group="tests").items() if name in TASKS}
        if absent in owners.values() or None in owners.values():
            raise NotYet(f"{owners}")
        return owners

    def test_only_the_dead_node_s_tasks_move_and_they_return_with_it(self):
        cluster = self.cluster
        tasks = {name: cluster.make_task(name, [{"every": "1s"}], command=["/bin/true"]) for name in TASKS}
        for task in tasks.values():
            cluster.wait_for(lambda task=task: cluster.runs(task, state="SUCCEEDED"), 60, f"a run of {task['name']}")
        before = self.owners_without(None)
        victim = max(cluster.nodes, key=lambda node: sum(1 for owner in before.values() if owner == node))
        mine = [name for name in TASKS if before[name] == victim]
        self.assertGreater(len(mine), 0)

        long_run = self.long_run_on(victim)
        killed_at = self.newest_fire(tasks)
        cluster.nodes[victim].kill()

        after = cluster.wait_for(lambda: self.owners_without(victim), 60, f"the others to take over from {victim}")
        self.assertEqual({name for name in TASKS if after[name] != before[name]}, set(mine), "exactly the dead node's tasks moved")
        for name, task in tasks.items():
            cluster.wait_for(lambda task=task, name=name: self.fires_after(task, killed_at, after[name]), 60, f"{name} to go on at {after[name]}")
        lost = cluster.wait_for_run(long_run, timeout=90)
        self.assertEqual(lost["state"], "LOST", lost)
        cluster.wait_for(lambda: any(long_run["id"] in mail.as_string() for mail in cluster.mail.mails()), 60, "the mail about the lost run")

        cluster.start_node(victim)
        cluster.wait_until_allocated(cluster.nodes)
        self.assertEqual({name: owner for name, owner in cluster.owners(group="tests").items() if name in TASKS},
                         {name: before[name] for name in TASKS}, "the tasks are where they were")
        for name in mine:
            cluster.wait_for(lambda name=name: self.fires_after(tasks[name], killed_at, victim), 60, f"{name} to be back at {victim}")
        for task in tasks.values():
            fires = [run["fire_time"] for run in cluster.runs(task)]
            self.assertEqual(len(fires), len(set(fires)), f"a fire of {task['name']} stands twice in the history")

    def newest_fire(self, tasks):
        return max(parse_instant(run["fire_time"]) for task in tasks.values() for run in self.cluster.runs(task)[-1:])

    def long_run_on(self, node):
        """A run that is RUNNING on that node, pinned there by the task's targets."""
        task = self.cluster.make_task("pinned", shell="sleep 1003", targets=[node], notify=["owner@example.org"])
        run = self.cluster.wait_for(lambda: self.cluster.start_task(task), 30, f"{node} to take the pinned task")
        return self.cluster.wait_for_run(run, states=("RUNNING",))
