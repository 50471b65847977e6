"""The policies of tasks on real processes: retry (on the same node, and from node to node), queue, replace, start deadline, soft limit, the
rule of success; across kills of the node that has what waits. In the end the ledger explains every fire."""

import itertools
import os
import tempfile
import unittest

import shared_cluster
from api import ApiError
from cluster import NotYet, instants, parse_instant
from mail_receiver import text_of

# Fails twice, then succeeds; says which attempt it is.
THIRD_TIME = 'echo "attempt $CLOUDTASK_ATTEMPT"; [ "$CLOUDTASK_ATTEMPT" -ge 3 ]'


def setUpModule():
    shared_cluster.start(nodes=2, center_options=["--ledger.grace=2s"])


def tearDownModule():
    shared_cluster.stop()


class Policies(shared_cluster.SharedClusterTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="cloudtask-policies-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def attempts(self, task, at_least, state=None):
        """The runs of the first fire of the task, or of its manual starts, by attempt; NotYet before there are so many in that state."""
        runs = self.cluster.runs(task)
        fires = [list(group) for _, group in itertools.groupby(runs, key=lambda run: run.get("fire_time") or "")]
        first = sorted(fires[0], key=lambda run: run["attempt"]) if fires else []
        if len([run for run in first if state in (None, run["state"])]) < at_least:
            raise NotYet(f"{[(run['attempt'], run['state'], run['reason']) for run in first]}")
        return first

    def in_state(self, task, state, at_least, reason=""):
        runs = [run for run in self.cluster.runs(task, state=state) if reason in run["reason"]]
        if len(runs) < at_least:
            raise NotYet(f"{[(run['state'], run['reason']) for run in self.cluster.runs(task)][-6:]}")
        return runs

    def test_every_policy_and_the_ledger_explains_it_all(self):
        retry = {"attempts": 3, "delay": "400ms", "factor": 2}
        flaky = self.make_task("flaky", [{"every": "3s"}], shell=THIRD_TIME, retry=retry)
        other_code = self.make_task("other-code", [{"every": "2s"}], shell="exit 1", retry={**retry, "exit_codes": ["75-78"]})
        queue = self.make_task("queue", [{"every": "1s"}], shell="sleep 1.4", overlap="queue", queue_limit=2)
        dated = self.make_task("dated", [{"every": "1s"}], shell="sleep 2.6", overlap="queue", start_deadline="1s")
        newest = self.make_task("newest", [{"every": "2s"}], shell="trap 'sleep 0.3; exit 0' TERM; sleep 60 & wait", overlap="replace", grace="5s")
        slow = self.make_task("slow", [{"every": "4s"}], shell="sleep 2", soft_limit="1s", notify=["slow@example.org"])
        ready = self.make_task("ready", [{"every": "2s"}], shell="echo working; echo ready: 12; exit 3",
                               success={"exit_codes": [0, "2-4"], "output": {"pattern": r"^ready: \d+$"}})
        errors = self.make_task("errors", [{"every": "2s"}], shell="echo 'ERROR: no' >&2",
                                success={"output": {"stream": "stderr", "pattern": "ERROR", "matches": False}})
        slowly = self.make_task("slowly", [{"every": "6s"}], shell=THIRD_TIME, retry={"attempts": 3, "delay": "2s", "factor": 1})
        noted = os.path.join(self.folder, "noted")
        mutual = [self.make_task(f"mutual-{overlap}", [{"every": "1s"}], mutex="door", overlap=overlap,
                                 shell=f"echo begin $(date +%s.%N) {overlap} >>{noted}; sleep 0.4; echo end $(date +%s.%N) {overlap} >>{noted}")
                  for overlap in ("queue", "forbid")]
        wait_for = self.cluster.wait_for
        self.assertIn("is tried again on the same node, 2 times at the most, after 400ms, 800ms", self.cluster.cli("describe", flaky["id"]))
        self.assertIn("while 2 wait, further ones are skipped", self.cluster.cli("describe", queue["id"]))

        runs = wait_for(lambda: self.attempts(flaky, 1, "SUCCEEDED"), 40, "a third attempt")
        self.assertEqual([(run["attempt"], run["state"], run["trigger"]) for run in runs],
                         [(1, "FAILED", "schedule"), (2, "FAILED", "retry"), (3, "SUCCEEDED", "retry")])
        self.assertEqual(len({run["node_id"] for run in runs}), 1)
        self.assertEqual(self.api.log(runs[2]["id"]).decode(), "attempt 3\n")
        for earlier, later, delay in zip(runs, runs[1:], (0.4, 0.8)):
            waited = parse_instant(later["started_at"]) - parse_instant(earlier["ended_at"])
            self.assertGreaterEqual(waited, delay)
            self.assertLess(waited, delay + 1.5)
        self.assertIn("attempt 2 of 3 follows at", runs[0]["reason"])

        wait_for(lambda: self.in_state(other_code, "FAILED", 2), 40, "runs that exit with another code")
        self.assertEqual({run["attempt"] for run in self.cluster.runs(other_code)}, {1})

        wait_for(lambda: self.in_state(queue, "SUCCEEDED", 4), 40, "runs of the queue")
        wait_for(lambda: self.in_state(queue, "SKIPPED", 1, "the queue is full, as 2 fires wait in it"), 40, "a full queue")
        ended = sorted(self.cluster.runs(queue, state="SUCCEEDED"), key=lambda run: run["fire_time"])
        for earlier, later in zip(ended, ended[1:]):
            self.assertLessEqual(parse_instant(earlier["ended_at"]), parse_instant(later["started_at"]), "two at once, or out of order")
        late = wait_for(lambda: self.in_state(dated, "SKIPPED", 1, "deadline: it had not begun 1s after it was due"), 40, "a deadline")
        self.assertEqual(self.cluster.cli("why", dated["id"], late[0]["fire_time"], "-q").strip(), "deadline")

        stopped = wait_for(lambda: self.in_state(newest, "STOPPED", 2, "replaced by the run"), 40, "runs that are replaced")
        runs = {run["id"]: run for run in self.cluster.runs(newest)}
        for run in stopped:
            by = runs[run["reason"].split("replaced by the run ")[1].split(" ")[0]]
            self.assertGreater(by["fire_time"], run["fire_time"])
            if by.get("started_at"):
                self.assertGreaterEqual(parse_instant(by["started_at"]), parse_instant(run["ended_at"]))

        wait_for(lambda: self.in_state(slow, "SUCCEEDED", 1, "its soft limit of 1s has passed"), 40, "a run beyond its soft limit")
        mails = wait_for(lambda: self.mails_about("demo/tests/slow takes long"), 40, "the mail about it")
        self.assertIn("its soft limit of 1s has passed", text_of(mails[0]))

        self.assertEqual(wait_for(lambda: self.in_state(ready, "SUCCEEDED", 1), 40, "a success by the rule")[0]["exit_code"], 3)
        self.assertEqual(wait_for(lambda: self.in_state(errors, "FAILED", 1), 40, "a failure by the rule")[0]["reason"],
                         "the end of its stderr matches 'ERROR'")

        # Whoever has what waits is killed.
        waiting = wait_for(lambda: self.in_state(slowly, "PENDING", 1), 40, "an attempt that waits")[0]
        self.assertIn("retry: attempt", waiting["reason"])
        node = self.cluster.nodes[waiting["node_name"]]
        node.kill()
        node.start()
        again = self.cluster.wait_for_run(waiting, 40)
        self.assertIn(again["state"], ("SUCCEEDED", "FAILED"))
        wait_for(lambda: self.attempts(slowly, 1, "SUCCEEDED"), 60, "its last attempt")

        # So is the node that has the mutex; its session ends long after the run that it leaves behind.
        wait_for(lambda: self.in_state(mutual[1], "SKIPPED", 1, "holds the mutex door"), 40, "a fire that met a run of the other task")
        held = wait_for(lambda: self.in_state(mutual[0], "SUCCEEDED", 1), 40, "a run under the mutex")[0]
        node = self.cluster.nodes[held["node_name"]]
        node.kill()
        node.start()
        known = len(self.noted(noted))
        wait_for(lambda: self.noted(noted, known + 12), 60, "further runs under the mutex")

        for task in (flaky, other_code, queue, dated, newest, slow, ready, errors, slowly, *mutual):
            self.cluster.disable(task)
        code, ledger = self.cluster.settled_ledger(flaky["created_at"])
        self.assertEqual((code, ledger["counts"]["unexplained"]), (0, 0), ledger["unexplained_fires"][:5])
        self.assertEqual(ledger["unexpected"], 0, ledger["unexpected_fires"][:5])
        doubles = [fire for fire, group in itertools.groupby(sorted(instants(self.cluster.runs(other_code)))) if len(list(group)) > 1]
        self.assertEqual(doubles, [])
        lines = sorted(self.noted(noted), key=lambda line: float(line[1]))
        self.assertEqual([line[0] for line in lines], ["begin", "end"] * (len(lines) // 2), "two at once under the mutex")
        self.assertEqual({line[2] for line in lines}, {"queue", "forbid"})

    def test_attempts_go_from_node_to_node(self):
        path = os.path.join(self.folder, "first")
        # Fails on the node on which it runs first, and on no other.
        picky = self.make_task("picky", [{"every": "4s"}], overlap="allow", max_parallel=10, retry={"attempts": 3, "delay": "300ms", "node": "other"},
                               shell=f'f={path}.${{CLOUDTASK_FIRE_TIME}}; (set -C; echo $CLOUDTASK_NODE >$f) 2>/dev/null; [ "$(cat $f)" != "$CLOUDTASK_NODE" ]')
        never = self.make_task("never", [{"every": "3s"}], overlap="allow", max_parallel=10, shell="exit 1",
                               retry={"attempts": 4, "delay": "200ms", "factor": 1, "node": "other"})
        self.assertIn("is tried again on another node", self.cluster.cli("describe", picky["id"]))
        with self.assertRaises(ApiError) as refused:
            self.make_task("alone", [{"every": "4s"}], shell="true", retry={"node": "other"})
        self.assertEqual(refused.exception.reply.status, 422)
        self.assertIn("'other' does not go with the overlap 'forbid'", refused.exception.reply.json()["detail"])

        wait_for = self.cluster.wait_for
        runs = wait_for(lambda: self.attempts(picky, 1, "SUCCEEDED"), 40, "a second attempt that succeeds")
        self.assertEqual([(run["attempt"], run["state"], run["trigger"]) for run in runs], [(1, "FAILED", "schedule"), (2, "SUCCEEDED", "retry")])
        self.assertNotEqual(runs[0]["node_id"], runs[1]["node_id"])
        self.assertGreaterEqual(parse_instant(runs[1]["started_at"]) - parse_instant(runs[0]["ended_at"]), 0.3)
        why = self.cluster.cli("why", picky["id"], runs[0]["fire_time"])
        self.assertIn(f"It ran on node {runs[1]['node_name']}", why)
        self.assertIn(f"Attempt 1 is FAILED, on node {runs[0]['node_name']}.", why)

        # To and fro; each node is killed while attempts go between them, and the center as well.
        wait_for(lambda: self.attempts(never, 4, "FAILED"), 40, "four attempts")
        for node in self.cluster.nodes.values():
            node.kill()
            node.start()
        self.cluster.center.kill()
        self.cluster.start_center()
        known = len(self.cluster.runs(never))
        wait_for(lambda: self.more_than(never, known + 8), 60, "further attempts")
        for task in (picky, never):
            self.cluster.disable(task)
        wait_for(lambda: self.none_open(never), 40, "an end of the attempts")
        code, ledger = self.cluster.settled_ledger(picky["created_at"])
        self.assertEqual((code, ledger["counts"]["unexplained"]), (0, 0), ledger["unexplained_fires"][:5])
        self.assertEqual(ledger["unexpected"], 0, ledger["unexpected_fires"][:5])
        attempts = [(run["fire_time"], run["attempt"]) for run in self.cluster.runs(never) if run["trigger"] != "rerun"]
        self.assertEqual(len(attempts), len(set(attempts)))
        by_id = sorted(self.cluster.runs(never), key=lambda run: (run["fire_time"], run["attempt"]))
        for earlier, later in zip(by_id, by_id[1:]):
            if earlier["fire_time"] == later["fire_time"] and later.get("started_at") and earlier["state"] == "FAILED":
                self.assertIn("follows at", earlier["reason"])

    def more_than(self, task, count):
        runs = self.cluster.runs(task)
        if len(runs) <= count:
            raise NotYet(f"{len(runs)} of {count} runs")
        return runs

    def none_open(self, task):
        still = [(run["state"], run["reason"]) for run in self.cluster.runs(task) if run["state"] in ("PENDING", "RUNNING")]
        if still:
            raise NotYet(f"{still[:5]}")
        return True

    def noted(self, path, at_least=0):
        """What the runs under the mutex wrote: [begin or end, when, which]. NotYet before there are so many lines."""
        lines = []
        if os.path.exists(path):
            with open(path, encoding="utf-8") as file:
                lines = [line.split() for line in file]
        if len(lines) < at_least:
            raise NotYet(f"{len(lines)} of {at_least} lines: {lines[-4:]}")
        return lines

    def mails_about(self, subject):
        mails = [mail for mail in self.cluster.mail.mails() if subject in mail["Subject"]]
        if not mails:
            raise NotYet(f"{[mail['subject'] for mail in self.cluster.mail.mails()][-5:]}")
        return mails


if __name__ == "__main__":
    unittest.main()
