"""The small benchmarks, without a cluster: the ring, schedules and the timetable."""

import json
import subprocess

from catalog import MANY
from cluster import program
from figures import bound, figure, head, ratio, run_reference, say, table


def micro(bench):
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
        f"--benchmark_repetitions={3 if bench.quick else 5}", f"--benchmark_min_time={0.01 if bench.quick else 0.05}",
        "--benchmark_report_aggregates_only=true"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, timeout=240, check=True)
    found = {each["run_name"]: each["cpu_time"] for each in json.loads(done.stdout)["benchmarks"] if each.get("aggregate_name") == "median"}
    bench.results["micro_ns"] = found
    table(("", "ns", "reference", "ns", "ratio"), [
        (what, figure(found[name]), reference_what, figure(found[reference]), ratio(found[name], found[reference]))
        for what, name, reference_what, reference in pairs])


def timetable(bench):
    head(f"Timetable alone: {MANY:,} tasks, 1,000 due in a second, on the real loop")
    found = run_reference("timetable_load", 3 if bench.quick else 10)
    bench.results["timetable"] = found
    table(("", "% of a core"), [(f"timetable, {figure(found['fires_per_second'])} fires/s", figure(found["percent"])),
                                ("bare loop, 1,000 wakes/s", figure(found["bare_percent"])),
                                ("ratio", ratio(found["percent"], found["bare_percent"]))])
    say(f"  memory of the tasks and the timetable: {figure(found['resident_mib'])} MiB")
    say(f"  {bound(found['percent'], 5, '% of a core')}")
