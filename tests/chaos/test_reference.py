"""The reference implementation of schedules, held to the tables of docs/schedules.md by which the scheduler is held, and to sums done by hand."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import reference  # noqa: E402
from cluster import ROOT  # noqa: E402

SECOND = reference.SECOND


def at(text):
    return reference.parse_instant(text)


class Instants(unittest.TestCase):
    def test_offsets_fractions_and_local_times(self):
        self.assertEqual(at("1970-01-01T00:00:01.5Z"), 1_500_000)
        self.assertEqual(at("1970-01-01T01:00:00+01:00"), 0)
        self.assertEqual(reference.parse_instant("1970-01-01T01:00", "Europe/Berlin"), 0)
        self.assertEqual(at("2026-01-01T00:00:00.000001Z") - at("2026-01-01T00:00:00Z"), 1)
        with self.assertRaises(ValueError):
            at("yesterday")

    def test_format_is_the_inverse(self):
        self.assertEqual(at(reference.format_instant(1_234_567_890_123_456)), 1_234_567_890_123_456)


class Fires(unittest.TestCase):
    def fires(self, schedule, after, until):
        return reference.fires([schedule], at(after), at(until))

    def test_every_counts_from_its_anchor_and_not_before_it(self):
        self.assertEqual(self.fires({"every": "5s", "anchor": "2026-01-01T00:00:01.25Z"}, "2026-01-01T00:00:00Z", "2026-01-01T00:00:11.25Z"),
                         [at("2026-01-01T00:00:01.25Z"), at("2026-01-01T00:00:06.25Z"), at("2026-01-01T00:00:11.25Z")])
        self.assertEqual(self.fires({"every": "5s"}, "2026-01-01T00:00:05Z", "2026-01-01T00:00:10Z"), [at("2026-01-01T00:00:10Z")])
        self.assertEqual(self.fires({"every": "1s", "anchor": "2030-01-01T00:00:00Z"}, "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"), [])

    def test_at_is_one_instant(self):
        moment = {"at": "2026-01-01T00:00:05"}
        self.assertEqual(self.fires(moment, "2026-01-01T00:00:04Z", "2026-01-01T00:00:05Z"), [at("2026-01-01T00:00:05Z")])
        self.assertEqual(self.fires(moment, "2026-01-01T00:00:05Z", "2026-01-01T00:00:06Z"), [])

    def test_schedules_that_meet_make_one_fire_and_disabled_ones_none(self):
        both = [{"every": "4s"}, {"every": "6s"}, {"every": "1s", "enabled": False}]
        self.assertEqual(reference.fires(both, 0, 12 * SECOND), [second * SECOND for second in (4, 6, 8, 12)])

    def test_cron_with_seconds_lists_ranges_and_steps(self):
        found = self.fires({"cron": "0,13,50-58/4 * * * * *"}, "2026-01-01T00:00:59Z", "2026-01-01T00:02:00Z")
        self.assertEqual([(instant // SECOND) % 60 for instant in found], [0, 13, 50, 54, 58, 0])

    def test_cron_in_a_zone(self):
        self.assertEqual(self.fires({"cron": "30 9 * * *", "zone": "Asia/Kolkata"}, "2026-01-01T03:59:00Z", "2026-01-01T04:01:00Z"),
                         [at("2026-01-01T04:00:00Z")])

    def test_window_in_which_the_offset_changes_is_refused(self):
        with self.assertRaises(ValueError):
            self.fires({"cron": "0 * * * *", "zone": "Europe/Berlin"}, "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z")

    def test_rows_of_the_schedules_page_that_a_plain_implementation_can_follow(self):
        with open(os.path.join(ROOT, "docs", "schedules.md"), encoding="utf-8") as file:
            rows = re.findall(r"^\| `([^`]+)` \| (\S+) \| (\S+) \| (.+?) \|$", file.read(), re.MULTILINE)
        compared = 0
        for rule, zone, after, expected in rows:
            wanted = [at(text) for text in expected.split(", ")]
            schedule = self.schedule_of(rule, zone)
            if wanted[-1] - at(after) > 14 * 86400 * SECOND and "cron" in schedule:
                continue  # too many seconds to try
            try:
                found = reference.fires([schedule], at(after), wanted[-1])
            except ValueError:
                continue  # the offset changes
            with self.subTest(rule=rule, zone=zone):
                self.assertEqual(found, wanted)
                compared += 1
        self.assertGreaterEqual(compared, 6)

    def schedule_of(self, rule, zone):
        if rule.startswith("every "):
            interval, _, anchor = rule.removeprefix("every ").partition(" from ")
            return {"every": interval, "zone": zone, **({"anchor": anchor} if anchor else {})}
        if rule.startswith("at "):
            return {"at": rule.removeprefix("at "), "zone": zone}
        return {"cron": rule, "zone": zone}
