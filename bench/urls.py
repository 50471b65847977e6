"""The section on URL tasks: calls that are due at one instant, or spread over a second, of a node that has 10,000 of them; beside bare libcurl."""

import json
import subprocess
import threading
import time

from cluster import RUNTIME, program
from figures import bound, figure, head, ratio, say, table
from load import Connection, instant_text, node_status, percentile, resident_mib, spread_offset

DUE = 1000
PENDING = 10_000


class Receiver:
    """The server that both are measured at: a program of its own, so that noting the times costs the same whoever calls."""

    def __enter__(self):
        self._process = subprocess.Popen([program("cloudtask_bare_curl"), "--serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}/hook"
        self._times = []
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait(10)

    def hits(self):
        """The times of all requests since the last reset(), in microseconds since 1970."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        self._times += map(int, self._process.stdout.readline().split())
        return self._times

    def reset(self):
        self.hits()
        self._times = []

    def wait(self, cluster, count):
        cluster.wait_for(lambda: len(self.hits()) >= count, 60, f"{count} requests")


def due_of(begin, number, spread):
    return begin + (spread_offset(number) if spread else 0)


def figures(times, begin, spread):
    """How late each request came, in ms. The earliest is taken for the earliest due: calls are not told apart."""
    due = sorted(due_of(begin, number, spread) for number in range(DUE))
    late = [(time - planned) / 1000 for time, planned in zip(sorted(times), due)]
    return {"hits": len(times), **{f"p{percent}": percentile(late, percent / 100) for percent in (50, 90, 99)}, "last": max(late),
            "within": (max(times) - begin) / 1e6}


def make_tasks(cluster, url, instants):
    """Four connections at once: the center makes them one after the other."""
    def make(part):
        with Connection(cluster.center.address(), cluster.api.token) as connection:
            for instant in part:
                connection.post("/http-tasks", {"runtime": RUNTIME, "url": url, "at": instant_text(instant)})

    threads = [threading.Thread(target=make, args=(instants[number::4],)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def measure(cluster, rounds):
    """{pattern: {"node": figures, "bare": figures}} and the sizes of the node's process."""
    runtime = cluster.api.get(f"/runtimes/{RUNTIME}")
    cluster.api.call("PUT", f"/runtimes/{RUNTIME}", {**runtime, "http": {"allow": ["127.0.0.1"]}}, {"If-Match": f'"{runtime["version"]}"'})
    node = cluster.nodes["bench"]
    sizes = {"node idle": resident_mib(node.pid)}
    found = {}
    with Receiver() as receiver:
        far = int(time.time() + 86_400) * 1_000_000
        make_tasks(cluster, receiver.url, [far] * PENDING)
        cluster.wait_for(lambda: node_status(node)["cloudtask_node_owned_tasks"] >= PENDING, 60, f"the node to own {PENDING} tasks")
        sizes[f"with {PENDING:,} pending"] = resident_mib(node.pid)
        for pattern in ("burst", "spread"):
            spread = pattern == "spread"
            each = {"node": [], "bare": []}
            for _ in range(rounds):
                receiver.reset()
                begin = (int(time.time()) + 12) * 1_000_000
                make_tasks(cluster, receiver.url, [due_of(begin, number, spread) for number in range(DUE)])
                assert time.time() < begin / 1e6 - 1, "the tasks were made too slowly"
                receiver.wait(cluster, DUE)
                each["node"].append(figures(receiver.hits(), begin, spread))
                receiver.reset()
                begin = (int(time.time()) + 2) * 1_000_000
                done = subprocess.run([program("cloudtask_bare_curl"), receiver.url, str(DUE), str(begin), *(["--spread"] if spread else [])],
                                      stdout=subprocess.PIPE, text=True, timeout=60, check=True)
                assert json.loads(done.stdout)["failed"] == 0
                each["bare"].append(figures(receiver.hits(), begin, spread))
            found[pattern] = {name: {key: percentile([one[key] for one in rows], 0.5) for key in rows[0]} for name, rows in each.items()}
        sizes["after them"] = resident_mib(node.pid)
    return {"patterns": found, "resident_mib": sizes}


def calls(bench, cluster):
    rounds = 1 if bench.quick else 3
    head(f"{DUE:,} URLs due, {PENDING:,} pending besides; when the requests came, in ms, node beside bare libcurl, median of {rounds} runs")
    bench.start(cluster)
    found = bench.results["urls"] = measure(cluster, rounds)
    rows = []
    for pattern, one in found["patterns"].items():
        node, bare = one["node"], one["bare"]
        rows.append((pattern, *(cell for key in ("p50", "p90", "p99", "last") for cell in (figure(node[key]), figure(bare[key]), ratio(node[key], bare[key]))),
                     node["hits"], bare["hits"]))
    table(("", *(cell for key in ("p50", "p90", "p99", "last") for cell in (key, "bare", "ratio")), "hits", "bare"), rows)
    table(("", "resident MiB"), [(name, figure(value)) for name, value in found["resident_mib"].items()])
    say(f"  {bound(found['patterns']['burst']['node']['within'], 1, 's until the last request of the burst')}")
