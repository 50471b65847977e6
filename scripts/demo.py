"""The main job, on a real cluster on this machine, told as it happens. Started by scripts/run, which says what the options mean.

Everything goes through the `cloudtask` program, as a user would do it. Each step waits for what it claims; the first that does not come true
ends the program with exit 1. Whatever was started is stopped by recorded pid, also on errors, Ctrl-C and SIGTERM.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

from cluster import Cluster, NotYet, member_id, parse_instant, program  # noqa: E402
from mail_receiver import text_of  # noqa: E402

NODES = ("node-1", "node-2", "node-3")
BEATS = [f"beat-{number:02}" for number in range(1, 13)]
PATIENCE = 60  # seconds that any one step may take

RUNTIME_YAML = """\
kind: runtime
name: demo
description: Three nodes on this machine
---
kind: group
runtime: demo
name: beats
description: Small tasks, to see where each one runs
---
kind: group
runtime: demo
name: trouble
description: A task that fails, and one that talks for a while
notify: [on-call@example.org]
"""

BEAT_YAML = """\
---
kind: task
runtime: demo
group: beats
name: {name}
shell: echo "{name} for $(date -u +%T) by process $$"
schedules:
  - every: 2s
"""

FAILING_YAML = """\
kind: task
runtime: demo
group: trouble
name: payroll-export
description: Fails on purpose
shell: |
  echo "exporting 3 of 40 payslips"
  echo "cannot write /mnt/bank/payslips.csv: no such folder" >&2
  exit 3
schedules:
  - every: 15s
notify: [payroll@example.org]
"""

TALKING_YAML = """\
kind: task
runtime: demo
group: trouble
name: long-talk
description: Prints a line every half a second
shell: |
  for step in 1 2 3 4 5 6 7 8; do echo "step $step of 8"; sleep 0.5; done
  echo "all steps done"
"""


def say(text=""):
    print(text, flush=True)


def head(text):
    say(f"\n=== {text}")


def indent(text, limit=40):
    lines = text.splitlines()
    for line in lines[:limit]:
        say(f"    {line}")
    if len(lines) > limit:
        say(f"    ... and {len(lines) - limit} more lines")


def check(condition, claim):
    """A claim that must hold, said aloud."""
    if not condition:
        raise AssertionError(f"this is not so: {claim}")
    say(f"  ok: {claim}")


class Demo:
    def __init__(self, cluster):
        self.cluster = cluster

    def show(self, *words):
        """Runs a command as a user would, prints it and its output."""
        say(f"  $ cloudtask {shlex.join(words)}")
        out = self.cluster.cli(*words)
        indent(out)
        return out

    def apply(self, name, text):
        path = os.path.join(self.cluster.folder, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return self.show("apply", "-f", path)

    def tasks(self):
        """{group/name: task}."""
        return {f"{task['group']}/{task['name']}": task for task in self.cluster.cli_json("get", "tasks", "--runtime", "demo")}

    def owners(self):
        """{group/name: name of the node}, of all tasks."""
        return {key: self.cluster.cli_json("owner", f"demo/{key}").get("node_name") for key in self.tasks()}

    def runs(self, key, *words):
        """Runs of a task, newest first."""
        return self.cluster.cli_json("get", "runs", "--task", f"demo/{key}", *words)

    def run_of(self, key, state, on=None, after=0.0):
        """A run of the task in `state`, by node `on`, that started after an instant; NotYet while there is none."""
        for run in self.runs(key):
            if run["state"] == state and on in (None, run["node_name"]) and parse_instant(run["started_at"]) > after:
                return run
        raise NotYet(f"no run of {key} is {state}" + (f" on {on}" if on else ""))

    # The steps

    def start_servers(self):
        head("Starting ZooKeeper, a mail receiver and the center")
        cluster = self.cluster
        cluster.start_zookeeper()
        say(f"  ZooKeeper {cluster.zookeeper.version()} on {cluster.zookeeper.address} (pid {cluster.zookeeper.pid})")
        cluster.start_mail()
        say(f"  mail receiver on {cluster.mail.url}, mails in {cluster.mail.folder}")
        cluster.start_center()
        say(f"  center (pid {cluster.center.pid})")
        say(f"\n  site            {cluster.center.address()}/")
        say(f"  user, password  admin, {cluster.read_password()}")

    def log_in(self):
        head("Logging in, making the runtime, three nodes join it")
        cluster = self.cluster
        self.show("login", "--server", cluster.center.address(), "--user", "admin", "--password-file", cluster.password_file())
        self.apply("runtime.yaml", RUNTIME_YAML)
        say("  $ cloudtask create join-token --runtime demo    (its output is what the nodes are given)")
        cluster.join_token = cluster.cli("create", "join-token", "--runtime", "demo").strip()
        for name in NODES:
            node = cluster.start_node(name)
            say(f"  {name} (pid {node.pid})")

        def all_online():
            online = {node["name"] for node in cluster.cli_json("get", "nodes") if node["online"]}
            if online != set(NODES):
                raise NotYet(f"online: {sorted(online)}")
            return True

        cluster.wait_for(all_online, PATIENCE, "three nodes to be online")
        self.show("get", "nodes")

    def upload(self):
        head("Uploading a packaged program and scheduling it")
        self.show("apply", "-f", os.path.join(ROOT, "examples", "package-report"))
        say("  (a folder with a script in it was packed, uploaded, and is named by its SHA-256; waiting for its first run)")
        run = self.cluster.wait_for(lambda: self.run_of("reports/package-report", "SUCCEEDED"), PATIENCE, "the report to be run")
        check(run["package"], f"run {run['id']} of the uploaded package succeeded on {run['node_name']}")
        log = self.show("run", "log", run["id"])
        check("package" in log.lower(), "its log came back")

    def follow(self):
        head("Following a live log")
        self.apply("talk.yaml", TALKING_YAML)
        self.cluster.wait_for(lambda: self.cluster.cli_json("owner", "demo/trouble/long-talk").get("node_name"), PATIENCE, "an owner")
        run = self.cluster.wait_for(lambda: self.cluster.cli_json("task", "start", "demo/trouble/long-talk"), PATIENCE, "the start")
        words = ["run", "log", run["id"], "-f"]
        say(f"  $ cloudtask {shlex.join(words)}")
        arrivals = []
        with subprocess.Popen([program("cloudtask"), *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                              env=self.cluster.cli_environment()) as following:
            for line in following.stdout:
                arrivals.append((time.monotonic(), line.rstrip("\n")))
                say(f"    {line.rstrip()}")
        lines = [line for _, line in arrivals]
        check([line for line in lines if line.startswith("step ")] == [f"step {n} of 8" for n in range(1, 9)], "every line came, in order")
        spread = arrivals[-1][0] - arrivals[0][0]
        check(spread > 1.5, f"they came while the program ran, over {spread:.1f} s")

    def spread_tasks(self):
        head("Twelve small tasks, every 2 seconds each: where does each one run?")
        self.apply("beats.yaml", "".join(BEAT_YAML.format(name=name) for name in BEATS))
        for name in BEATS:
            self.cluster.wait_for(lambda key=f"beats/{name}": self.run_of(key, "SUCCEEDED"), PATIENCE, f"a run of {name}")
        owners = self.owners()
        self.show_owners(owners)
        check(all(owners.values()), "every task has a node")
        check(len(set(owners.values())) > 1, "the tasks are spread over nodes")

    def show_owners(self, owners, before=None):
        say(f"  {'TASK':28} {'NODE':8}" + ("  BEFORE" if before else ""))
        for key in sorted(owners):
            moved = f"  {before[key]}{'  moved' if before[key] != owners[key] else ''}" if before else ""
            say(f"  {key:28} {owners[key] or '-':8}{moved}")

    def kill_a_node(self):
        head("Killing one node with SIGKILL")
        cluster = self.cluster
        before = self.owners()
        counts = {name: sum(1 for key, node in before.items() if node == name and key.startswith("beats/")) for name in NODES}
        victim = max(counts, key=counts.get)
        killed_at = time.time()
        say(f"  $ kill -KILL {cluster.nodes[victim].pid}    ({victim}, which owns {counts[victim]} of the small tasks)")
        cluster.nodes[victim].kill()

        def moved_away():
            owners = self.owners()
            if victim in owners.values() or None in owners.values():
                raise NotYet(f"{sum(1 for node in owners.values() if node in (victim, None))} tasks still belong to {victim} or to nobody")
            return owners

        after = cluster.wait_for(moved_away, PATIENCE, f"other nodes to take over from {victim}")
        say(f"  taken over {time.time() - killed_at:.1f} s after the kill\n")
        self.show_owners(after, before)
        moved = {key for key in before if before[key] != after[key]}
        check(moved == {key for key in before if before[key] == victim}, f"exactly the {len(moved)} tasks of {victim} moved, no other")
        for key in sorted(moved):
            if key.startswith("beats/"):
                run = cluster.wait_for(lambda key=key: self.run_of(key, "SUCCEEDED", on=after[key], after=killed_at), PATIENCE, f"{key} to go on")
                say(f"  {key} runs on {run['node_name']} (fire of {run['fire_time']})")
        for key in before:
            if key.startswith("beats/") and key not in moved:
                cluster.wait_for(lambda key=key: self.run_of(key, "SUCCEEDED", on=before[key], after=killed_at), PATIENCE, f"{key} to go on")
        say("  ok: the tasks of the other nodes went on where they were")
        self.show("get", "nodes")

    def fail_a_task(self):
        head("A task that fails")
        self.apply("failing.yaml", FAILING_YAML)

    def show_mail(self):
        head("The mail about the failure, as the receiver got it")
        run = self.cluster.wait_for(lambda: self.run_of("trouble/payroll-export", "FAILED"), PATIENCE, "the failing task to fail")
        say(f"  run {run['id']} on {run['node_name']} ended with exit code {run['exit_code']}")

        def received():
            for mail in self.cluster.mail.mails():
                if "payroll@example.org" in mail.get_all("X-Envelope-To", []) and "payroll-export" in f"{mail['Subject']}{text_of(mail)}":
                    return mail
            raise NotYet(f"{len(self.cluster.mail.mails())} mails so far, none of them about payroll-export")

        mail = self.cluster.wait_for(received, PATIENCE, "the mail")
        for name in ("From", "To", "Subject"):
            say(f"    {name}: {mail[name]}")
        say()
        indent(text_of(mail))
        check(re.search(r"FAILED|failed|exit", f"{mail['Subject']} {text_of(mail)}"), "the mail tells of the failure")

    def play(self):
        started = time.monotonic()
        self.start_servers()
        self.log_in()
        self.fail_a_task()
        self.upload()
        self.follow()
        self.spread_tasks()
        self.kill_a_node()
        self.show_mail()
        head(f"All of it was seen to happen, in {time.monotonic() - started:.0f} s")

    def stay(self):
        cluster = self.cluster
        say(f"  site            {cluster.center.address()}/   (admin, {cluster.read_password()})")
        say(f"  command line    export CLOUDTASK_CONFIG={cluster.cli_environment()['CLOUDTASK_CONFIG']}")
        say(f"                  {program('cloudtask')} get runs")
        say("  Ctrl-C stops everything.")
        while True:
            signal.pause()


def main():
    parser = argparse.ArgumentParser(prog="scripts/run")
    parser.add_argument("--once", action="store_true")
    parser.add_argument("--data", metavar="DIR")
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()

    def stop(number, frame):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    if arguments.data:
        folder, temporary = os.path.abspath(arguments.data), False
        if os.path.isdir(folder) and os.listdir(folder):
            parser.error(f"{folder} is not empty")
    else:
        folder, temporary = tempfile.mkdtemp(prefix="cloudtask-demo-"), not arguments.keep
    say(f"All data is in {folder}")

    status = 0
    try:
        with Cluster(folder) as cluster:
            demo = Demo(cluster)
            try:
                demo.play()
                if not arguments.once:
                    demo.stay()
            except (AssertionError, NotYet, OSError, RuntimeError) as error:
                say(f"\nFAILED: {error}")
                status = 1
            finally:
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)  # the stopping itself is not cut short
                say("\nStopping everything.")
    except KeyboardInterrupt:
        status = 130 if arguments.once else 0  # Ctrl-C is how the demo ends, unless it was to show all of it
    if temporary and status == 0:
        shutil.rmtree(folder, ignore_errors=True)
    elif status == 1:
        say(f"The data and the logs are in {folder}")
    return status


if __name__ == "__main__":
    sys.exit(main())
