"""Shards and broadcast on real processes: eight shards on three nodes, of which one is killed and comes back; changes of the mode; starts by
hand; a fire as a whole. In the end the ledger explains every fire of every shard."""

import collections
import unittest

import shared_cluster
from cluster import NotYet, parse_instant

SHARDS = 8


def setUpModule():
    shared_cluster.start(nodes=3, center_options=["--ledger.grace=2s"])


def tearDownModule():
    shared_cluster.stop()


class Shards(shared_cluster.SharedClusterTest):
    def owners_of(self, task):
        """{shard: node name}, or {node name: node name} of a broadcast."""
        owners = self.api.get(f"/tasks/{task['id']}/owner").get("owners", [])
        return {piece.get("shard", piece["node_name"]): piece["node_name"] for piece in owners}

    def whole_fire(self, task, after, pieces, state="SUCCEEDED"):
        """The first fire after that instant, once it is in that state with so many pieces; NotYet before."""
        fires = [fire for fire in self.api.get(f"/tasks/{task['id']}/fires?limit=50")["items"] if parse_instant(fire["fire_time"]) > after]
        good = [fire for fire in fires if fire["state"] == state and len(fire["pieces"]) == pieces]
        if not good:
            raise NotYet(f"{[(fire['fire_time'], fire['state'], fire['counts']) for fire in fires[:4]]}")
        return good[-1]

    def without(self, task, victim, count):
        owners = self.owners_of(task)
        if victim in owners.values() or len(owners) != count:
            raise NotYet(f"{owners}")
        return owners

    def log_of(self, run_id):
        return self.api.log(run_id).decode().strip()

    def test_each_shard_is_a_task_of_its_own_and_the_whole_is_one(self):
        cluster, wait_for = self.cluster, self.cluster.wait_for
        parts = self.make_task("parts", [{"every": "1s"}], mode="shards", shards=SHARDS, overlap="allow", max_parallel=4,
                               shell='echo "$CLOUDTASK_SHARD of $CLOUDTASK_SHARDS on $CLOUDTASK_NODE"')
        slow = self.make_task("slow", [{"every": "2s"}], mode="shards", shards=2, shell='[ "$CLOUDTASK_SHARD" = 1 ] || sleep 5')
        everywhere = self.make_task("everywhere", [{"every": "1s"}], mode="broadcast", shell="echo $CLOUDTASK_NODE", overlap="allow", max_parallel=4)
        only = self.make_task("only", [{"every": "1s"}], mode="broadcast", targets=["node-2"], shell="true")
        mode = self.make_task("mode", [{"every": "1s"}], shell="true")

        fire = wait_for(lambda: self.whole_fire(parts, 0, SHARDS), 40, "a fire of all shards")
        before = self.owners_of(parts)
        self.assertEqual(sorted(before), list(range(SHARDS)))
        self.assertGreater(len(set(before.values())), 1, "the shards are spread")
        for piece in fire["pieces"]:
            self.assertEqual(self.log_of(piece["run_id"]), f"{piece['shard']} of {SHARDS} on {piece['node_name']}")
        everyone = wait_for(lambda: self.whole_fire(everywhere, 0, 3), 40, "a fire on every node")
        self.assertEqual({self.log_of(piece["run_id"]) for piece in everyone["pieces"]}, set(cluster.nodes))
        self.assertEqual({run["node_name"] for run in wait_for(lambda: cluster.runs(only, state="SUCCEEDED"), 30, "a run")}, {"node-2"})

        # A shard that takes long keeps none but itself from its next fire.
        wait_for(lambda: cluster.runs(slow, state="SKIPPED", shard=0), 40, "an overlap of the slow shard")
        self.assertEqual(cluster.runs(slow, state="SKIPPED", shard=1), [])

        victim = collections.Counter(before.values()).most_common(1)[0][0]
        cluster.nodes[victim].kill()
        after = wait_for(lambda: self.without(parts, victim, SHARDS), 60, f"the others to take over from {victim}")
        self.assertEqual({shard for shard in before if before[shard] != after[shard]},
                         {shard for shard in before if before[shard] == victim}, "exactly the dead node's shards moved")
        now = parse_instant(self.api.get(f"/tasks/{parts['id']}/fires?limit=1")["items"][0]["fire_time"])
        fire = wait_for(lambda: self.whole_fire(parts, now, SHARDS), 60, "a fire of all shards on two nodes")
        self.assertEqual({piece["shard"]: piece["node_name"] for piece in fire["pieces"]}, after)
        wait_for(lambda: self.whole_fire(everywhere, now, 2), 30, "the broadcast to go on at the others")

        # Changes meanwhile: fewer shards, a single task that gets some and is single again.
        fewer = self.change(parts, mode="shards", shards=3)
        self.change(mode, mode="shards", shards=2)
        fire = wait_for(lambda: self.whole_fire(parts, parse_instant(fewer["effective_from"]), 3), 40, "a fire of three shards")
        wait_for(lambda: self.whole_fire(mode, now, 2), 40, "a fire of two shards")
        single = self.change(mode, mode="single")
        wait_for(lambda: self.whole_fire(mode, parse_instant(single["effective_from"]), 1), 40, "a fire of the single task")

        cluster.start_node(victim)
        cluster.wait_until_allocated(cluster.nodes)
        wait_for(lambda: self.whole_fire(everywhere, now, 3), 60, f"the broadcast to be back on {victim}")
        self.check_starts_by_hand(parts, everywhere)
        self.check_command_line(parts, fire["fire_time"])

        for task in (parts, slow, everywhere, only, mode):
            cluster.disable(task)
        code, ledger = cluster.settled_ledger("-10m")
        self.assertEqual((code, ledger["counts"]["unexplained"], ledger["unexpected"]), (0, 0, 0), ledger)
        self.assertGreater(ledger["counts"]["ran"] + ledger["counts"]["late"], 100)
        for task in (parts, everywhere):
            fires = [(run["piece"], run["fire_time"]) for run in cluster.runs(task, state="SUCCEEDED") if run.get("fire_time")]
            self.assertEqual(len(fires), len(set(fires)), f"a fire of a piece of {task['name']} succeeded twice")

    def change(self, task, **fields):
        present = self.api.get(f"/tasks/{task['id']}")
        present.pop("shards", None)
        return self.api.call("PUT", f"/tasks/{task['id']}", {**present, **fields}, {"If-Match": f'"{present["version"]}"'})

    def check_starts_by_hand(self, parts, everywhere):
        started = self.api.post(f"/tasks/{parts['id']}/start")["items"]
        self.assertEqual([run["shard"] for run in started], [0, 1, 2])
        for run in started:
            self.assertEqual(self.cluster.wait_for_run(run)["state"], "SUCCEEDED")
        self.assertIn("shard 1 of demo/tests/parts", self.cluster.cli("task", "start", parts["id"], "--shard", "1"))
        self.cluster.cli("task", "start", everywhere["id"], "--wait", "-q")
        self.assertEqual(len(self.api.post(f"/tasks/{everywhere['id']}/start?node=node-3")["items"]), 1)

    def check_command_line(self, parts, fire_time):
        cli = self.cluster.cli
        self.assertIn("3 SUCCEEDED", cli("task", "fires", parts["id"]))
        self.assertEqual(len(cli("task", "fires", parts["id"], "-n", "1", "--pieces").splitlines()), 4)
        self.assertIn("shard 2", cli("why", parts["id"], fire_time))
        self.assertIn(cli("why", parts["id"], fire_time, "--shard", "1", "-q").strip(), ("ran", "ran_late"))
        self.assertEqual(len(cli("owner", parts["id"], "-q").split()), 3)


if __name__ == "__main__":
    unittest.main()
