"""Definitions go from center to center and back in time: what one exports another takes and exports as the same bytes; versions, roll back and changes of
many tasks from the command line. Two centers without ZooKeeper and nodes, which none of this needs."""

import tempfile
import textwrap
import unittest

from cluster import CliError, Cluster

SCRIPT = "#!/bin/sh\necho \"Grüße\"\t# tab, quotes, 日本\n\nif true; then\n  echo ': - #'\nfi\n"


def center(test):
    folder = tempfile.TemporaryDirectory(prefix="cloudtask-definitions-")
    test.addClassCleanup(folder.cleanup)
    cluster = Cluster(folder.name)
    cluster.__enter__()
    test.addClassCleanup(cluster.close)
    cluster.plan_zookeeper()
    cluster.start_center()
    cluster.log_in()
    return cluster


class Definitions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.first, cls.second = center(cls), center(cls)
        api = cls.first.api
        for runtime in ("zeta", "alpha"):
            api.post("/runtimes", {"name": runtime, "description": "for\nall", "notify": ["ops@example.org"]})
            for group in ("b", "a"):
                api.post("/groups", {"runtime": runtime, "name": group})
        for name, rules in (("uk", {"zone": "Europe/London", "holidays": [{"yearly": "last mon of may"}, {"yearly": "12-25", "name": "Christmas: Day"}],
                                    "extra_working_days": ["2026-12-19"]}),
                            ("freeze", {"blackouts": [{"cron": "0 22 * * fri", "lasting": "8h"}, {"from": "2026-06-30T18:00", "to": "2026-07-01T06:00"}]})):
            api.post("/calendars", {"runtime": "alpha", "name": name, **rules})
        cls.package = api.call("POST", "/packages?filename=run.sh", SCRIPT.encode())["sha256"]
        for number, fields in enumerate((
                {"shell": SCRIPT, "tags": {"team": "pay roll", "1": "2"}, "environment": {"A": "yes", "B": "12", "C": " x ", "D": "a\nb\n\n", "E": ""}},
                {"command": ["run.sh", "", "~", "a: b", "- x", "0x1F"], "package": cls.package, "enabled": False, "description": "# no comment"},
                {"shell": "true", "schedules": [{"cron": "*/5 * * * mon-fri", "zone": "Europe/Berlin"}, {"every": "90s", "enabled": False, "jitter": "5s"},
                                                {"at": ["2031-01-01T00:00", "2030-01-01T00:00"], "exclude": ["uk", "freeze"], "on_excluded": "defer"},
                                                {"cron": "0 9 LW * ?", "working_days": "uk"}, {"manual": True}]},
                {"shell": "true", "targets": ["n-1", "1"], "labels": {"disk": "null"}, "misfire": "all", "overlap": "allow", "max_parallel": 3,
                 "guarantee": "at_least_once", "notify": ["a@b"], "time_limit": "90s", "grace": "0s", "output_limit": "4KiB"})):
            api.post("/tasks", {"runtime": "zeta" if number % 2 else "alpha", "group": "a", "name": f"t{9 - number}", **fields})

    def path(self, name):
        return f"{self.first.folder}/{name}"

    def exit_code(self, cluster, *words):
        try:
            cluster.cli(*words)
            return 0
        except CliError as error:
            return error.code

    def test_export_import_export_is_byte_equal(self):
        files = {}
        for form in ("yaml", "json"):
            files[form] = self.path(f"export.{form}")
            with open(files[form], "w", encoding="utf-8") as file:
                file.write(self.first.cli("export", "-o", form, "--packages", self.path("packages")))
        # The other center has none of it, and says so; without the package it refuses the task that needs it.
        self.assertEqual(self.exit_code(self.second, "diff", "-f", files["yaml"]), 1)
        self.assertIn("would be created", self.second.cli("apply", "-f", files["yaml"], "--dry-run"))
        self.assertEqual(self.second.api.every("/runtimes"), [])
        self.assertNotEqual(self.exit_code(self.second, "apply", "-f", files["yaml"]), 0)
        self.assertIn("package run.sh", self.second.cli("apply", "-f", files["yaml"], "--packages", self.path("packages")))
        self.assertEqual(self.exit_code(self.second, "diff", "-f", files["json"]), 0)
        for form, name in files.items():
            with open(name, encoding="utf-8") as file:
                self.assertEqual(self.second.cli("export", "-o", form), file.read())
        # And by the other form; nothing is written a second time.
        self.assertNotIn("updated", self.second.cli("apply", "-f", files["json"]))

        task = next(task for task in self.second.api.every("/tasks") if task["name"] == "t9")
        self.assertEqual((task["shell"], task["tags"]["team"], task["version"]), (SCRIPT, "pay roll", 1))
        self.second.api.call("PUT", f"/tasks/{task['id']}", {**task, "time_limit": "2h"}, {"If-Match": "*"})
        try:
            self.second.cli("diff", "-f", files["yaml"])
            self.fail("a difference was not seen")
        except CliError as error:
            self.assertEqual(error.code, 1)
            self.assertEqual(error.out, 'task alpha/a/t9 would be updated\n  time_limit "2h" -> "1h"\n')
        self.assertEqual(self.exit_code(self.second, "diff", "-f", "/no/such/file"), 2)

    def test_versions_roll_back_and_changes_of_many(self):
        one = self.first
        manifest = textwrap.dedent("""\
            kind: task
            runtime: alpha
            group: b
            name: changing
            shell: "echo {}"
            tags: {{team: trial}}
            """)
        for number in (1, 2):
            one.cli("apply", "-f", "-", stdin=manifest.format(number))
        self.assertIn('shell "echo 1" -> "echo 2"', one.cli("task", "diff", "alpha/b/changing"))
        self.assertIn("is at version 3 now", one.cli("task", "rollback", "alpha/b/changing"))
        self.assertEqual(one.cli("task", "versions", "alpha/b/changing", "-q"), "3\n2\n1\n")
        self.assertIn("rolled back to version 1", one.cli("task", "versions", "alpha/b/changing"))
        one.cli("task", "clone", "alpha/b/changing", "copy", "--group", "a")

        self.assertEqual(self.exit_code(one, "task", "disable", "--tag", "team=trial"), 2)  # nobody can be asked
        self.assertIn("would be disabled", one.cli("task", "disable", "--tag", "team=trial", "--dry-run"))
        self.assertEqual(one.cli("task", "disable", "--tag", "team=trial", "--yes"), "task alpha/b/changing disabled\n")
        self.assertEqual(one.cli("task", "move", "--tag", "team=trial", "--to", "a", "--yes", "-q"), "alpha/a/changing\n")
        described = one.cli("describe", "alpha/a/changing")
        self.assertIn("The runtime has no node", described)
        self.assertIn("team=trial", described)
        one.cli("task", "delete", "--tag", "team=trial", "--yes")
        self.assertEqual(one.cli("get", "tasks", "--tag", "team=trial", "-q"), "")


if __name__ == "__main__":
    unittest.main()
