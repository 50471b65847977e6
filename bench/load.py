"""What the benchmark driver loads a cluster with, and how it looks at it: kept connections, many tasks, windows of fires, sizes of processes.

Reads the center's database while the center runs (read-only, WAL), because asking the API for every run would be load of its own.
"""

import json
import os
import socket
import sqlite3
import time
import urllib.parse
import uuid

TICKS = os.sysconf("SC_CLK_TCK")


class Connection:
    """One kept HTTP connection to the center, with as little work per request as Python allows."""

    def __init__(self, address, token=None):
        parts = urllib.parse.urlsplit(address)
        self._head = f"Host: {parts.netloc}\r\n" + (f"Authorization: Bearer {token}\r\n" if token else "")
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def request(self, method, target, body=b""):
        """The body of a 2xx answer, as bytes."""
        kind = "Content-Type: application/json\r\n" if body else ""
        self._socket.sendall(f"{method} {target} HTTP/1.1\r\n{self._head}{kind}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        received = self._rest
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        head = received[:end].decode("latin-1").lower()
        status = int(head.split(" ", 2)[1])
        length = next((int(line[15:]) for line in head.split("\r\n") if line.startswith("content-length:")), 0)
        while len(received) < end + 4 + length:
            received += self._receive()
        answer, self._rest = received[end + 4:end + 4 + length], received[end + 4 + length:]
        if not 200 <= status < 300:
            raise RuntimeError(f"{method} {target}: {status} {answer[:300]!r}")
        return answer

    def post(self, path, body=None):
        """JSON in, JSON out; `path` is below /api/v1."""
        return json.loads(self.request("POST", f"/api/v1{path}", json.dumps({} if body is None else body).encode()))

    def _receive(self):
        chunk = self._socket.recv(262144)
        if not chunk:
            raise RuntimeError("the center closed the connection")
        return chunk


def percentile(values, fraction):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))] if ordered else 0.0


def median(values):
    return percentile(values, 0.5) if len(values) % 2 else (percentile(values, 0.5) + sorted(values)[len(values) // 2 - 1]) / 2


def resident_mib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) / 1024


def processor_seconds(pid):
    """What the process itself has used, its children not counted."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / TICKS


def node_status(node):
    """The figures of a node's status page."""
    with Connection(node.address()) as connection:
        return json.loads(connection.request("GET", "/status"))


def spread_offset(number):
    """Microseconds into the second; the same as in reference/bare_spawn.cpp."""
    return int(f"{number:016b}"[::-1], 2) * 1_000_000 // 65536


def instant_text(microseconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(microseconds // 1_000_000)) + f".{microseconds % 1_000_000:06}Z"


class Beats:
    """Tasks that run /bin/true once a second, disabled until they are needed; the n-th is due `spread_offset(n)` or 0 into the second."""

    def __init__(self, cluster, prefix, count, burst=False):
        self._cluster = cluster
        self._enabled = 0
        self._ids = []
        with self._connection() as connection:
            for number in range(count):
                anchor = instant_text(1_767_225_600_000_000 + (0 if burst else spread_offset(number)))
                task = connection.post("/tasks", {
                    "runtime": "demo", "group": "tests", "name": f"{prefix}-{number}", "enabled": False, "command": ["/bin/true"],
                    "overlap": "allow", "max_parallel": 64, "misfire_tolerance": "1m",
                    "schedules": [{"every": "1s", "anchor": anchor}]})
                self._ids.append(task["id"])

    def __len__(self):
        return len(self._ids)

    def _connection(self):
        return Connection(self._cluster.center.address(), self._cluster.api.token)

    def enable(self, count):
        """The first `count`, and no others. Returns once the fires of all of them are sure to be taken."""
        with self._connection() as connection:
            for number in range(min(count, self._enabled), max(count, self._enabled)):
                connection.post(f"/tasks/{self._ids[number]}/{'enable' if number < count else 'disable'}")
        self._enabled = count
        time.sleep(2)  # the time that a node may take to hear of it and to claim the fires; not a wait for a condition of the measurement


class Window:
    """All fires that were due in some seconds, as the center's history has them."""

    def __init__(self, cluster, rate, seconds):
        self.rate, self.seconds = rate, seconds
        self._database = os.path.join(cluster.center.data, "center.db")
        begin = int(time.time()) + 1
        self._begin, self._end = begin * 1_000_000, (begin + seconds) * 1_000_000
        self._pids = {"node": cluster.nodes["bench"].pid, "center": cluster.center.pid}
        time.sleep(max(0, begin - time.time()))
        before = {name: processor_seconds(pid) for name, pid in self._pids.items()}
        time.sleep(seconds)
        self.processor = {name: processor_seconds(pid) - before[name] for name, pid in self._pids.items()}
        self.delay = self._wait_until_reported(10)
        rows = self._rows("fire_time, lateness, state")
        self.expected = rate * seconds
        self.started = sum(1 for row in rows if row[1] is not None)
        self.ended = sum(1 for row in rows if row[2] == "SUCCEEDED")
        late = [row[1] / 1000 for row in sorted(row for row in rows if row[1] is not None)]
        third = len(late) // 3
        self.p50, self.p90, self.p99 = (percentile(late, fraction) for fraction in (0.5, 0.9, 0.99))
        self.first, self.last = median(late[:third] or [0]), median(late[-third:] or [0])

    def _rows(self, columns):
        connection = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=30)
        try:
            return connection.execute(f"SELECT {columns} FROM runs WHERE fire_time >= ? AND fire_time < ?", (self._begin, self._end)).fetchall()
        finally:
            connection.close()

    def _wait_until_reported(self, patience):
        """Seconds from the end of the window until the center knew the end of every run of it; None if it was not within `patience`."""
        begin = time.monotonic()
        while time.monotonic() < begin + patience:
            states = self._rows("state")
            if len(states) >= self.rate * self.seconds and all(state == "SUCCEEDED" or state == "SKIPPED" for (state,) in states):
                return time.monotonic() - begin
            time.sleep(0.2)
        return None

    def sustained(self):
        """No fire was left out, and what was due last was started as promptly, and reported as soon, as what was due first."""
        return (self.ended == self.expected and self.delay is not None and self.delay < 3
                and self.last < max(100, 2 * self.first) and self.last < 500)


def fill_catalog(cluster, template, count):
    """`count` copies of a task, written into the database of a center that is stopped: rows as the API writes them, which would take minutes.

    One task in a thousand is due at each minute of the day's first 1,000, so that a node has fires to look for.
    """
    connection = sqlite3.connect(os.path.join(cluster.center.data, "center.db"))
    row = connection.execute("SELECT * FROM tasks WHERE id = ?", (template["id"],))
    names = [column[0] for column in row.description]
    task = dict(zip(names, row.fetchone()))
    document = json.loads(task["document"])
    revision = int(connection.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0])
    tasks, versions = [], []
    for number in range(count):
        revision += 1
        minute = number % 1000
        identity = str(uuid.UUID(int=(uuid.UUID(template["id"]).int & ~((1 << 62) - 1)) | uuid.uuid4().int & ((1 << 62) - 1)))
        document.update(id=identity, name=f"many-{number:06}", revision=revision, created_revision=revision,
                        schedules=[{"cron": f"{minute % 60} {minute // 60} * * *", "zone": "Europe/Berlin"}])
        text = json.dumps(document, separators=(",", ":"))
        task.update(id=identity, name=document["name"], revision=revision, document=text)
        tasks.append(tuple(task.values()))
        versions.append((identity, task["version"], text, task["created_at"], "admin"))
    with connection:
        connection.executemany(f"INSERT INTO tasks ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", tasks)
        connection.executemany("INSERT INTO task_versions (task_id, version, document, created_at, created_by) VALUES (?, ?, ?, ?, ?)", versions)
        connection.execute("UPDATE meta SET value = ? WHERE key = 'revision'", (str(revision),))
    connection.close()


class ReportingNode:
    """A node that joins the center only to deliver batches of run reports, which are made beforehand."""

    def __init__(self, cluster, name, batches, task):
        joined = Connection(cluster.center.address()).post("/node/join", {
            "token": cluster.join_token, "runtime": "demo", "name": name, "labels": {}, "weight": 1, "version": "bench"})
        self._connection = Connection(cluster.center.address(), joined["node_token"])
        self._bodies = [self._batch(joined["node_id"], name, number, task) for number in range(batches)]

    @staticmethod
    def _batch(node_id, name, number, task):
        """100 runs, each of them begun and ended: 200 reports."""
        reports = []
        begin = time.time_ns() // 1_000_000
        for n in range(100):
            fire = (begin + number * 100 + n) * 1000
            identity = f"{begin + number * 100 + n:012x}7{n:03x}8{uuid.uuid4().hex[:15]}"
            run = {"id": str(uuid.UUID(hex=identity)), "task_id": task["id"], "task_version": 1, "runtime": "demo", "group": "tests",
                   "task_name": task["name"], "trigger": "schedule", "fire_time": instant_text(fire), "attempt": 1, "state": "RUNNING",
                   "node_id": node_id, "node_name": name, "incarnation": node_id, "epoch": 1, "started_at": instant_text(fire + 900),
                   "lateness_us": 900, "stdout_bytes": 0, "stderr_bytes": 0}
            ended = {**run, "state": "SUCCEEDED", "ended_at": instant_text(fire + 2500), "exit_code": 0}
            for state in (run, ended):
                reports.append({"incarnation": node_id, "sequence": number * 200 + len(reports) + 1, "kind": "run", "run": state})
        return json.dumps({"reports": reports}, separators=(",", ":")).encode()

    def deliver(self):
        """All batches, one after the other; the number of reports that the center accepted."""
        return sum(json.loads(self._connection.request("POST", "/api/v1/node/reports", body))["accepted"] for body in self._bodies)
