"""The parts of the harness that the other tests rely on: counting results, waiting, ending what was left behind."""

import os
import subprocess
import sys
import tempfile
import time
import unittest

import python_tests
import summary
from cluster import parse_instant
from processes import NotYet, Process, wait_for

PASSED = "All tests passed (12 assertions in 3 test cases)\n"
FAILED = "test cases: 5 | 2 passed | 2 failed | 1 failed as expected\nassertions: 9 | 8 passed | 1 failed\n"


class Summary(unittest.TestCase):
    def count(self, *cases):
        with tempfile.NamedTemporaryFile("w", suffix=".xml") as file:
            file.write("<testsuite>" + "".join(f'<testcase name="{n}" status="{s}"><system-out>{o}</system-out></testcase>' for n, s, o in cases))
            file.write("</testsuite>")
            file.flush()
            return summary.count_ctest(file.name)

    def test_test_cases_are_counted(self):
        self.assertEqual(self.count(("a", "run", PASSED), ("b", "fail", FAILED)), (6, 2, ["b"]))

    def test_program_that_crashed_or_is_missing_is_a_failure(self):
        self.assertEqual(self.count(("a", "fail", "Segmentation fault"), ("b", "notrun", "")), (0, 2, ["a", "b"]))

    def test_nothing_run_is_not_a_success(self):
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run([sys.executable, summary.__file__, folder], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (1, "0 passed, 0 failed\n"))


class Order(unittest.TestCase):
    def test_the_longest_files_are_begun_first_and_none_is_left_out(self):
        files = python_tests.test_files()
        ordered = python_tests.longest_first(files)
        self.assertEqual([os.path.basename(file) for file in ordered[:len(python_tests.LONGEST)]], list(python_tests.LONGEST))
        self.assertEqual(sorted(ordered), sorted(files))


class Waiting(unittest.TestCase):
    def test_the_answer_comes_back_and_not_yet_is_waited_out(self):
        answers = iter([NotYet("no"), OSError("no"), None, "yes"])

        def ask():
            answer = next(answers)
            if isinstance(answer, Exception):
                raise answer
            return answer

        self.assertEqual(wait_for(ask, 5, "an answer", poll=0), "yes")

    def test_the_deadline_ends_it_with_what_was_seen(self):
        with self.assertRaisesRegex(AssertionError, "waited for rain: not within 0.01 s; last seen: NotYet\\('sunny'\\)"):
            wait_for(lambda: self.raise_not_yet("sunny"), 0.01, "rain")

    def raise_not_yet(self, text):
        raise NotYet(text)

    def test_a_process_that_dies_ends_it_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            process = Process("brief", ["sh", "-c", "echo last words; exit 4"], folder).start()
            began = time.monotonic()
            with self.assertRaisesRegex(AssertionError, "(?s)brief ended with 4.*last words"):
                wait_for(lambda: False, 60, "nothing", watch=[process])
            self.assertLess(time.monotonic() - began, 30)

    def test_stop_removes_the_recorded_pid(self):
        with tempfile.TemporaryDirectory() as folder:
            process = Process("sleeper", ["sleep", "1000"], folder).start()
            self.assertTrue(os.path.exists(process.pid_path))
            self.assertEqual(process.stop(), -15)
            self.assertFalse(os.path.exists(process.pid_path))


class Instants(unittest.TestCase):
    def test_decimals(self):
        self.assertEqual(parse_instant("1970-01-01T00:01:00Z"), 60)
        self.assertEqual(parse_instant("1970-01-01T00:01:00.250000Z"), 60.25)
