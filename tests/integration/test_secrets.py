"""Secrets on real processes: a run has them, and nobody else sees them: not in logs, answers, mails, databases, ZooKeeper or the programs' own
logs; across a kill of the node in the middle of a secret, a new value, and a new key."""

import base64
import glob
import hashlib
import os
import shutil
import tempfile
import unittest

import shared_cluster
from api import ApiError
from cluster import CliError, NotYet
from mail_receiver import text_of

PASSWORD = "first-hunter2-Tr0ub4dor"
NEXT_PASSWORD = "second-hunter2-c0rrect"
KEY = "-----BEGIN KEY-----\nbm90LWEtcmVhbC1rZXktMQ==\nbm90LWEtcmVhbC1rZXktMg==\n-----END KEY-----\n"
# What must not be found anywhere: the values, lines of them, and how JSON of the protocol would have them.
VALUES = [PASSWORD, NEXT_PASSWORD, *KEY.split("\n")[1:3]]
NEEDLES = [needle for value in VALUES for needle in (value.encode(), base64.b64encode(value.encode())[:20])]

# Prints all that it was given, and hashes of it, which nobody stars.
TELLS = """
echo "password: $DB_PASSWORD."
cat "$KEY_FILE" >&2
printf %s "$DB_PASSWORD" | sha256sum
sha256sum < "$KEY_FILE"
stat -c 'mode %a' "$KEY_FILE"
echo "$KEY_FILE" > "$PLACE"
exit 3
"""
# Prints its secret in two halves, and waits in between.
HALVES = """
half=$(printf %s "$DB_PASSWORD" | cut -c1-9)
rest=$(printf %s "$DB_PASSWORD" | cut -c10-)
echo begun
printf '>%s' "$half"
while [ ! -e "$GO_ON" ]; do sleep 0.02; done
printf '%s<\\n' "$rest"
"""

memory = None


def setUpModule():
    global memory
    memory = tempfile.mkdtemp(prefix="cloudtask-test-", dir="/dev/shm")
    shared_cluster.start(nodes=2, node_options=[f"--secrets.folder={memory}"])


def tearDownModule():
    shared_cluster.stop()
    shutil.rmtree(memory, ignore_errors=True)


class Secrets(shared_cluster.SharedClusterTest):
    def set_secret(self, name, value):
        return self.cluster.cli("secret", "set", name, stdin=value)

    def log_of(self, run, stream="stdout"):
        return self.api.log(run["id"], stream=stream).decode()

    def test_a_run_has_its_secrets_and_nobody_else_sees_them(self):
        cluster = self.cluster
        with self.assertRaises(ApiError) as refused:
            cluster.make_task("early", shell="true", secrets={"DB": "db"})
        self.assertEqual(refused.exception.reply.status, 422)
        self.assertIn("/secrets/DB", str(refused.exception))
        self.assertIn("secret demo/tests/key set", self.set_secret("demo/tests/key", KEY))
        self.set_secret("demo/db", PASSWORD + "\n")
        listed = cluster.cli("secret", "list", "demo")
        self.assertIn("demo/tests/key", listed)
        self.assertIn("demo/db ", listed)

        # A task that was saved this moment is started with secrets that its node has not heard of yet; its end is mailed with its output.
        place = os.path.join(memory, "place")
        tells = cluster.make_task("tells", shell=TELLS, secrets={"DB_PASSWORD": "db", "KEY_FILE": {"secret": "key", "as": "file"}},
                               environment={"PLACE": place}, notify=["ops@example.org"], targets=["node-1"])
        run = cluster.run_now(tells)
        self.assertEqual((run["state"], run.get("exit_code")), ("FAILED", 3), run["reason"])
        self.assertEqual(sorted(run["secrets"]), ["db", "key"])
        out = self.log_of(run).splitlines()
        self.assertEqual(out[0], f"password: {'*' * len(PASSWORD)}.")
        self.assertEqual(out[1].split()[0], hashlib.sha256(PASSWORD.encode()).hexdigest())
        self.assertEqual(out[2].split()[0], hashlib.sha256(KEY.encode()).hexdigest())
        self.assertEqual(out[3], "mode 400")
        self.assertEqual(set(self.log_of(run, "stderr")), {"*"})
        with open(place, encoding="utf-8") as file:
            key_file = file.read().strip()
        self.assertTrue(key_file.startswith(memory), key_file)
        self.assertFalse(os.path.exists(key_file), "the file is still there after the run")
        mail = cluster.wait_for(self.mail_about_tells, 30, "the mail about the failure")
        self.assertIn("*" * len(KEY.strip()), text_of(mail))

        # Killed in the middle of a secret that has got another value by the time the rest of it comes.
        go_on = os.path.join(memory, "go-on")
        halves = cluster.make_task("halves", shell=HALVES, secrets={"DB_PASSWORD": "db"}, environment={"GO_ON": go_on}, targets=["node-1"])
        run = cluster.wait_for(lambda: cluster.start_task(halves), 30, "a node that takes the run")
        cluster.wait_for(lambda: self.begun(run), 30, "its first half")
        node = cluster.nodes["node-1"]
        node.kill()
        self.set_secret("demo/db", NEXT_PASSWORD)
        node.start()
        node.wait_until_listening()
        cluster.wait_for(lambda: self.run_with(tells, NEXT_PASSWORD), 30, "the new value on the node")
        with open(go_on, "w", encoding="ascii"):
            pass
        ended = cluster.wait_for_run(run, 30)
        self.assertEqual(self.log_of(ended), f"begun\n>{'*' * len(PASSWORD)}<\n", ended)

        # A new key, by which all is encrypted anew; the old one may go.
        keys = os.path.join(cluster.folder, "center-secrets.key")
        self.assertEqual(os.stat(keys).st_mode & 0o777, 0o600)
        with open(keys, encoding="ascii") as file:
            old = file.read()
        new = base64.b64encode(os.urandom(32)).decode() + "\n"
        with open(keys, "w", encoding="ascii") as file:
            file.write(new + old)
        told = cluster.cli("secret", "rotate")
        self.assertIn("2 secrets encrypted anew", told)
        self.assertIn("is not needed any more", told)
        with open(keys, "w", encoding="ascii") as file:
            file.write(new)
        self.center_again()
        run = cluster.wait_for(lambda: self.run_with(tells, NEXT_PASSWORD), 30, "a run with the new value after the center came back")

        with self.assertRaises(CliError) as used:
            cluster.cli("secret", "delete", "demo/db")
        self.assertIn("tests/tells", str(used.exception))
        self.nothing_is_found(tells, run)
        for task in (tells, halves):
            self.api.call("DELETE", f"/tasks/{task['id']}")
        cluster.cli("secret", "delete", "demo/db")
        self.assertNotIn("demo/db ", cluster.cli("secret", "list", "demo"))
        self.assertEqual([name for name in os.listdir(memory) if name.startswith("cloudtask-")], [])

    def center_again(self):
        self.cluster.center.stop()
        self.cluster.start_center()
        self.cluster.log_in()
        self.api = self.cluster.api

    def mail_about_tells(self):
        mails = [mail for mail in self.cluster.mail.mails() if "demo/tests/tells" in mail["Subject"]]
        if not mails:
            raise NotYet(f"{len(self.cluster.mail.mails())} mails")
        return mails[0]

    def begun(self, run):
        if "begun" not in self.log_of(run):
            raise NotYet(self.log_of(run))
        return True

    def run_with(self, task, value):
        """A run of `tells` that was given this value."""
        run = self.cluster.run_now(task)
        if hashlib.sha256(value.encode()).hexdigest() not in self.log_of(run):
            raise NotYet(self.log_of(run))
        return run

    def nothing_is_found(self, task, run):
        answers = [self.api.request("GET", path).body for path in (
            "/tasks", f"/tasks/{task['id']}", f"/tasks/{task['id']}/versions", f"/tasks/{task['id']}/versions/1", "/runs", f"/runs/{run['id']}",
            f"/runs/{run['id']}/log", f"/runs/{run['id']}/log?stream=stderr", "/runtimes", "/runtimes/demo/secrets", "/groups", "/nodes")]
        for answer in answers:
            self.holds_none("an answer", answer)
        looked_at = set()
        for folder, _, names in os.walk(self.cluster.folder):
            for name in names:
                path = os.path.join(folder, name)
                # A run's output on its node is as the process wrote it.
                if f"{os.sep}runs{os.sep}" in path and name in ("stdout", "stderr"):
                    continue
                with open(path, "rb") as file:
                    self.holds_none(path, file.read())
                looked_at.add(name)
        self.assertTrue({"center.db", "node.db", "center.log", "node-1.log"} <= looked_at, looked_at)
        self.assertTrue(glob.glob(os.path.join(self.cluster.folder, "zookeeper", "**", "log.*"), recursive=True))

    def holds_none(self, where, content):
        for needle in NEEDLES:
            self.assertNotIn(needle, content, where)


if __name__ == "__main__":
    unittest.main()
