"""How late fires start, and how many of them a node sustains, beside a bare loop that does nothing else."""

import moves
from figures import figure, head, ratio, run_reference, say, table
from load import Beats, Window, median


def lateness(bench, cluster):
    runs = 1 if bench.quick else 3
    head(f"Lateness of /bin/true in ms, node beside bare timer + posix_spawn, median of {runs} runs")
    beats = {"spread": Beats(cluster, "beat", 300), "burst": Beats(cluster, "burst", 300, burst=True)}
    rows, found = [], []
    for pattern, rate in (("spread", 10), ("spread", 100), ("spread", 300), ("burst", 300)):
        seconds = 3 if bench.quick else 10 if rate == 10 else 6
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
    bench.results["lateness"] = found
    table(("fires", "p50", "bare", "ratio", "p90", "bare", "ratio", "p99", "bare", "ratio", "node ms/fire", "center ms/fire", "missing"), rows)


def sustained(bench, cluster):
    seconds = 3 if bench.quick else 15
    head(f"The most fires/s of /bin/true that are sustained for {seconds} s, with no growing backlog")
    flood = run_reference("bare_spawn", "--flood", "--seconds", 3)["starts_per_second"]
    factor = 1.5 if bench.quick else 1.2

    def climb_bare():
        return climb(int(flood * 0.5), factor, lambda rate: bare_sustains(rate, seconds))

    bare = climb_bare()
    beats = Beats(cluster, "climb", 1024 if bench.quick else 2600)

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

    node = climb(int(flood * 0.3), factor, node_sustains, len(beats))
    beats.enable(0)
    bare = max(bare, climb_bare())  # an hour of the machine that is worse for one than for the other must not make the ratio
    bench.results["sustained"] = {"node": node, "bare": bare, "bare_flood": flood}
    table(("", "fires/s"), [("node", node), ("bare loop with deadlines", bare), ("ratio", ratio(node, bare)), ("bare loop, no deadlines", figure(flood))])


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


def bare_sustains(rate, seconds):
    found = run_reference("bare_spawn", "--rate", rate, "--seconds", seconds)
    first, last = found["first_third_p50_ms"], found["last_third_p50_ms"]
    say(f"    bare at {rate}/s: lateness p50 {figure(first)} ms in the first third, {figure(last)} in the last")
    return last < max(100, 2 * first) and last < 500
