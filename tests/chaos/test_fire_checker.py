"""The checker finds what is wrong: into a world where all is well, faults are put by seed, and each must be found, at its fire, and nothing else."""

import dataclasses
import os
import random
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import reference  # noqa: E402
from exclusion import Absence  # noqa: E402
from fire_checker import Change, Entry, Evidence, Story, check  # noqa: E402
from policies import Policies  # noqa: E402
from sink import Line  # noqa: E402

SECOND = reference.SECOND
BEGIN = 1_800_000_000 * SECOND
AFTER, UNTIL = BEGIN + 5 * SECOND, BEGIN + 65 * SECOND
SEEDS = range(40)


def line(task, fire, attempt=1, node="node-1", late=1000):
    return Line(task, fire, attempt, node, f"{task}-{fire}-{attempt}", 1, fire + late)


def entry(task, fire, attempt=1, state="SUCCEEDED", reason="", **fields):
    return Entry(task, fire, attempt, state, reason, run=f"{task}-{fire}-{attempt}", **fields)


class World:
    """Tasks whose fires all ran, and whose history says so."""

    def __init__(self, seed):
        self.pick = random.Random(seed)
        self.stories, self.lines, self.entries = [], [], []
        for number in range(20):
            schedules = self.pick.choice(([{"every": "1s"}], [{"every": "5s", "anchor": "2026-01-01T00:00:00.25Z"}], [{"cron": "*/7 * * * * *"}]))
            story = Story(f"id-{number}", f"task-{number}", self.pick.random() < 0.3, [Change(BEGIN, BEGIN + SECOND, schedules)])
            self.stories.append(story)
            for fire in reference.fires(schedules, BEGIN + SECOND, UNTIL + 10 * SECOND):
                self.lines.append(line(story.task, fire))
                self.entries.append(entry(story.task, fire, 1, "SUCCEEDED", node="node-1", exit_code=0))

    def check(self):
        return check(self.stories, Evidence(self.lines, self.entries), AFTER, UNTIL)

    def a_start(self, at_least_once=None):
        """A line of a fire that is checked."""
        wanted = {story.task for story in self.stories if at_least_once in (None, story.at_least_once)}
        return self.pick.choice([each for each in self.lines if AFTER < each.fire <= UNTIL and each.task in wanted])

    def entry_of(self, start):
        return next(entry for entry in self.entries if (entry.task, entry.fire, entry.attempt) == start.key)

    def replace(self, entry, **fields):
        self.entries[self.entries.index(entry)] = dataclasses.replace(entry, **fields)


class SeededFaults(unittest.TestCase):
    def each_seed(self, kind, damage):
        """`damage(world)` breaks something and returns the line whose fire is wrong then."""
        for seed in SEEDS:
            with self.subTest(seed=seed):
                world = World(seed)
                hit = damage(world)
                offences = world.check().offences
                self.assertEqual({(each.kind, each.task, each.fire) for each in offences}, {(kind, hit.task, hit.fire)}, offences)

    def test_a_sound_world_is_sound(self):
        for seed in SEEDS:
            verdict = World(seed).check()
            self.assertEqual(verdict.offences, [])
            self.assertEqual(verdict.expected, verdict.ran)
            self.assertGreater(verdict.expected, 100)

    def test_a_double_on_another_node(self):
        def damage(world):
            hit = world.a_start()
            world.lines.append(dataclasses.replace(hit, node="node-2", clock=hit.clock + world.pick.randrange(SECOND)))
            return hit

        self.each_seed("double", damage)

    def test_a_second_attempt_where_at_most_once_was_asked_for(self):
        def damage(world):
            hit = world.a_start(at_least_once=False)
            world.lines.append(line(hit.task, hit.fire, 2, "node-2"))
            world.replace(world.entry_of(hit), state="LOST", reason="its node went away")
            world.entries.append(entry(hit.task, hit.fire, 2, "SUCCEEDED", exit_code=0))
            return hit

        self.each_seed("double", damage)

    def test_a_missing_fire_that_nobody_tells_of(self):
        def damage(world):
            hit = world.a_start()
            world.entries.remove(world.entry_of(hit))
            world.lines.remove(hit)
            return hit

        self.each_seed("unexplained", damage)

    def test_a_success_that_did_not_happen(self):
        def damage(world):
            hit = world.a_start()
            world.lines.remove(hit)
            return hit

        self.each_seed("unexplained", damage)

    def test_a_start_that_the_history_never_had(self):
        def damage(world):
            hit = world.a_start()
            world.entries.remove(world.entry_of(hit))
            return hit

        self.each_seed("unexplained", damage)

    def test_a_start_that_is_said_to_have_been_skipped(self):
        def damage(world):
            hit = world.a_start()
            world.replace(world.entry_of(hit), state="SKIPPED", reason="misfire: too late", exit_code=None)
            return hit

        self.each_seed("unexplained", damage)

    def test_a_run_that_never_ends(self):
        def damage(world):
            hit = world.a_start()
            world.replace(world.entry_of(hit), state="RUNNING", exit_code=None)
            return hit

        self.each_seed("unexplained", damage)

    def test_a_fire_that_no_definition_yields(self):
        def damage(world):
            hit = line(world.a_start().task, AFTER + world.pick.randrange(1, 50) * SECOND + 123_456)
            world.lines.append(hit)
            world.entries.append(entry(hit.task, hit.fire, 1, "SUCCEEDED", exit_code=0))
            return hit

        self.each_seed("unexplained", damage)

    def test_a_start_before_its_time(self):
        def damage(world):
            hit = world.a_start()
            world.lines[world.lines.index(hit)] = dataclasses.replace(hit, clock=hit.fire - world.pick.randrange(6, 600) * SECOND)
            return hit

        self.each_seed("early", damage)

    def test_an_entry_without_a_reason(self):
        def damage(world):
            hit = world.a_start()
            world.lines.remove(hit)
            world.replace(world.entry_of(hit), state="SKIPPED", exit_code=None)
            return hit

        self.each_seed("unexplained", damage)


class WhatIsAllowed(unittest.TestCase):
    def setUp(self):
        self.world = World(0)

    def test_lost_although_it_ran_is_counted(self):
        self.world.replace(self.world.entry_of(self.world.a_start()), state="LOST", reason="node node-1 lost", exit_code=None)
        verdict = self.world.check()
        self.assertEqual((verdict.offences, verdict.lost_but_ran), ([], 1))

    def test_skipped_with_a_reason_is_explained(self):
        hit = self.world.a_start()
        self.world.lines.remove(hit)
        self.world.replace(self.world.entry_of(hit), state="SKIPPED", reason="misfire: 12s late, tolerance 10s; the policy is to skip", exit_code=None)
        verdict = self.world.check()
        self.assertEqual((verdict.offences, verdict.expected - verdict.ran), ([], 1))
        self.assertEqual(dict(verdict.explained), {"SKIPPED: misfire: T late, tolerance T; the policy is to skip": 1})

    def test_a_rerun_of_at_least_once_is_no_double(self):
        hit = self.world.a_start(at_least_once=True)
        self.world.lines.append(line(hit.task, hit.fire, 2, "node-2"))
        self.world.replace(self.world.entry_of(hit), state="LOST", reason="its node went away", exit_code=None)
        self.world.entries.append(entry(hit.task, hit.fire, 2, "SUCCEEDED", exit_code=0))
        verdict = self.world.check()
        self.assertEqual((verdict.offences, verdict.rerun, verdict.lost_but_ran, verdict.unfulfilled), ([], 1, 1, 0))

    def test_at_least_once_that_was_never_started_is_counted(self):
        hit = self.world.a_start(at_least_once=True)
        self.world.lines.remove(hit)
        self.world.replace(self.world.entry_of(hit), state="LOST", reason="its node went away", exit_code=None)
        self.assertEqual(self.world.check().unfulfilled, 1)

    def test_an_entry_that_covers_others_counts_for_those_only(self):
        task = next(story.task for story in self.world.stories if story.changes[0].schedules == [{"every": "1s"}])
        gone = [each for each in self.world.lines if each.task == task and AFTER < each.fire <= AFTER + 20 * SECOND]
        for each in gone:
            self.world.lines.remove(each)
            self.world.entries.remove(self.world.entry_of(each))
        self.world.entries.append(entry(task, gone[4].fire, 1, "SKIPPED", "misfire: so were all further ones", covers_until=gone[14].fire))
        verdict = self.world.check()
        self.assertEqual({each.fire for each in verdict.offences}, {each.fire for each in [*gone[:4], *gone[15:]]})
        self.assertEqual(verdict.covered, 10)

    def test_what_lies_outside_the_window_is_looked_at_for_doubles_only(self):
        self.world.lines.append(line("id-0", UNTIL + 5 * SECOND + 1))
        self.assertEqual(self.world.check().offences, [])
        self.world.lines.append(line("id-0", UNTIL + 5 * SECOND + 1, node="node-2"))
        self.assertEqual([each.kind for each in self.world.check().offences], ["double"])


class WhatPoliciesAsk(unittest.TestCase):
    """A task that is tried up to three times, and no later than 10 s after it is due."""

    FIRE = AFTER + 10 * SECOND

    def verdict(self, *ends, at_least_once=False, late=1000, reasons=("", "", "", ""), **fields):
        """Of attempts that ended so."""
        asked = {"attempts": 3, "failed": True, "codes": [1, 2], "deadline": 10 * SECOND, **fields}
        story = Story("id", "task", at_least_once, [Change(0, 0, [{"at": reference.format_instant(self.FIRE)}])], Policies(**asked))
        lines, entries = [], []
        for number, (state, code) in enumerate(ends, 1):
            lines.append(line("id", self.FIRE, number, late=late))
            entries.append(entry("id", self.FIRE, number, state, reasons[number - 1], exit_code=code))
        return check([story], Evidence(lines, entries), AFTER, UNTIL)

    def text(self, *ends, **fields):
        offences = self.verdict(*ends, **fields).offences
        self.assertLessEqual(len(offences), 1, offences)
        return f"{offences[0].kind}: {offences[0].text}" if offences else ""

    def test_attempts_as_they_are_asked_for(self):
        for ends in ([("SUCCEEDED", 0)], [("FAILED", 1), ("SUCCEEDED", 0)], [("FAILED", 1)] * 3, [("FAILED", 9)], [("LOST", None)],
                     [("FAILED", 1), ("FAILED", 3)], [("TIMED_OUT", None)], [("LOST", None), ("SUCCEEDED", 0)]):
            verdict = self.verdict(*ends)
            self.assertEqual(verdict.offences, [], ends)
            self.assertEqual((verdict.rerun, verdict.retried), (0, len(ends) - 1))
        self.assertEqual(self.text(("FAILED", 1), reasons=["no further attempt, as the task was disabled"]), "")

    def test_too_many_and_too_few(self):
        self.assertIn("double: started again, more often", self.text(*[("FAILED", 1)] * 4))
        self.assertIn("was not tried again", self.text(("FAILED", 1), ("FAILED", 2)))
        self.assertIn("was not tried again", self.text(("TIMED_OUT", None), timed_out=True))
        self.assertIn("was not tried again", self.text(("LOST", None), reasons=["the node was restarted while it ran"], lost=True))
        self.assertEqual(self.text(("LOST", None), reasons=["its node went away"], lost=True), "")

    def test_an_attempt_that_nothing_asked_for(self):
        self.assertIn("though attempt 1 is FAILED", self.text(("FAILED", 9), ("SUCCEEDED", 0)))
        self.assertIn("though attempt 1 is SUCCEEDED", self.text(("SUCCEEDED", 0), ("SUCCEEDED", 0)))

    def test_a_success_that_is_none_by_the_rule(self):
        self.assertIn("exited with 7 and is SUCCEEDED", self.text(("SUCCEEDED", 7)))
        self.assertEqual(self.text(("SUCCEEDED", 7), success=[0, 7]), "")
        self.assertIn("exited with 7 and is FAILED", self.text(("FAILED", 7), success=[0, 7]))

    def test_a_start_after_its_deadline(self):
        self.assertIn("in spite of its start deadline", self.text(("SUCCEEDED", 0), late=19 * SECOND))
        self.assertEqual(self.text(("SUCCEEDED", 0), late=9 * SECOND), "")

    def test_two_second_attempts_only_by_two_runs_of_at_least_once(self):
        for at_least_once in (False, True):
            verdict = self.verdict(("FAILED", 1), ("SUCCEEDED", 0), at_least_once=at_least_once)
            self.assertEqual(verdict.offences, [])
        story = Story("id", "task", True, [Change(0, 0, [{"at": reference.format_instant(self.FIRE)}])], Policies(attempts=3, failed=True))
        lines = [line("id", self.FIRE, attempt) for attempt in (1, 2)] + [dataclasses.replace(line("id", self.FIRE, 2), run="retry")]
        entries = [entry("id", self.FIRE, 1, "LOST", "gone"), entry("id", self.FIRE, 2, exit_code=0),
                   dataclasses.replace(entry("id", self.FIRE, 2, exit_code=0), run="retry")]
        self.assertEqual(check([story], Evidence(lines, entries), AFTER, UNTIL).offences, [])
        story.at_least_once = False
        self.assertEqual([each.kind for each in check([story], Evidence(lines, entries), AFTER, UNTIL).offences], ["double"])

    def test_policies_of_a_definition(self):
        definition = {"retry": {"attempts": 4, "on": ["lost"], "exit_codes": [1, "75-77"]}, "success": {"exit_codes": [0, "2-3"]}, "start_deadline": "90s"}
        self.assertEqual(Policies.of(definition), Policies(4, False, False, True, [1, 75, 76, 77], [0, 2, 3], 90 * SECOND))
        self.assertEqual(Policies.of({}), Policies())


class RunsThatMustNotOverlap(unittest.TestCase):
    """Two tasks under one mutex and one that forbids overlaps, each with a fire every 10 s; a run takes 2 s, the tasks begin 3 s apart."""

    def setUp(self):
        places = (("a", "mutex"), ("b", "mutex"), ("c", "c"))
        self.stories, self.lines, self.ends, self.entries, self.absences = [], [], {}, [], []
        for number, (task, alone) in enumerate(places):
            schedules = [{"every": "10s", "anchor": reference.format_instant(BEGIN + 3 * number * SECOND)}]
            self.stories.append(Story(task, task, changes=[Change(0, 0, schedules)], alone=alone))
            for fire in reference.fires(schedules, AFTER, UNTIL):
                self.lines.append(line(task, fire))
                self.ends[self.lines[-1].run] = fire + 2 * SECOND
                self.entries.append(entry(task, fire, exit_code=0))

    def offences(self):
        return [(each.kind, each.task, each.fire) for each in check(self.stories, Evidence(self.lines, self.entries, self.ends, self.absences), AFTER, UNTIL).offences]

    def nth(self, task, number):
        return [each for each in self.lines if each.task == task][number]

    def test_one_after_the_other(self):
        self.assertEqual(self.offences(), [])

    def test_a_run_into_one_of_another_task_under_the_mutex(self):
        held = self.nth("a", 2)
        self.ends[held.run] = held.clock + 4 * SECOND
        hit = next(each for each in self.lines if each.task == "b" and each.fire > held.fire)
        self.assertEqual(self.offences(), [("overlap", "b", hit.fire)])

    def test_a_long_run_hides_no_later_overlap(self):
        held = self.nth("a", 1)
        self.ends[held.run] = held.clock + 14 * SECOND
        hit = [each for each in self.lines if each.task in "ab" and held.fire < each.fire < held.fire + 14 * SECOND]
        self.assertGreaterEqual(len(hit), 2)
        self.assertEqual(sorted(self.offences()), sorted(("overlap", each.task, each.fire) for each in hit))

    def test_a_run_into_one_of_its_own_task_but_not_of_others(self):
        held = self.nth("c", 1)
        self.ends[held.run] = held.clock + 11 * SECOND
        self.assertEqual(self.offences(), [("overlap", "c", self.nth("c", 2).fire)])

    def test_what_is_lost_went_on_unseen(self):
        held = self.nth("c", 1)
        self.ends[held.run] = held.clock + 11 * SECOND
        self.entries = [dataclasses.replace(each, state="LOST", exit_code=None) if each.run == held.run else each for each in self.entries]
        self.assertEqual(self.offences(), [])

    def test_nobody_knows_what_goes_on_on_a_node_that_is_absent(self):
        held = self.nth("a", 2)
        self.ends[held.run] = held.clock + 4 * SECOND
        hit = next(each for each in self.lines if each.task == "b" and each.fire > held.fire)
        self.absences = [Absence("node-1", held.clock, hit.clock)]
        self.assertEqual(self.offences(), [("overlap", "b", hit.fire)])  # it knows what goes on on itself
        self.lines[self.lines.index(hit)] = dataclasses.replace(hit, node="node-2")
        self.assertEqual(self.offences(), [])
        self.absences = [Absence("node-3", held.clock, hit.clock)]
        self.assertEqual(self.offences(), [("overlap", "b", hit.fire)])
        self.absences = [Absence("node-2", hit.clock + 1, hit.clock + SECOND), Absence("", held.clock - SECOND, held.clock - 1)]
        self.assertEqual(self.offences(), [("overlap", "b", hit.fire)])

    def test_where_tasks_come_back_only_what_waited_may_run_beside(self):
        held = self.nth("a", 2)
        self.ends[held.run] = held.clock + 4 * SECOND
        hit = next(each for each in self.lines if each.task == "b" and each.fire > held.fire)
        moved = dataclasses.replace(hit, node="node-2")
        self.absences = [Absence("", held.clock, hit.clock + SECOND, waiting_only=True)]
        self.lines[self.lines.index(hit)] = moved
        self.assertEqual(self.offences(), [("overlap", "b", hit.fire)])
        self.lines[self.lines.index(moved)] = dataclasses.replace(moved, clock=moved.fire + 600_000)
        self.assertEqual(self.offences(), [])

    def test_who_did_not_tell_of_its_end_was_killed(self):
        del self.ends[self.nth("c", 1).run]
        self.assertEqual(self.offences(), [])


class Changes(unittest.TestCase):
    """Every 2 s, from second 20 to 24 turning into every 3 s (fires in both: 24, 30, ...)."""

    def setUp(self):
        self.story = Story("id", "task", False, [Change(0, 0, [{"every": "2s"}]), Change(20 * SECOND, 24 * SECOND, [{"every": "3s"}])])

    def verdict(self, *seconds):
        fires = [second * SECOND for second in seconds]
        return check([self.story], Evidence([line("id", fire) for fire in fires], [entry("id", fire, 1, "SUCCEEDED", exit_code=0) for fire in fires]),
                     13 * SECOND, 31 * SECOND)

    def test_in_between_either_may_count(self):
        self.assertEqual(self.verdict(14, 16, 18, 20, 22, 24, 27, 30).offences, [])
        self.assertEqual(self.verdict(14, 16, 18, 21, 24, 27, 30).offences, [])
        self.assertEqual(self.verdict(14, 16, 18, 24, 27, 30).offences, [])

    def test_what_both_yield_is_owed(self):
        self.assertEqual([each.fire for each in self.verdict(14, 16, 18, 27, 30).offences], [24 * SECOND])

    def test_before_and_after_only_one_counts(self):
        self.assertEqual([each.fire for each in self.verdict(14, 15, 16, 18, 24, 27, 28, 30).offences], [15 * SECOND, 28 * SECOND])

    def test_a_disabled_task_owes_nothing(self):
        self.story.changes[1].schedules = []
        self.assertEqual(self.verdict(14, 16, 18, 20).offences, [])
        self.assertEqual([each.fire for each in self.verdict(14, 16, 18, 28).offences], [28 * SECOND])
