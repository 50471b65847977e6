#!/usr/bin/python3
"""The golden table of schedules: schedules.tsv beside this file, a row for each (rule, zone, from) with the next five fires.

Usage: table.py           computes the table with oracle.py and says what differs from the file; exit code 1 if something does
       table.py --write   writes the file

Zones are the system's tzdata: where a government changes a rule that a row of a future year depends on, both this table and the scheduler follow
it with the next tzdata, and the table is written anew.

The scheduler's own test (tests/task/golden_test.cpp) compares its answers with the file, and peers.mjs those of two cron libraries.
Columns, with tabs between: rule as JSON, zone, from (exclusive, UTC), and up to five fires as the wall shows them. H and jitter are those of the task
TASK.
"""

import datetime
import json
import os
import sys
import zoneinfo

import oracle

FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schedules.tsv")
TASK = "018f3c2e-1111-7222-8333-123456789abc"
FIRES = 5

CRON_UTC = """* * * * *|*/5 * * * *|0 * * * *|15,45 */3 * * *|0 0 * * *|30 4 * * 1-5|0 9 * * mon-fri|0 0 1 * *|0 0 29 2 *|0 0 30 * *|0 0 31 * *
0 12 31 1,3,5 *|0 0 1 1 *|@yearly|@monthly|@weekly|@daily|@hourly|0 0 13 * 5|0 0 */2 * 1|0 0 * * 0|0 0 * * 7|0 0 * * sun|0 9-17/2 * * *|5/15 * * * *
0 22-2 * * *|0 22-4/3 * * *|50-10/5 * * * *|0 0 28-3 * *|0 0 1 nov-feb *|0 8 * * fri-mon|0 8 * * 5-7|0 8 * * 6-2/2|0 0 L * ?|0 0 L-3 * ?|0 0 L-28 * ?
0 18 LW * ?|0 18 L-2W * ?|0 0 15W * ?|0 0 1W * ?|0 0 31W * ?|0 0 30W 6-9 ?|0 0 1,15,L * ?|0 0 ? * friL|0 0 ? * 0L|0 0 ? * mon#1|0 0 ? * 5#5|0 0 ? * tue#2,thu#4
0 0 L * friL|0 0 ? 2 mon#5|0 0 29 2 1|0 0 29 2 */7|*/20 * * * * *|0 30 9 ? * mon-fri|30 59 23 L * ?|0 0 12 1 1 ? 2030|0 0 0 29 2 ? 2000-2100/20
0 0 0 1 1 ? 2098,2099,2100|59 59 23 31 12 * */7|H * * * *|H H * * *|H/15 * * * *|H(0-29)/10 * * * *|H H(1-5) * * 1-5|H H H * *|H H * * H|H H 1 H *|H,30 0 * * *"""
CRON_LOCAL = """30 2 * * *|*/15 1-3 * * *|0 * * * *|*/20 * * * *|0 3 * * *|30 1 * * *|0 0 * * *|45 1,2 * * *|15 0-5/2 * * *|0 2 ? * sun|5 2 L * ?|0 12 * * *"""
FROMS = ["1970-01-01T00:00:00Z", "1999-12-31T23:59:59Z", "2026-01-31T12:00:00Z", "2028-02-28T23:59:30Z", "2099-12-30T06:00:00Z"]
# Zones with instants shortly before their clocks change: north and south, half an hour, a lost day, at midnight, by rules of Ramadan, never.
CHANGES = {
    "Europe/Berlin": ["2026-03-28T12:00:00Z", "2026-10-24T12:00:00Z", "2026-10-25T00:40:00Z", "2026-10-25T01:10:00Z", "2077-03-27T12:00:00Z"],
    "Europe/London": ["2026-03-28T12:00:00Z", "2026-10-24T20:00:00Z"],
    "America/New_York": ["2026-03-07T20:00:00Z", "2026-11-01T04:00:00Z", "2026-11-01T06:10:00Z", "2090-11-04T20:00:00Z"],
    "America/St_Johns": ["2006-10-28T20:00:00Z"],
    "America/Sao_Paulo": ["2018-11-03T12:00:00Z", "2018-02-17T20:00:00Z"],
    "America/Havana": ["2026-03-07T20:00:00Z", "2026-10-31T20:00:00Z"],
    "Australia/Sydney": ["2026-04-04T10:00:00Z", "2026-10-03T10:00:00Z"],
    "Australia/Lord_Howe": ["2026-04-04T10:00:00Z", "2026-10-03T10:00:00Z", "2060-10-02T10:00:00Z"],
    "Pacific/Apia": ["2011-12-29T12:00:00Z", "2010-09-25T12:00:00Z"],
    "Pacific/Auckland": ["2026-09-26T10:00:00Z", "2026-04-04T10:00:00Z"],
    "Africa/Cairo": ["2026-04-23T12:00:00Z", "2026-10-29T12:00:00Z"],
    "Africa/Casablanca": ["2026-02-14T12:00:00Z", "2026-03-21T12:00:00Z"],
    "Asia/Kathmandu": ["1985-12-31T10:00:00Z"],
    "Asia/Kolkata": ["2100-02-28T10:00:00Z"],
    "Antarctica/Troll": ["2026-03-28T20:00:00Z", "2026-10-24T20:00:00Z"],
}
CHOICES = [{"gap": "skip"}, {"gap": "first_valid"}, {"overlap": "second"}, {"overlap": "both"}, {"gap": "skip", "overlap": "both"},
           {"gap": "first_valid", "overlap": "first"}]
CALENDARS = [
    {"frequency": "daily", "times": ["02:30", "12:00"]},
    {"frequency": "daily", "interval": 3, "from": "2026-01-31", "times": ["09:00"]},
    {"frequency": "weekly", "weekdays": ["mon", "sat"], "times": ["02:15", "23:59:59"]},
    {"frequency": "weekly", "interval": 2, "from": "2026-01-07", "weekdays": ["mon", "sun"], "times": ["02:30"]},
    {"frequency": "weekly", "interval": 3, "from": "1970-01-01", "weekdays": ["thu"], "times": ["00:00"]},
    {"frequency": "monthly", "days": ["last day"], "times": ["18:00"]},
    {"frequency": "monthly", "days": ["last working day"], "times": ["18:00"]},
    {"frequency": "monthly", "days": ["1st working day", "3rd last working day"], "times": ["06:00"]},
    {"frequency": "monthly", "days": [31, "2nd last day"], "times": ["00:00"]},
    {"frequency": "monthly", "days": ["5th fri", "1st sun"], "times": ["02:30"]},
    {"frequency": "monthly", "days": ["last fri", "2nd last tue"], "times": ["08:30"]},
    {"frequency": "monthly", "days": [29], "months": ["feb"], "times": ["12:00"]},
    {"frequency": "monthly", "interval": 5, "from": "2026-01-15", "days": [1, 30], "times": ["10:00"]},
    {"frequency": "monthly", "days": ["last sun"], "months": ["mar", "oct"], "times": ["02:30"]},
]
WINDOWS = [
    ("40min", {"from": "09:00", "to": "11:00"}),
    ("1h", {"from": "22:00", "to": "06:00"}),
    ("25min", {"from": "01:30", "to": "03:30"}),
    ("7h", {"from": "00:00", "to": "24:00"}),
    ("8h", {"from": "06:00", "to": "06:00"}),
    ("90s", {"from": "23:59", "to": "00:01", "weekdays": ["sat"]}),
    ("1h", {"from": "02:15", "to": "02:45"}),
]


def rows():
    """(rule, zone, from)"""
    for number, expression in enumerate(CRON_UTC.replace("\n", "|").split("|")):
        yield {"cron": expression}, "UTC", FROMS[number % len(FROMS)]
        yield {"cron": expression}, "UTC", FROMS[(number + 2) % len(FROMS)]
    local = CRON_LOCAL.split("|")
    number = 0
    for zone, instants in CHANGES.items():
        for instant in instants:
            for i in range(5):
                yield {"cron": local[(number + i) % len(local)]}, zone, instant
            yield {"cron": local[(number + 5) % len(local)], "dst": CHOICES[number % len(CHOICES)]}, zone, instant
            yield {"cron": local[(number + 1) % len(local)], "dst": CHOICES[(number + 1) % len(CHOICES)]}, zone, instant
            yield {"calendar": CALENDARS[number % len(CALENDARS)]}, zone, instant
            yield {"calendar": CALENDARS[(2 * number + 3) % len(CALENDARS)], "dst": CHOICES[(number + 2) % len(CHOICES)]}, zone, instant
            every, window = WINDOWS[number % len(WINDOWS)]
            yield {"every": every, "window": window}, zone, instant
            yield {"every": every, "window": window, "dst": CHOICES[(number + 3) % len(CHOICES)]}, zone, instant
            number += 1
    for number, calendar in enumerate(CALENDARS):
        yield {"calendar": calendar}, "UTC", FROMS[number % len(FROMS)]
        yield {"calendar": calendar}, "Europe/London", FROMS[(number + 1) % len(FROMS)]
    yield from (({"every": every}, zone, instant) for every, zone, instant in [
        ("30s", "UTC", "2026-01-01T00:00:29Z"), ("1d", "Europe/Berlin", "2026-03-28T00:00:00Z"), ("7d", "America/New_York", "2099-12-30T06:00:00Z"),
        ("1h30min", "Asia/Kathmandu", "1985-12-31T10:00:00Z")])
    yield {"cron": "@every 90s"}, "UTC", "2026-01-01T00:00:00Z"
    yield {"every": "36h", "anchor": "2026-10-24T06:00"}, "Europe/Berlin", "2026-10-20T00:00:00Z"
    yield {"at": "2026-03-29T02:30"}, "Europe/Berlin", "2026-01-01T00:00:00Z"
    yield {"at": ["2026-12-24T18:00", "2026-10-25T02:30", "2011-12-30T12:00"]}, "Europe/Berlin", "2011-01-01T00:00:00Z"
    yield {"at": ["2011-12-30T12:00", "2011-12-31T12:00"]}, "Pacific/Apia", "2011-01-01T00:00:00Z"
    yield {"manual": True}, "UTC", "2026-01-01T00:00:00Z"
    for jitter in ("10s", "45min", "1d"):
        for cron, zone, instant in [("*/5 * * * *", "UTC", "2026-01-01T00:00:00Z"), ("0 0 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z"),
                                    ("*/20 1-3 * * *", "America/New_York", "2026-03-08T05:00:00Z"), ("0 0 L * ?", "Pacific/Apia", "2011-12-01T00:00:00Z")]:
            yield {"cron": cron, "jitter": jitter}, zone, instant
    yield {"cron": "0 9 * * *", "start": "2026-03-29T09:00", "end": "2026-04-01T09:00"}, "Europe/Berlin", "2026-01-01T00:00:00Z"
    yield {"every": "1h", "start": "2026-01-01T00:30", "end": "2026-01-01T04:00"}, "Asia/Kolkata", "2025-01-01T00:00:00Z"
    yield {"cron": "H H * * *", "jitter": "30s", "end": "2026-01-04T00:00"}, "UTC", "2026-01-01T00:00:00Z"


def on_the_wall(instant, zone):
    local = instant.astimezone(zoneinfo.ZoneInfo(zone))
    return local.isoformat(timespec="milliseconds" if local.microsecond else "seconds")


def lines():
    seen = set()
    for rule, zone, instant in rows():
        after = datetime.datetime.fromisoformat(instant.replace("Z", "+00:00"))
        key = "\t".join((json.dumps(rule, separators=(",", ":")), zone, instant))
        if key not in seen:
            seen.add(key)
            yield "\t".join([key] + [on_the_wall(fire, zone) for fire in oracle.fires(rule, zone, after, FIRES, TASK)])


def main():
    computed = list(lines())
    if "--write" in sys.argv:
        with open(FILE, "w", encoding="utf-8") as file:
            file.write("\n".join(computed) + "\n")
        print(f"{len(computed)} rows written")
        return 0
    with open(FILE, encoding="utf-8") as file:
        held = file.read().splitlines()
    for row in sorted(set(computed) ^ set(held)):
        print(("only in the file: " if row in held else "only computed:    ") + row)
    print(f"{len(computed)} rows, {len(set(computed) ^ set(held))} of them or of the file's differ")
    return 1 if computed != held else 0


if __name__ == "__main__":
    sys.exit(main())
