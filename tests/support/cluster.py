"""A real cluster on free ports of 127.0.0.1: ZooKeeper, a center, nodes, a mail receiver, and the `cloudtask` program to talk to it.

    with Cluster(folder) as cluster:
        cluster.start(nodes=3)
        cluster.cli("get", "nodes")

All data is under one folder. Everything that was started is ended by recorded pid when the block is left, on errors too.
"""

import calendar
import json
import os
import re
import signal
import subprocess
import time

from api import Api
from mail_receiver import MailReceiver
from processes import NotYet, Process, become_subreaper, end_orphans, wait_for
from zookeeper_server import ZooKeeperServer

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RUNTIME = "demo"
TERMINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED", "LOST", "SKIPPED")


def program(name):
    """The path of a built program: in $CLOUDTASK_BIN, else in build/release/bin."""
    path = os.path.join(os.environ.get("CLOUDTASK_BIN") or os.path.join(ROOT, "build", "release", "bin"), name)
    if not os.access(path, os.X_OK):
        raise RuntimeError(f"there is no {path}: run scripts/build")
    return path


def clean_environment(**extra):
    """This environment without CLOUDTASK_* variables, which are configuration to the servers."""
    return {**{k: v for k, v in os.environ.items() if not k.startswith("CLOUDTASK_")}, **extra}


def with_options(usual, options):
    """The words of `usual`, without those "--key=value" that `options` give another value, and then `options`."""
    given = {option.partition("=")[0] for option in options}
    return [word for word in usual if word.partition("=")[0] not in given] + list(options)


class CliError(NotYet):
    def __init__(self, words, code, out, err):
        super().__init__(f"cloudtask {' '.join(words)}: exit {code}: {err.strip() or out.strip()}")
        self.code, self.out, self.err = code, out, err


class Server(Process):
    """A server that writes its address to <data>/address once it listens."""

    def __init__(self, name, argv, folder, data):
        super().__init__(name, argv, folder, clean_environment())
        self.data = data
        self._address_path = os.path.join(data, "address")

    def start(self):
        if os.path.exists(self._address_path):
            os.remove(self._address_path)
        return super().start()

    def address(self):
        """http://127.0.0.1:PORT; NotYet before it listens."""
        with open(self._address_path, encoding="ascii") as file:
            text = file.read()
        if not text.endswith("\n"):
            raise NotYet("the address is half written")
        return text.strip()

    def wait_until_listening(self):
        return wait_for(self.address, 30, f"{self.name} to listen", watch=[self])


class Cluster:
    def __init__(self, folder, center_options=(), node_options=()):
        self.folder = os.path.abspath(folder)
        os.makedirs(self.folder, exist_ok=True)
        self.center_options = list(center_options)
        self.node_options = list(node_options)
        self.zookeeper = None
        self.mail = None
        self.center = None
        self.nodes = {}
        self.join_token = None
        self.password = None
        self.api = None
        self._processes = []

    def __enter__(self):
        become_subreaper()
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Stops everything: nodes first, all at once, while those to whom they say good-bye are there. Idempotent."""
        for node in self.nodes.values():
            node.send(signal.SIGTERM)
        for process in [*self.nodes.values(), self.center, self.zookeeper]:
            if process:
                process.stop()
        end_orphans()
        if self.mail:
            self.mail.stop()

    def watched(self):
        return self._processes

    def wait_for(self, condition, timeout, what):
        return wait_for(condition, timeout, what, watch=self._processes)

    # The parts

    def start(self, nodes=3):
        """All of it, up to a runtime whose `nodes` nodes are online and in its allocation."""
        self.start_zookeeper()
        self.start_mail()
        self.start_center()
        self.log_in()
        self.make_runtime()
        for number in range(1, nodes + 1):
            self.start_node(f"node-{number}")
        self.wait_until_allocated(self.nodes)
        return self

    def start_zookeeper(self, wait=True):
        if not self.zookeeper:
            self.zookeeper = ZooKeeperServer(os.path.join(self.folder, "zookeeper"))
            self._processes.append(self.zookeeper)
        self.zookeeper.start()
        if wait:
            self.zookeeper.wait_until_up()
        return self.zookeeper

    def plan_zookeeper(self):
        """Settles ZooKeeper's address without starting it."""
        self.zookeeper = ZooKeeperServer(os.path.join(self.folder, "zookeeper"))
        self._processes.append(self.zookeeper)
        return self.zookeeper

    def start_mail(self, **options):
        self.mail = MailReceiver(os.path.join(self.folder, "mail"), **options).start()
        return self.mail

    def start_center(self, wait=True, data=None):
        """The center, for the first time or again (then with the same data and the same port, which nodes know)."""
        if not self.center:
            data = data or os.path.join(self.folder, "center")
            mail = [f"--mail.smtp-url={self.mail.url}", "--mail.from=cloudtask@example.org", "--mail.to=operators@example.org"] if self.mail else []
            self.center = Server("center", with_options([
                program("cloudtask-center"), f"--data-dir={data}", "--http.address=127.0.0.1", "--http.port=0",
                f"--zookeeper.servers={self.zookeeper.address}", "--zookeeper.session-timeout=2s", "--lost.grace=2s",
                f"--webroot={os.path.join(ROOT, 'webroot')}", *mail], self.center_options), os.path.join(self.folder, "logs"), data)
            self._processes.append(self.center)
        self.center.start()
        if wait:
            address = self.center.wait_until_listening()
            port = address.rpartition(":")[2]
            self.center.argv = [f"--http.port={port}" if word.startswith("--http.port=") else word for word in self.center.argv]
        return self.center

    def password_file(self):
        return os.path.join(self.center.data, "admin-password")

    def read_password(self):
        if not self.password:
            with open(self.password_file(), encoding="utf-8") as file:
                self.password = file.read().strip()
        return self.password

    def log_in(self):
        """As admin, for cli() and for api."""
        address = self.center.address()
        self.cli("login", "--server", address, "--user", "admin", "--password-file", self.password_file())
        answer = Api(address).post("/login", {"name": "admin", "password": self.read_password()})
        self.api = Api(address, answer["token"])

    def make_runtime(self, name=RUNTIME, group="tests"):
        """A runtime with one group, and a join token for its nodes."""
        self.api.post("/runtimes", {"name": name})
        self.api.post("/groups", {"runtime": name, "name": group})
        self.join_token = self.api.post("/join-tokens", {"runtime": name, "description": "tests", "expires_in": "1h"})["token"]

    def add_node(self, name, runtime=RUNTIME, *options):
        """Settles how a node is started, without starting it."""
        data = os.path.join(self.folder, "nodes", name)
        os.makedirs(data, exist_ok=True)
        token_file = os.path.join(data, "join-token")
        with open(os.open(token_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            file.write(self.join_token)
        node = Server(name, [
            program("cloudtask-node"), f"--data-dir={data}", f"--center.url={self.center.address()}", f"--join-token-file={token_file}",
            f"--runtime={runtime}", f"--name={name}", "--status.port=0", *self.node_options, *options], os.path.join(self.folder, "logs"), data)
        self.nodes[name] = node
        self._processes.append(node)
        return node

    def start_node(self, name, runtime=RUNTIME, *options):
        node = self.nodes.get(name) or self.add_node(name, runtime, *options)
        node.start()
        return node

    # What it looks like from outside

    def online(self, runtime=RUNTIME):
        """The names of the nodes that are online."""
        return {node["name"] for node in self.api.every("/nodes", runtime=runtime) if node["online"]}

    def allocated(self, runtime=RUNTIME):
        """The names of the nodes that the allocation in force names."""
        names = {node["id"]: node["name"] for node in self.api.every("/nodes", runtime=runtime)}
        return {names[member_id(node)] for node in self.api.get(f"/runtimes/{runtime}/allocation")["nodes"]}

    def wait_until_allocated(self, names, timeout=60, runtime=RUNTIME):
        wanted = set(names)

        def settled():
            seen = (self.allocated(runtime), self.online(runtime))
            if seen != (wanted, wanted):
                raise NotYet(f"allocated {sorted(seen[0])}, online {sorted(seen[1])}")
            return True

        self.wait_for(settled, timeout, f"the nodes {sorted(wanted)} to be online and allocated")

    def owner(self, task_id):
        """The name of the node that owns the task, None while no node does."""
        return self.api.get(f"/tasks/{task_id}/owner")["node_name"] or None

    def owners(self, **filters):
        """{task name: node name}."""
        return {task["name"]: self.owner(task["id"]) for task in self.api.every("/tasks", **filters)}

    def make_task(self, name, schedules=(), **fields):
        """A task in demo/tests; `shell` or `command` is among the fields."""
        return self.api.post("/tasks", {"runtime": RUNTIME, "group": "tests", "name": name, "schedules": list(schedules), **fields})

    def disable(self, task):
        self.api.post(f"/tasks/{task['id']}/disable")

    def runs(self, task, **filters):
        """All runs of a task, oldest first."""
        runs = self.api.every("/runs", task=task["id"], **filters)
        return sorted(runs, key=lambda run: (run.get("fire_time") or run.get("started_at") or "", run["id"]))

    def start_task(self, task):
        """Starts it by hand; returns the run. NotYet if no node can take it yet."""
        return self.api.post(f"/tasks/{task['id']}/start")

    def wait_for_run(self, run, timeout=30, states=TERMINAL):
        """The run, once its state is one of `states`."""

        def ended():
            seen = self.api.get(f"/runs/{run['id']}")
            if seen["state"] not in states:
                raise NotYet(f"{seen['state']} {seen.get('reason', '')}")
            return seen

        return self.wait_for(ended, timeout, f"run {run['id']} of {run['task_name']} to be {' or '.join(states)}")

    def run_now(self, task, timeout=30):
        """Starts a task by hand and waits for its end; returns the run."""
        return self.wait_for_run(self.wait_for(lambda: self.start_task(task), 30, "a node that takes the run"), timeout)

    # The command line

    def cli_environment(self):
        return clean_environment(CLOUDTASK_CONFIG=os.path.join(self.folder, "cli.conf"), NO_COLOR="1")

    def cli(self, *words, stdin=None, timeout=60):
        """Runs `cloudtask WORDS`; returns what it printed. Raises CliError unless it exits with 0."""
        done = subprocess.run([program("cloudtask"), *words], input=stdin, capture_output=True, text=True, timeout=timeout, errors="replace",
                              env=self.cli_environment(), cwd=self.folder)
        if done.returncode != 0:
            raise CliError(words, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def verify(self, start, end):
        """The exit code of `verify` and its ledger."""
        words = ("verify", "--from", start, "--to", end, "-o", "json")
        try:
            return 0, json.loads(self.cli(*words))
        except CliError as error:
            if not error.out:
                raise
            return error.code, json.loads(error.out)

    def settled_ledger(self, start, end="now", timeout=60):
        """The same, once nothing is under way any more."""

        def settled():
            code, ledger = self.verify(start, end)
            if any(ledger["counts"][verdict] for verdict in ("not_yet", "awaited", "pending", "running")):
                raise NotYet(f"{ledger['counts']} {ledger['awaited_fires'][:3]}")
            return code, ledger

        return self.wait_for(settled, timeout, "every fire to be told of")

    def cli_json(self, *words):
        """The decoded answer of `cloudtask WORDS -o json`."""
        return json.loads(self.cli(*words, "-o", "json"))


def member_id(node):
    """The id in an entry of an allocation's `nodes`."""
    return node["id"] if isinstance(node, dict) else node


def instants(runs):
    """The fire times of runs as seconds since 1970, sorted."""
    return sorted(parse_instant(run["fire_time"]) for run in runs)


def parse_instant(text):
    """Seconds since 1970 of an RFC 3339 time in UTC, with any number of decimals."""
    whole, fraction = re.fullmatch(r"([0-9T:-]{19})(\.[0-9]+)?Z", text).groups()
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + float(fraction or 0)
