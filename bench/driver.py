"""The large benchmarks, and the small ones with them; prints every figure beside a bare reference that was measured in the same run.

Started by scripts/bench, which says what the options mean. Real programs on loopback: ZooKeeper, a center, a node. Whatever was started is
stopped by recorded pid. What is measured and why so: docs/benchmarks.md.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import catalog  # noqa: E402
import fires  # noqa: E402
import moves  # noqa: E402
import small  # noqa: E402
import urls  # noqa: E402
from cluster import Cluster  # noqa: E402
from figures import BEGIN, figure, say  # noqa: E402

SECTIONS = ("micro", "timetable", "lateness", "sustained", "many", "list", "ingest", "failover", "moves", "writes", "urls")


class Bench:
    """One run: what is wanted of it, and what it has found."""

    def __init__(self, folder, quick, sections):
        self.folder, self.quick, self.sections = folder, quick, sections
        self.template = None  # the task whose copies fill the catalog
        self.results = {"started_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "cores": os.cpu_count(), "quick": quick}

    def wanted(self, *names):
        return any(name in self.sections for name in names)

    def run(self):
        self.note_load()
        if self.wanted("micro"):
            small.micro(self)
        if self.wanted("timetable"):
            small.timetable(self)
        if self.wanted("lateness", "sustained"):
            with self.cluster("beats") as cluster:
                self.start(cluster)
                if self.wanted("lateness"):
                    fires.lateness(self, cluster)
                if self.wanted("sustained"):
                    fires.sustained(self, cluster)
        if self.wanted("many", "list", "ingest"):
            with self.cluster("many") as cluster:
                catalog.many(self, cluster)
                if self.wanted("list"):
                    catalog.list_pages(self, cluster)
                if self.wanted("ingest"):
                    catalog.ingest(self, cluster)
        if self.wanted("failover", "moves"):
            with self.cluster("moves", ["--zookeeper.session-timeout=1s"]) as cluster:
                moves.tasks_move(self, cluster)
        if self.wanted("writes"):
            with self.cluster("writes") as cluster:
                moves.writes(self, cluster)
        if self.wanted("urls"):
            with self.cluster("urls") as cluster:
                urls.calls(self, cluster)
        self.note_load()
        return self.results

    def cluster(self, name, *options):
        return Cluster(os.path.join(self.folder, name), *options)

    @staticmethod
    def start(cluster, nodes=("bench",)):
        cluster.start_zookeeper()
        cluster.start_center()
        cluster.log_in()
        cluster.make_runtime()
        for name in nodes:
            cluster.start_node(name)
        cluster.wait_until_allocated(nodes)

    @staticmethod
    def note_load():
        """Others on the machine show in the figures; this says how much there was."""
        say(f"load of the machine: {' '.join(figure(value) for value in os.getloadavg())} on {os.cpu_count()} cores")


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
