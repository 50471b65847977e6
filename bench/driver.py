"""The large benchmarks, and the small ones with them; prints every figure beside a bare reference that was measured in the same run.

Started by scripts/bench, which says what the options mean. Real programs on loopback: ZooKeeper, a center, a node. Whatever was started is
stopped by recorded pid. What is measured and why so: docs/benchmarks.md.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

from cluster import RUNTIME, Cluster, NotYet, program  # noqa: E402
from load import Beats, Connection, ReportingNode, Window, fill_catalog, median, node_status, percentile, resident_mib  # noqa: E402
import moves  # noqa: E402
import urls  # noqa: E402

MANY = 100_000
BEGIN = time.monotonic()
SECTIONS = ("micro", "timetable", "lateness", "sustained", "many", "list", "ingest", "failover", "moves", "writes", "urls")


def say(text=""):
    print(text, flush=True)


def head(text):
    say(f"\n== {text}   ({time.monotonic() - BEGIN:.0f} s)")


def table(names, rows):
    widths = [max(len(str(row[i])) for row in [names, *rows]) for i in range(len(names))]
    for row in [names, *rows]:
        say("  " + "  ".join(str(cell).ljust(width) if i == 0 else str(cell).rjust(width) for i, (cell, width) in enumerate(zip(row, widths))))


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def ratio(value, reference):
    return f"{value / reference:.2f} x" if reference else "-"


def bound(value, limit, unit):
    return f"{'holds' if value < limit else 'MISSED'}: {figure(value)} {unit}, the bound is {limit} {unit}"


def run_reference(name, *words):
    """The JSON that one of the small programs prints."""
    done = subprocess.run([program(f"cloudtask_{name}"), *map(str, words)], stdout=subprocess.PIPE, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


class Bench:
    def __init__(self, folder, quick, sections):
        self.folder, self.quick, self.sections = folder, quick, sections
        self.template = None  # the task whose copies fill the catalog
        self.results = {"started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cores": os.cpu_count(), "quick": quick}

    def wanted(self, *names):
        return any(name in self.sections for name in names)

    def run(self):
        self.note_load()
        if self.wanted("micro"):
            self.micro()
        if self.wanted("timetable"):
            self.timetable()
        if self.wanted("lateness", "sustained"):
            with Cluster(os.path.join(self.folder, "beats")) as cluster:
                self.start(cluster)
                if self.wanted("lateness"):
                    self.lateness(cluster)
                if self.wanted("sustained"):
                    self.sustained(cluster)
        if self.wanted("many", "list", "ingest"):
            with Cluster(os.path.join(self.folder, "many")) as cluster:
                self.many(cluster)
                if self.wanted("list"):
                    self.list_pages(cluster)
                if self.wanted("ingest"):
                    self.ingest(cluster)
        if self.wanted("failover", "moves"):
            with Cluster(os.path.join(self.folder, "moves"), ["--zookeeper.session-timeout=1s"]) as cluster:
                self.tasks_move(cluster)
        if self.wanted("writes"):
            with Cluster(os.path.join(self.folder, "writes")) as cluster:
                self.writes(cluster)
        if self.wanted("urls"):
            with Cluster(os.path.join(self.folder, "urls")) as cluster:
                self.calls(cluster)
        self.note_load()
        return self.results

    def note_load(self):
        """Others on the machine show in the figures; this says how much there was."""
        say(f"load of the machine: {' '.join(figure(value) for value in os.getloadavg())} on {os.cpu_count()} cores")

    @staticmethod
    def start(cluster, nodes=("bench",)):
        cluster.start_zookeeper()
        cluster.start_center()
        cluster.log_in()
        cluster.make_runtime()
        for name in nodes:
            cluster.start_node(name)
        cluster.wait_until_allocated(nodes)

    # The small ones

    def micro(self):
        head("Ring, schedules and timetable: ns of processor time, median of repetitions")
        pairs = [
            ("owner of a task among 10 nodes", "ring_owner/10", "the same points in a std::map", "reference_map_ring/10"),
            ("owner of a task among 100 nodes", "ring_owner/100", "the same points in a std::map", "reference_map_ring/100"),
            ("the same, by a label", "ring_owner_by_label/100", "hashing an id alone", "reference_hash"),
            ("next fire of */5 * * * *, Berlin", "schedule_next/every_5_minutes_berlin", "two look-ups in cctz", "reference_zone_lookups"),
            ("next fire of 30 2 * * *, Berlin", "schedule_next/daily_berlin", "two look-ups in cctz", "reference_zone_lookups"),
            ("a fire among 1,000 tasks", "timetable_fire/1000", "a heap of numbers", "reference_heap/1000"),
            ("a fire among 100,000 tasks", "timetable_fire/100000", "a heap of numbers", "reference_heap/100000"),
        ]
        names = sorted({name for pair in pairs for name in (pair[1], pair[3])})
        done = subprocess.run([
            program("cloudtask_micro_bench"), f"--benchmark_filter=^({'|'.join(names)})$", "--benchmark_format=json",
            f"--benchmark_repetitions={3 if self.quick else 5}", f"--benchmark_min_time={0.01 if self.quick else 0.05}",
            "--benchmark_report_aggregates_only=true"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=240, check=True)
        found = {each["run_name"]: each["cpu_time"] for each in json.loads(done.stdout)["benchmarks"] if each.get("aggregate_name") == "median"}
        self.results["micro_ns"] = found
        table(("", "ns", "reference", "ns", "ratio"), [
            (what, figure(found[name]), reference_what, figure(found[reference]), ratio(found[name], found[reference]))
            for what, name, reference_what, reference in pairs])

    def timetable(self):
        head(f"Timetable alone: {MANY:,} tasks, 1,000 due in a second, on the real loop")
        found = run_reference("timetable_load", 3 if self.quick else 10)
        self.results["timetable"] = found
        table(("", "% of a core"), [(f"timetable, {figure(found['fires_per_second'])} fires/s", figure(found["percent"])),
                                    ("bare loop, 1,000 wakes/s", figure(found["bare_percent"])),
                                    ("ratio", ratio(found["percent"], found["bare_percent"]))])
        say(f"  memory of the tasks and the timetable: {figure(found['resident_mib'])} MiB")
        say(f"  {bound(found['percent'], 5, '% of a core')}")

    # Fires

    def lateness(self, cluster):
        runs = 1 if self.quick else 3
        head(f"Lateness of /bin/true in ms, node beside bare timer + posix_spawn, median of {runs} runs")
        beats = {"spread": Beats(cluster, "beat", 300), "burst": Beats(cluster, "burst", 300, burst=True)}
        rows, found = [], []
        for pattern, rate in (("spread", 10), ("spread", 100), ("spread", 300), ("burst", 300)):
            seconds = 3 if self.quick else 10 if rate == 10 else 6
            node, bare = [], []
            for _ in range(runs):
                beats[pattern].enable(rate)
                node.append(Window(cluster, rate, seconds))
                beats[pattern].enable(0)
                bare.append(run_reference("bare_spawn", "--rate", rate, "--seconds", seconds, "--pattern", pattern))
            entry = {"pattern": pattern, "rate": rate, "seconds": seconds, "missing": sum(each.expected - each.ended for each in node),
                     "node_cpu_ms_per_fire": median([1000 * each.processor["node"] / each.expected for each in node]),
                     "center_cpu_ms_per_fire": median([1000 * each.processor["center"] / each.expected for each in node])}
            for name in ("p50", "p90", "p99"):
                entry[f"node_{name}"] = median([getattr(each, name) for each in node])
                entry[f"bare_{name}"] = median([each[f"{name}_ms"] for each in bare])
            found.append(entry)
            rows.append((f"{rate}/s {pattern}", *(cell for name in ("p50", "p90", "p99") for cell in (
                figure(entry[f"node_{name}"]), figure(entry[f"bare_{name}"]), ratio(entry[f"node_{name}"], entry[f"bare_{name}"]))),
                figure(entry["node_cpu_ms_per_fire"]), figure(entry["center_cpu_ms_per_fire"]), entry["missing"]))
        self.results["lateness"] = found
        table(("fires", "p50", "bare", "ratio", "p90", "bare", "ratio", "p99", "bare", "ratio", "node ms/fire", "center ms/fire", "missing"), rows)

    def sustained(self, cluster):
        seconds = 3 if self.quick else 15
        head(f"The most fires/s of /bin/true that are sustained for {seconds} s, with no growing backlog")
        flood = run_reference("bare_spawn", "--flood", "--seconds", 3)["starts_per_second"]
        factor = 1.5 if self.quick else 1.2

        def climb_bare():
            return self.climb(int(flood * 0.5), factor, lambda rate: self.bare_sustains(rate, seconds))

        bare = climb_bare()
        beats = Beats(cluster, "climb", 1024 if self.quick else 2600)

        def node_sustains(rate):
            beats.enable(0)
            moves.starts_by(cluster, cluster.nodes.values())  # what a rate that was too high has left is over
            beats.enable(rate)
            window = Window(cluster, rate, seconds)
            delay = "not" if window.delay is None else f"{window.delay:.1f} s later"
            say(f"    node at {rate}/s: started {window.started} of {window.expected}, ended {window.ended}, lateness p50 {figure(window.first)} ms in the first "
                f"third, {figure(window.last)} in the last; all known to the center {delay}; processor: node "
                f"{figure(100 * window.processor['node'] / seconds)} %, center {figure(100 * window.processor['center'] / seconds)} %")
            return window.sustained()

        node = self.climb(int(flood * 0.3), factor, node_sustains, len(beats))
        beats.enable(0)
        bare = max(bare, climb_bare())  # an hour of the machine that is worse for one than for the other must not make the ratio
        self.results["sustained"] = {"node": node, "bare": bare, "bare_flood": flood}
        table(("", "fires/s"), [("node", node), ("bare loop with deadlines", bare), ("ratio", ratio(node, bare)), ("bare loop, no deadlines", figure(flood))])

    @staticmethod
    def climb(rate, factor, sustains, most=100_000):
        """The highest rate found that was sustained, 0 if none was: steps up to the first that is not, then between the last two."""
        reached = 0
        while rate <= most and sustains(rate):
            reached, rate = rate, int(rate * factor)
        failed = min(rate, most + 1)
        for _ in range(2 if reached else 0):
            middle = (reached + failed) // 2
            if sustains(middle):
                reached = middle
            else:
                failed = middle
        return reached

    @staticmethod
    def bare_sustains(rate, seconds):
        found = run_reference("bare_spawn", "--rate", rate, "--seconds", seconds)
        first, last = found["first_third_p50_ms"], found["last_third_p50_ms"]
        say(f"    bare at {rate}/s: lateness p50 {figure(first)} ms in the first third, {figure(last)} in the last")
        return last < max(100, 2 * first) and last < 500

    # Many tasks

    def many(self, cluster):
        head(f"A catalog of {MANY:,} tasks")
        self.start(cluster)
        sizes = {"center idle": resident_mib(cluster.center.pid), "node idle": resident_mib(cluster.nodes["bench"].pid)}
        template = cluster.make_task("template", [{"cron": "0 0 * * *", "zone": "Europe/Berlin"}], command=["/bin/true"])
        cluster.nodes["bench"].stop()
        cluster.center.stop()
        fill_catalog(cluster, template, MANY)
        cluster.start_center()
        begin = time.monotonic()
        cluster.start_node("bench")

        def owns_all():
            owned = node_status(cluster.nodes["bench"])["cloudtask_node_owned_tasks"]
            if owned <= MANY:
                raise NotYet(f"the node owns {owned} tasks")
            return True

        cluster.wait_for(owns_all, 120, f"the node to own {MANY} tasks")
        took = time.monotonic() - begin
        sizes["center loaded"] = resident_mib(cluster.center.pid)
        sizes["node loaded"] = resident_mib(cluster.nodes["bench"].pid)
        cluster.nodes["bench"].stop()
        cluster.start_node("bench")
        cluster.wait_for(owns_all, 120, f"the node to own {MANY} tasks again")
        sizes["node loaded, started again"] = resident_mib(cluster.nodes["bench"].pid)
        self.results["many"] = {"resident_mib": sizes, "seconds_until_owned": took}
        table(("", "resident MiB"), [(name, figure(value)) for name, value in sizes.items()])
        say(f"  from the start of a node with an empty replica until it owns them all: {took:.1f} s")
        say(f"  {bound(max(sizes['node loaded'], sizes['node loaded, started again']), 200, 'MiB')}")
        self.template = template

    def list_pages(self, cluster):
        head(f"A page of 50 tasks among {MANY:,}, in ms (kept connection, pages in order), beside GET /healthz")
        times = {"page of 50": [], "GET /healthz": []}
        with Connection(cluster.center.address(), cluster.api.token) as connection:
            cursor = ""
            for _ in range(300 if self.quick else MANY // 50):
                begin = time.perf_counter()
                answer = connection.request("GET", f"/api/v1/tasks?runtime=demo&limit=50{cursor}")
                middle = time.perf_counter()
                connection.request("GET", "/healthz")
                times["GET /healthz"].append(1000 * (time.perf_counter() - middle))
                times["page of 50"].append(1000 * (middle - begin))
                page = json.loads(answer)
                assert len(page["items"]) == 50, "a full page"
                cursor = f"&cursor={page['next']}" if "next" in page else ""
        found = {name: {f"p{percent}": percentile(values, percent / 100) for percent in (50, 90, 99)} for name, values in times.items()}
        self.results["list_ms"] = found
        rows = [(name, *(figure(value) for value in values.values())) for name, values in found.items()]
        rows.append(("ratio", *(ratio(found["page of 50"][name], found["GET /healthz"][name]) for name in ("p50", "p90", "p99"))))
        table(("", "p50", "p90", "p99"), rows)

    def ingest(self, cluster):
        head("Ingest of run reports in batches of 200 (reports/s), beside SQLite alone")
        cluster.nodes["bench"].stop()
        batches = 50 if self.quick else 150
        seconds = 2 if self.quick else 4
        rounds = {"center, one node": [], "center, two nodes": [], "SQLite, same indexes": [], "SQLite, table alone": []}
        for number in range(1 if self.quick else 3):
            rounds["center, one node"].append(self.deliver(cluster, number, 1, batches))
            rounds["center, two nodes"].append(self.deliver(cluster, number, 2, batches))
            for name, words in (("SQLite, same indexes", ["indexes"]), ("SQLite, table alone", [])):
                rounds[name].append(run_reference("bare_sqlite", self.folder, seconds, *words)["reports_per_second"])
        found = {name: median(values) for name, values in rounds.items()}
        found["center resident MiB afterwards"] = resident_mib(cluster.center.pid)
        self.results["ingest"] = found
        best = found["center, one node"]
        table(("", "reports/s", "center / it"), [(name, figure(found[name]), ratio(best, found[name])) for name in rounds])
        say(f"  the center afterwards: {figure(found['center resident MiB afterwards'])} MiB resident")

    def deliver(self, cluster, number, count, batches):
        """Reports per second that the center accepts from `count` nodes at once."""
        nodes = [ReportingNode(cluster, f"ingest-{number}-{count}-{n}", batches, self.template) for n in range(count)]
        accepted = [0] * count

        def deliver(n):
            accepted[n] = nodes[n].deliver()

        threads = [threading.Thread(target=deliver, args=(n,)) for n in range(count)]
        begin = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took = time.monotonic() - begin
        assert sum(accepted) == count * batches * 200, f"accepted {accepted}"
        return sum(accepted) / took


    # When tasks move

    def tasks_move(self, cluster):
        names = [f"bench-{number}" for number in (1, 2, 3)]
        self.start(cluster, names)
        beats = Beats(cluster, "move", moves.RATE)
        beats.enable(moves.RATE)
        history = moves.History(cluster)
        if self.wanted("failover"):
            self.failover(cluster, history, names)
        if self.wanted("moves"):
            self.joins_and_leaves(cluster, history, beats)

    def failover(self, cluster, history, names):
        rounds = 3 if self.quick else 10
        head(f"SIGKILL of one of three nodes at {moves.RATE} fires/s, {rounds} times; sessions of 1 s")
        found = [moves.kill_one(cluster, history, names[number % len(names)]) for number in range(rounds)]
        self.results["failover"] = found
        seconds = [one["seconds"] for one in found]
        table(("", "median", "max"), [("from the kill to the first fire by a new owner, s", figure(median(seconds)), figure(max(seconds)))])
        say(f"  {bound(median(seconds), 1.75, 's')}")
        say(f"  tasks that moved {sum(one['moved'] for one in found)}, of these not the dead node's, or its and not moved: "
            f"{sum(one['moved_wrongly'] for one in found)}; LOST {sum(one['lost'] for one in found)}, of these not claimed by it: "
            f"{sum(one['lost_elsewhere'] for one in found)}")

    def joins_and_leaves(self, cluster, history, beats):
        rounds = 2 if self.quick else 5
        head(f"{rounds} joins, drains and rolling restarts at {moves.RATE} fires/s")
        beats.enable(0)
        before = moves.starts_by(cluster, cluster.nodes.values())
        begin = moves.now()
        beats.enable(moves.RATE)
        gone = 0  # starts by nodes that have left
        found = {"join": [], "drain": [], "rolling restart": []}
        for number in range(rounds):
            name = f"bench-new-{number + 1}"
            found["join"].append(moves.disturb(
                cluster, history, lambda name=name: (cluster.start_node(name), cluster.wait_until_allocated(cluster.nodes))))
            found["drain"].append(moves.disturb(cluster, history, lambda name=name: cluster.cli("node", "drain", f"{RUNTIME}/{name}")))
            gone += moves.starts_by(cluster, [cluster.nodes[name]])
            cluster.nodes.pop(name).stop()
        beats.enable(0)
        started = moves.starts_by(cluster, cluster.nodes.values()) + gone - before
        known = len(history.rows("1", "started_at >= ?", begin))
        beats.enable(moves.RATE)

        def restart_all():
            for name in ("bench-1", "bench-2", "bench-3"):
                cluster.nodes[name].stop()
                cluster.start_node(name)
                cluster.wait_until_allocated(["bench-1", "bench-2", "bench-3"])

        found["rolling restart"] = [moves.disturb(cluster, history, restart_all) for _ in range(rounds)]
        self.results["moves"] = {**found, "started_by_nodes": started, "started_in_history": known}
        rows = []
        for name, all_of_it in found.items():
            ratios = sorted(one["during_p90"] / one["before_p90"] for one in all_of_it)
            rows.append((name, figure(median([one["seconds"] for one in all_of_it])), sum(one["expected"] for one in all_of_it),
                         sum(one["succeeded"] for one in all_of_it), figure(median([one["before_p90"] for one in all_of_it])),
                         figure(median([one["during_p90"] for one in all_of_it])), f"{median(ratios):.2f} x", f"{ratios[0]:.2f} to {ratios[-1]:.2f}"))
        table(("medians", "s", "fires in all", "succeeded", "p90 before, ms", "p90 during", "ratio", "of each"), rows)
        say(f"  joins and drains: the nodes count {started} starts, the history {known}")

    def writes(self, cluster):
        head(f"ZooKeeper's writes a second with 100 tasks and with {MANY:,}; three nodes, 100 fires/s in both")
        self.start(cluster, ["bench-1", "bench-2", "bench-3"])
        template = cluster.make_task("template", [{"cron": "0 0 * * *", "zone": "Europe/Berlin"}], command=["/bin/true"])
        beats = Beats(cluster, "beat", 100)
        beats.enable(100)
        seconds = 15 if self.quick else 60
        few = moves.zookeeper_writes_per_second(cluster, seconds)
        for server in (*cluster.nodes.values(), cluster.center):
            server.stop()
        fill_catalog(cluster, template, MANY)
        cluster.start_center()
        for name in cluster.nodes:
            cluster.start_node(name)
        cluster.wait_until_allocated(cluster.nodes)

        def own_all():
            owned = sum(node_status(node)["cloudtask_node_owned_tasks"] for node in cluster.nodes.values())
            if owned < MANY:
                raise NotYet(f"the nodes own {owned} tasks")
            return True

        cluster.wait_for(own_all, 120, f"the nodes to own {MANY} tasks")
        many = moves.zookeeper_writes_per_second(cluster, seconds)
        beats.enable(0)
        idle = moves.zookeeper_writes_per_second(cluster, seconds / 2)
        self.results["writes"] = {"few": few, "many": many, "idle": idle}
        table(("", "writes/s"), [("100 tasks", figure(few)), (f"{MANY:,} tasks", figure(many)), ("ratio", ratio(many, few)), (f"{MANY:,} tasks, none due", figure(idle))])


    def calls(self, cluster):
        rounds = 1 if self.quick else 3
        head(f"{urls.DUE:,} URLs due, {urls.PENDING:,} pending besides; when the requests came, in ms, node beside bare libcurl, median of {rounds} runs")
        self.start(cluster)
        found = self.results["urls"] = urls.measure(cluster, rounds)
        rows = []
        for pattern, one in found["patterns"].items():
            node, bare = one["node"], one["bare"]
            rows.append((pattern, *(cell for key in ("p50", "p90", "p99", "last") for cell in (figure(node[key]), figure(bare[key]), ratio(node[key], bare[key]))),
                         node["hits"], bare["hits"]))
        table(("", *(cell for key in ("p50", "p90", "p99", "last") for cell in (key, "bare", "ratio")), "hits", "bare"), rows)
        table(("", "resident MiB"), [(name, figure(value)) for name, value in found["resident_mib"].items()])
        say(f"  {bound(found['patterns']['burst']['node']['within'], 1, 's until the last request of the burst')}")


def parse_arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", action="append", choices=SECTIONS)
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="cloudtask-bench-")
    try:
        results = Bench(folder, arguments.quick, arguments.only or SECTIONS).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    results["seconds"] = round(time.monotonic() - BEGIN, 1)
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=1)
    say(f"\nall in {results['seconds']:.0f} s")


if __name__ == "__main__":
    main()
