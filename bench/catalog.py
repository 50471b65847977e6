"""What many tasks cost: memory and time of a node and the center, a page of a list, and what nodes report of their runs."""

import json
import threading
import time

from cluster import NotYet
from figures import bound, figure, head, ratio, run_reference, say, table
from load import Connection, ReportingNode, fill_catalog, median, node_status, percentile, resident_mib

MANY = 100_000


def many(bench, cluster):
    head(f"A catalog of {MANY:,} tasks")
    bench.start(cluster)
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
    bench.results["many"] = {"resident_mib": sizes, "seconds_until_owned": took}
    table(("", "resident MiB"), [(name, figure(value)) for name, value in sizes.items()])
    say(f"  from the start of a node with an empty replica until it owns them all: {took:.1f} s")
    say(f"  {bound(max(sizes['node loaded'], sizes['node loaded, started again']), 200, 'MiB')}")
    bench.template = template


def list_pages(bench, cluster):
    head(f"A page of 50 tasks among {MANY:,}, in ms (kept connection, pages in order), beside GET /healthz")
    times = {"page of 50": [], "GET /healthz": []}
    with Connection(cluster.center.address(), cluster.api.token) as connection:
        cursor = ""
        for _ in range(300 if bench.quick else MANY // 50):
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
    bench.results["list_ms"] = found
    rows = [(name, *(figure(value) for value in values.values())) for name, values in found.items()]
    rows.append(("ratio", *(ratio(found["page of 50"][name], found["GET /healthz"][name]) for name in ("p50", "p90", "p99"))))
    table(("", "p50", "p90", "p99"), rows)


def ingest(bench, cluster):
    head("Ingest of run reports in batches of 200 (reports/s), beside SQLite alone")
    cluster.nodes["bench"].stop()
    batches = 50 if bench.quick else 150
    seconds = 2 if bench.quick else 4
    rounds = {"center, one node": [], "center, two nodes": [], "SQLite, same indexes": [], "SQLite, table alone": []}
    for number in range(1 if bench.quick else 3):
        rounds["center, one node"].append(deliver(bench.template, cluster, number, 1, batches))
        rounds["center, two nodes"].append(deliver(bench.template, cluster, number, 2, batches))
        for name, words in (("SQLite, same indexes", ["indexes"]), ("SQLite, table alone", [])):
            rounds[name].append(run_reference("bare_sqlite", bench.folder, seconds, *words)["reports_per_second"])
    found = {name: median(values) for name, values in rounds.items()}
    found["center resident MiB afterwards"] = resident_mib(cluster.center.pid)
    bench.results["ingest"] = found
    best = found["center, one node"]
    table(("", "reports/s", "center / it"), [(name, figure(found[name]), ratio(best, found[name])) for name in rounds])
    say(f"  the center afterwards: {figure(found['center resident MiB afterwards'])} MiB resident")


def deliver(template, cluster, number, count, batches):
    """Reports per second that the center accepts from `count` nodes at once."""
    nodes = [ReportingNode(cluster, f"ingest-{number}-{count}-{n}", batches, template) for n in range(count)]
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
