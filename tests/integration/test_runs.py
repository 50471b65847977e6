"""What a user sees of runs on a real cluster: every fire once, ends of all kinds, logs, stopping, packages, mail."""

import io
import re
import tarfile
import unittest

import shared_cluster
from cluster import NotYet, instants, parse_instant
from mail_receiver import text_of
from processes import alive

EVERY_SECOND = {"every": "1s"}


def setUpModule():
    shared_cluster.start(nodes=2)


def tearDownModule():
    shared_cluster.stop()


class ClusterTest(shared_cluster.SharedClusterTest):
    def text_once_logged(self, run, pattern):
        """The match of `pattern` in the run's log, once it is there."""

        def found():
            match = re.search(pattern, self.api.log(run["id"]).decode(errors="replace"))
            if not match:
                raise NotYet(f"the log is {self.api.log(run['id'])[-200:]!r}")
            return match

        return self.cluster.wait_for(found, 30, f"{pattern!r} in the log of {run['task_name']}")


class Fires(ClusterTest):
    def test_every_fire_is_in_the_history_exactly_once(self):
        self.make_task("metronome", [{"every": "2s"}], command=["/bin/true"])

        def ten_ended():
            runs = self.cluster.cli_json("get", "runs", "--task", "demo/tests/metronome")
            ended = [run for run in runs if run["state"] == "SUCCEEDED"]
            if len(ended) < 10:
                raise NotYet(f"{len(ended)} of {len(runs)} runs have ended")
            return runs

        runs = self.cluster.wait_for(ten_ended, 60, "ten fires")
        fires = instants(runs)
        self.assertEqual(fires, [fires[0] + 2 * i for i in range(len(fires))], "a fire is missing or double")
        self.assertEqual(fires[0] % 2, 0, "fires are aligned to the anchor")
        self.assertEqual({run["state"] for run in runs} - {"SUCCEEDED", "RUNNING"}, set())
        self.assertEqual(len({run["node_name"] for run in runs}), 1, "one node owns the task")
        for run in runs:
            self.assertGreaterEqual(parse_instant(run["started_at"]), parse_instant(run["fire_time"]) - 0.001, "no fire is early")

    def test_disabled_task_does_not_fire_and_enabled_one_does(self):
        beside = self.make_task("beside", [EVERY_SECOND], command=["/bin/true"])
        task = self.make_task("sleeper", [EVERY_SECOND], command=["/bin/true"], enabled=False)
        self.cluster.wait_for(lambda: len(self.cluster.runs(beside, state="SUCCEEDED")) >= 4, 30, "four fires of the other task")
        self.assertEqual(self.cluster.runs(task), [])
        self.api.post(f"/tasks/{task['id']}/enable")
        self.cluster.wait_for(lambda: self.cluster.runs(task, state="SUCCEEDED"), 30, "a fire of the enabled task")

    def test_overlapping_fire_is_skipped_and_says_so(self):
        task = self.make_task("slow", [EVERY_SECOND], shell="sleep 2.5", overlap="forbid")
        skipped = self.cluster.wait_for(lambda: self.cluster.runs(task, state="SKIPPED"), 30, "a skipped fire")
        self.assertIn("overlap", skipped[0]["reason"])

    def test_changed_schedule_takes_effect(self):
        task = self.make_task("yearly", [{"cron": "0 0 1 1 *", "zone": "UTC"}], command=["/bin/true"])
        task["schedules"] = [EVERY_SECOND]
        self.api.call("PUT", f"/tasks/{task['id']}", task, {"If-Match": f'"{task["version"]}"'})
        self.cluster.wait_for(lambda: self.cluster.runs(task, state="SUCCEEDED"), 30, "a fire by the new schedule")


class Previews(ClusterTest):
    def test_api_and_command_line_show_the_same(self):
        rule = {"cron": "30 2 * * *", "zone": "Europe/Berlin"}
        after = "2030-03-29T12:00:00Z"
        by_api = self.api.post("/schedules/preview", {"schedule": rule, "after": after, "count": 4})
        options = ["--cron", rule["cron"], "--zone", rule["zone"], "--after", after, "--count", "4"]
        self.assertEqual(self.cluster.cli_json("schedule", "preview", *options), by_api)
        self.assertEqual([fire["clock_change"] for fire in by_api["fires"]], ["none", "moved", "none", "none"])
        shown = self.cluster.cli("schedule", "preview", *options)
        self.assertIn(by_api["words"]["en"][0], shown)
        for fire in by_api["fires"]:
            self.assertRegex(shown, re.escape(fire["local"]) + " +" + re.escape(fire["offset"]) + ".* " + fire["at"])

    def test_task_fires_when_its_preview_says(self):
        task = self.make_task("previewed", [{"every": "2s", "jitter": "2s"}], command=["/bin/true"])
        preview = self.cluster.cli_json("schedule", "preview", "--task", "demo/tests/previewed", "--count", "60")
        foreseen = {fire["at"] for fire in preview["fires"]}
        first = min(foreseen)

        def fired():
            return {run["fire_time"] for run in self.cluster.runs(task, state="SUCCEEDED") if run["fire_time"] >= first}

        fires = self.cluster.wait_for(fired, 30, "a fire after the preview")
        self.assertLessEqual(fires, foreseen)

    def test_forecast_counts_the_fires_of_the_runtime(self):
        before = self.cluster.cli_json("schedule", "forecast", "demo")
        task = self.make_task("counted", [{"cron": "0 0 * * *"}], command=["/bin/true"])
        self.assertEqual(self.cluster.cli_json("schedule", "forecast", "demo")["fires"], before["fires"] + 1)
        # Alone at midnight with another one it is a burst for a target of one.
        self.make_task("counted-too", [{"cron": "0 0 * * *"}], command=["/bin/true"])
        spread = self.cluster.cli_json("schedule", "spread", "demo", "--target", "1", "--max-jitter", "1h", "--apply")
        proposed = {proposal["task_id"]: proposal["jitter"] for proposal in spread["proposals"]}
        self.assertEqual(self.api.get(f"/tasks/{task['id']}")["schedules"][0]["jitter"], proposed[task["id"]])


class Ends(ClusterTest):
    def test_exit_code_makes_it_failed(self):
        run = self.cluster.run_now(self.make_task("exit-7", shell="exit 7"))
        self.assertEqual((run["state"], run["exit_code"], run["trigger"].lower()), ("FAILED", 7, "manual"))

    def test_signal_makes_it_failed(self):
        run = self.cluster.run_now(self.make_task("segfault", shell="kill -SEGV $$"))
        self.assertEqual((run["state"], run["signal"]), ("FAILED", 11))

    def test_program_that_is_not_there_fails_with_a_sentence(self):
        run = self.cluster.run_now(self.make_task("absent", command=["/no/such/program"]))
        self.assertEqual(run["state"], "FAILED")
        self.assertIn("/no/such/program", run["reason"])

    def test_time_out_ends_it(self):
        task = self.make_task("endless", shell="echo begun; sleep 1000", time_limit="1s", grace="1s")
        run = self.cluster.run_now(task)
        self.assertEqual(run["state"], "TIMED_OUT")
        self.assertEqual(self.api.log(run["id"]), b"begun\n")

    def test_time_out_kills_what_ignores_term(self):
        task = self.make_task("stubborn", shell="trap '' TERM; echo $$; while :; do sleep 1; done", time_limit="1s", grace="1s")
        run = self.cluster.run_now(task)
        self.assertEqual(run["state"], "TIMED_OUT")
        self.assertFalse(alive(int(self.api.log(run["id"]))))

    def test_stop_ends_the_whole_tree(self):
        task = self.make_task("family", shell="sleep 1001 & echo child=$!; sh -c 'sleep 1002 & echo grandchild=$!; wait' & wait")
        run = self.cluster.wait_for(lambda: self.cluster.start_task(task), 30, "the start")
        pids = [self.text_once_logged(run, rf"\b{who}=(\d+)").group(1) for who in ("child", "grandchild")]
        self.assertTrue(all(map(alive, pids)))
        self.cluster.cli("run", "stop", run["id"])
        self.assertEqual(self.cluster.wait_for_run(run)["state"], "STOPPED")
        self.cluster.wait_for(lambda: not any(map(alive, pids)), 10, "child and grandchild to be gone")

    def test_stopping_an_ended_run_is_a_conflict(self):
        run = self.cluster.run_now(self.make_task("quick", command=["/bin/true"]))
        self.assertEqual(self.api.request("POST", f"/runs/{run['id']}/stop").status, 409)


class Logs(ClusterTest):
    def test_log_is_what_the_program_wrote(self):
        script = ("import os, sys\nout = bytes(range(256)) * 400\nos.write(1, out)\nos.write(2, b'to the other stream')\n")
        run = self.cluster.run_now(self.make_task("bytes", command=["/usr/bin/python3", "-c", script]))
        self.assertEqual(run["state"], "SUCCEEDED")
        self.assertEqual(self.api.log(run["id"]), bytes(range(256)) * 400)
        self.assertEqual(self.api.log(run["id"], "stderr"), b"to the other stream")
        self.assertEqual((run["stdout_bytes"], run["stderr_bytes"], run["output_truncated"]), (256 * 400, 19, False))

    def test_log_can_be_read_from_an_offset_and_by_the_cli(self):
        run = self.cluster.run_now(self.make_task("lines", shell="seq 1 1000"))
        whole = "".join(f"{n}\n" for n in range(1, 1001))
        self.assertEqual(self.api.request("GET", f"/runs/{run['id']}/log?stream=stdout&from=3885").body.decode(), whole[3885:])
        self.assertEqual(self.cluster.cli("run", "log", run["id"]), whole)

    def test_endless_output_is_cut_in_the_middle_and_marked(self):
        limit = 4 << 20
        task = self.make_task("flood", shell="seq 1 2700000", output_limit="4MiB")  # 20.5 MB
        run = self.cluster.run_now(task, timeout=60)
        written = sum(len(str(n)) + 1 for n in range(1, 2700001))
        self.assertEqual((run["state"], run["stdout_bytes"], run["output_truncated"]), ("SUCCEEDED", written, True))
        log = self.api.log(run["id"])
        self.assertLess(len(log), limit + 4096)
        self.assertGreater(len(log), limit // 2)
        self.assertTrue(log.startswith(b"1\n2\n3\n"), log[:40])
        self.assertTrue(log.endswith(b"2699999\n2700000\n"), log[-40:])
        marks = [line for line in log.split(b"\n") if line and not line.isdigit()]
        self.assertEqual(len(marks), 1, marks[:5])

    def test_environment_and_working_folder_are_the_task_s_own(self):
        run = self.cluster.run_now(self.make_task("surroundings", shell='echo "$GREETING"; ls -A | wc -l', environment={"GREETING": "hello you"}))
        self.assertEqual(self.api.log(run["id"]), b"hello you\n0\n")


class Canaries(ClusterTest):
    def test_bad_version_is_rolled_back_after_one_failure_and_the_old_one_goes_on(self):
        task = self.make_task("canary", [EVERY_SECOND], shell="true", notify=["canary@example.org"])
        self.api.call("PUT", f"/tasks/{task['id']}?canary=5", {**task, "shell": "exit 3"}, {"If-Match": "*"})

        def rolled_back():
            seen = self.api.get(f"/tasks/{task['id']}")
            if seen["canary"]["state"] != "rolled_back":
                raise NotYet(f"{seen['canary']}")
            return seen

        seen = self.cluster.wait_for(rolled_back, 30, "the roll back")
        self.assertEqual((seen["shell"], seen["version"], seen["canary"]["previous"]), ("true", 3, 1))

        def goes_on():
            ended = [run for run in self.cluster.runs(task, state="SUCCEEDED") if run["task_version"] == 3]
            if not ended:
                raise NotYet("no run of version 3 has succeeded")
            return ended

        self.cluster.wait_for(goes_on, 30, "a run of the version that was put back")
        self.assertIn("rolled back to version 1", self.cluster.cli("task", "versions", "demo/tests/canary"))
        self.cluster.wait_for(lambda: self.mail_to("canary@example.org", "version 2 was rolled back"), 30, "the mail")

    def mail_to(self, address, subject):
        found = [mail for mail in self.cluster.mail.mails() if address in mail.get_all("X-Envelope-To") and subject in mail["Subject"]]
        if not found:
            raise NotYet(f"no mail to {address} says {subject}")
        return found


class Packages(ClusterTest):
    def test_uploaded_program_is_unpacked_and_run(self):
        blob = io.BytesIO()
        with tarfile.open(fileobj=blob, mode="w:gz") as archive:
            for name, text, mode in (("bin/hello.sh", '#!/bin/sh\ncat "$(dirname "$0")/../words.txt"\n', 0o755), ("words.txt", "from the package\n", 0o644)):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(text), mode
                archive.addfile(entry, io.BytesIO(text.encode()))
        package = self.api.post("/packages?filename=hello.tar.gz", blob.getvalue())
        run = self.cluster.run_now(self.make_task("packaged", command=["bin/hello.sh"], package=package["sha256"]))
        self.assertEqual(run["state"], "SUCCEEDED", run.get("reason"))
        self.assertEqual(self.api.log(run["id"]), b"from the package\n")
        self.assertEqual(run["package"], package["sha256"])


class Mail(ClusterTest):
    def mails_about(self, run):
        return [mail for mail in self.cluster.mail.mails() if run["id"] in f"{mail['Subject']}\n{text_of(mail)}"]

    def test_each_failed_run_is_mailed_once_to_whom_the_task_names(self):
        task = self.make_task("bad-luck", shell="echo before the fall; exit 9", notify=["owner@example.org", "second@example.org"])
        runs = [self.cluster.run_now(task) for _ in range(3)]
        for run in runs:
            self.cluster.wait_for(lambda run=run: self.mails_about(run), 30, "the mail")
        for run in runs:
            mails = self.mails_about(run)
            receivers = sorted(to for mail in mails for to in mail.get_all("X-Envelope-To"))
            self.assertEqual(receivers, ["owner@example.org", "second@example.org"])
            self.assertIn("bad-luck", mails[0]["Subject"])

    def test_mail_goes_out_when_the_mail_server_is_back(self):
        self.cluster.mail.stop()
        try:
            run = self.cluster.run_now(self.make_task("unlucky", shell="exit 1", notify=["owner@example.org"]))
            self.assertEqual(run["state"], "FAILED")
        finally:
            self.cluster.mail.start()
        self.cluster.mail.refusals = 1
        self.cluster.wait_for(lambda: self.mails_about(run), 60, "the mail, after a refused connection and a temporary failure")
        self.assertEqual(len(self.mails_about(run)), 1)

    def test_stopped_run_is_not_mailed(self):
        task = self.make_task("called-off", shell="echo up; sleep 1000", notify=["owner@example.org"])
        run = self.cluster.wait_for(lambda: self.cluster.start_task(task), 30, "the start")
        self.text_once_logged(run, "up")
        self.api.post(f"/runs/{run['id']}/stop")
        self.assertEqual(self.cluster.wait_for_run(run)["state"], "STOPPED")
        later = self.cluster.run_now(self.make_task("after-it", shell="exit 1", notify=["owner@example.org"]))
        self.cluster.wait_for(lambda: self.mails_about(later), 30, "the mail of a later failure")
        self.assertEqual(self.mails_about(run), [])
