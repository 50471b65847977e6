"""Parameters on real processes: a program prints values of all five levels, dates in a zone with summer time and working days of a calendar,
over attempts and starts by hand; a change of the group reaches the nodes; what cannot be is refused. In the end the ledger explains all."""

import calendar
import datetime
import os
import tempfile
import unittest
import zoneinfo

import shared_cluster
from cluster import CliError, NotYet, parse_instant

SHOW = ('env | grep ^CLOUDTASK_PARAM_ | sort; echo "words $*"; echo "title $TITLE"; [ "$CLOUDTASK_ATTEMPT" -ge 2 ]')
DEFINITIONS = """
kind: runtime
name: demo
parameters: {region: eu, owner: runtime, path: "s3://${bucket}/${region}", bucket: b1}
---
kind: calendar
runtime: demo
name: today
holidays:
%(holidays)s
---
kind: group
runtime: demo
name: tests
parameters: {owner: group}
---
kind: task
runtime: demo
group: tests
name: levels
command: [sh, -c, %(show)r, show, "--day=${day}", "${label}; echo $$HOME"]
environment: {TITLE: "Of ${fire_date as %%d %%B %%Y}"}
parameters:
  region: null
  owner: null
  path: null
  label: task
  day: ${fire_date - 1 working day of today}
  wall: ${fire_time in America/New_York as %%F %%T %%z}
  attempt_number: ${attempt}
schedules:
  - {every: 2s, zone: Europe/Berlin, parameters: {label: schedule}}
retry: {attempts: 2, delay: 300ms}
"""


def setUpModule():
    shared_cluster.start(nodes=2, center_options=["--ledger.grace=2s"])


def tearDownModule():
    shared_cluster.stop()


def before_holidays(date, holidays):
    """The working day before a date."""
    while True:
        date -= datetime.timedelta(days=1)
        if date.weekday() < 5 and date not in holidays:
            return date


class Parameters(shared_cluster.SharedClusterTest):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory(prefix="cloudtask-parameters-")
        self.addCleanup(folder.cleanup)
        self.file = os.path.join(folder.name, "definitions.yaml")

    def apply(self, text):
        with open(self.file, "w", encoding="utf-8") as out:
            out.write(text)
        return self.cluster.cli("apply", "-f", self.file)

    def refusal(self, *words):
        with self.assertRaises(CliError) as refused:
            self.cluster.cli(*words)
        return str(refused.exception)

    def attempts(self, task, label, more=lambda run: True):
        """Both attempts of the newest fire that was given this label."""
        runs = self.cluster.runs(task)
        for run in reversed(runs):
            given = run.get("parameters", {}).get("label", {})
            if run["attempt"] == 2 and run["state"] == "SUCCEEDED" and given.get("value") == label and more(run):
                first = [each for each in runs if each.get("fire_time") == run.get("fire_time") and each["attempt"] == 1]
                return first[-1], run
        raise NotYet(f"{[(run['attempt'], run['state'], run['reason']) for run in runs][-4:]}")

    def printed(self, run):
        lines = self.api.log(run["id"]).decode().splitlines()
        values = dict(line[len("CLOUDTASK_PARAM_"):].split("=", 1) for line in lines if line.startswith("CLOUDTASK_PARAM_"))
        words = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in lines if line.startswith(("words ", "title "))}
        return values, words

    def test_programs_are_given_what_all_levels_say_and_the_ledger_explains_it_all(self):
        # The last working day is a holiday today, so that the calendar makes a difference on every day of the week.
        today = datetime.datetime.now(zoneinfo.ZoneInfo("Europe/Berlin")).date()
        holidays = {before_holidays(today + datetime.timedelta(days=shift), set()) for shift in (0, 1)} - {today}
        text = DEFINITIONS % {"show": SHOW, "holidays": "\n".join(f"  - {{date: '{day}'}}" for day in sorted(holidays))}
        self.apply(text)
        wait_for = self.cluster.wait_for
        task = self.api.every("/tasks", name="levels")[0]
        self.assertEqual(task["inherited_parameters"], {"group": {"owner": "group"},
                                                        "runtime": {"bucket": "b1", "path": "s3://${bucket}/${region}", "region": "eu"}})

        first, second = wait_for(lambda: self.attempts(task, "schedule"), 40, "two attempts of a fire")
        fire = datetime.datetime.fromtimestamp(parse_instant(second["fire_time"]), datetime.timezone.utc)
        berlin = fire.astimezone(zoneinfo.ZoneInfo("Europe/Berlin"))
        new_york = fire.astimezone(zoneinfo.ZoneInfo("America/New_York"))
        day = str(before_holidays(berlin.date(), holidays))
        for run, attempt in ((first, "1"), (second, "2")):
            values, words = self.printed(run)
            self.assertEqual(values, {"REGION": "eu", "OWNER": "group", "PATH": "s3://b1/eu", "BUCKET": "b1", "LABEL": "schedule", "DAY": day,
                                      "WALL": new_york.strftime("%Y-%m-%d %H:%M:%S %z"), "ATTEMPT_NUMBER": attempt})
            self.assertEqual(words["words"], f"--day={day} schedule; echo $HOME")
            self.assertEqual(words["title"], berlin.strftime("Of %d ") + calendar.month_name[berlin.month] + berlin.strftime(" %Y"))
            self.assertEqual({name: value["from"] for name, value in run["parameters"].items()},
                             {"region": "runtime", "owner": "group", "path": "runtime", "bucket": "runtime", "label": "schedule", "day": "task",
                              "wall": "task", "attempt_number": "task"})
            self.assertEqual(run["parameters"]["day"]["value"], day)

        # By hand: what is given counts most, is text, and holds for the second attempt, too; schedules' values do not count.
        said = self.cluster.cli("task", "start", task["id"], "-q", "--param", "region=${day}", "-p", "owner=me", "--as-of", "2026-03-29T01:30:00Z")
        run = self.cluster.wait_for_run(self.api.get(f"/runs/{said.strip()}"))
        self.assertEqual((run["state"], run["as_of"], run["parameters"]["region"]),
                         ("FAILED", "2026-03-29T01:30:00Z", {"value": "${day}", "from": "manual"}))
        _, again = wait_for(lambda: self.attempts(task, "task", lambda run: run["trigger"] == "retry" and "fire_time" not in run), 30, "its second attempt")
        values, words = self.printed(again)
        self.assertEqual((values["REGION"], values["OWNER"], values["PATH"], values["LABEL"], values["ATTEMPT_NUMBER"]),
                         ("${day}", "me", "s3://b1/${day}", "task", "2"))
        self.assertEqual((values["DAY"], values["WALL"]), ("2026-03-27", "2026-03-28 21:30:00 -0400"))
        shown = self.cluster.cli("run", "get", again["id"])
        self.assertIn("region=${day} (manual)", shown)

        # What cannot be is refused, and says where.
        self.assertIn("/parameters/bukket", self.refusal("task", "start", task["id"], "--param", "bukket=b2"))
        self.assertIn("NAME=VALUE", self.refusal("task", "start", task["id"], "--param", "region"))
        with open(self.file, "w", encoding="utf-8") as out:
            out.write(text.replace("--day=${day}", "--day=${dya}"))
        self.assertIn("character 9: 'dya' is not a name that the task has", self.refusal("apply", "-f", self.file))
        with open(self.file, "w", encoding="utf-8") as out:
            out.write("kind: runtime\nname: demo\n")
        self.assertIn("tests/levels", self.refusal("apply", "-f", self.file))
        self.assertEqual(self.api.get(f"/tasks/{task['id']}")["version"], task["version"])

        # A change of the group is a new version of the task, which the nodes go by.
        self.apply("kind: group\nruntime: demo\nname: tests\nparameters: {owner: other}\n")
        self.assertEqual(self.api.get(f"/tasks/{task['id']}")["version"], task["version"] + 1)
        _, later = wait_for(lambda: self.attempts(task, "schedule", lambda run: run["task_version"] > task["version"]), 40, "a fire by the new version")
        self.assertEqual(self.printed(later)[0]["OWNER"], "other")

        # What is exported can be applied and says the same.
        exported = self.cluster.cli("export", "--runtime", "demo")
        self.assertIn('day: "${fire_date - 1 working day of today}"', exported)
        self.assertNotIn("inherited_parameters", exported)
        self.assertNotIn("created", self.apply(exported))
        self.assertEqual(self.cluster.cli("export", "--runtime", "demo"), exported)
        self.assertEqual(self.cluster.cli("diff", "-f", self.file).strip().count("\n"), 0)

        self.cluster.disable(task)
        code, ledger = self.cluster.settled_ledger(task["created_at"])
        self.assertEqual((code, ledger["counts"]["unexplained"], ledger["unexpected"]), (0, 0, 0), ledger)
        self.assertGreaterEqual(ledger["due"], 2)


if __name__ == "__main__":
    unittest.main()
