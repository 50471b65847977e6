"""How the benchmarks print what they have found, and how they get the figures of the small reference programs."""

import json
import subprocess
import time

from cluster import program

BEGIN = time.monotonic()


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
