"""Runs the Python tests: every test_*.py in tests/architecture, tests/model, tests/integration and tests/chaos.

Usage: python_tests.py [--junit FILE] [--jobs N] [PATTERN...]   (a test runs if any pattern is part of its full name; all without a pattern)

Prints a line per test as it ends, with the seconds it took, and each failure where it happens. With --jobs the test files run in processes of
their own, N at once, and what each prints comes when it has ended: most tests wait for a cluster of their own more than they compute. CLOUDTASK_BIN is the folder of the programs
(default: build/release/bin). Meant for Debian's /usr/bin/python3.
"""

import argparse
import faulthandler
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FOLDERS = ("tests/architecture", "tests/model", "tests/integration", "tests/chaos")
# The files that take longest (40 to 90 s), the longest first: begun early, they do not keep the others' end waiting.
LONGEST = ("test_ledger.py", "test_model.py", "test_runs.py", "test_drain.py", "test_policies.py", "test_chaos.py")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import shared_cluster  # noqa: E402


class Result(unittest.TestResult):
    """Keeps (class, name, seconds, outcome, text) of each test and prints as it goes."""

    def __init__(self):
        super().__init__()
        self.rows = []
        self._started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self._started = time.monotonic()

    def _note(self, test, outcome, text=""):
        seconds = time.monotonic() - self._started if self._started else 0.0
        identity = test.id() if hasattr(test, "id") else str(test)
        owner, _, name = identity.rpartition(".")
        self.rows.append((owner, name, seconds, outcome, text))
        print(f"{outcome:8} {seconds:7.1f} s  {identity}{': ' + text if outcome == 'skipped' else ''}", flush=True)
        if outcome == "FAILED":
            print(text, flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self._note(test, "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self._note(test, "FAILED", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self._note(test, "FAILED", self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self._note(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            listed = self.failures if issubclass(err[0], test.failureException) else self.errors
            self._note(subtest, "FAILED", listed[-1][1])


def write_junit(path, rows):
    suite = ElementTree.Element("testsuite", name="python", tests=str(len(rows)))
    for owner, name, seconds, outcome, text in rows:
        case = ElementTree.SubElement(suite, "testcase", classname=owner, name=name, time=f"{seconds:.3f}")
        if outcome == "FAILED":
            ElementTree.SubElement(case, "failure").text = "".join(c for c in text if c.isprintable() or c in "\n\t")
        elif outcome == "skipped":
            ElementTree.SubElement(case, "skipped")
    ElementTree.ElementTree(suite).write(path, encoding="utf-8")


def test_files(folders=FOLDERS):
    return [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(os.path.join(ROOT, folder)))
            if name.startswith("test_") and name.endswith(".py")]


def longest_first(files):
    """The files named in LONGEST in its order, then the others in theirs."""
    places = {name: place for place, name in enumerate(LONGEST)}
    return sorted(files, key=lambda file: places.get(os.path.basename(file), len(LONGEST)))


def run_files(patterns, jobs):
    """Each test file in a process of its own; the rows of all."""
    rows = []
    waiting, running = longest_first(test_files()), {}
    with tempfile.TemporaryDirectory(prefix="cloudtask-python-tests-") as folder:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    file = waiting.pop(0)
                    base = os.path.join(folder, os.path.basename(file))
                    with open(base + ".log", "wb") as log:
                        words = [sys.executable, os.path.abspath(__file__), "--junit", base + ".xml", "--file", file, *patterns]
                        process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT)
                    running[process.pid] = process, base
                pid, status = os.wait()
                if pid not in running:
                    continue
                process, base = running.pop(pid)
                process.returncode = status  # it is reaped
                with open(base + ".log", encoding="utf-8", errors="replace") as log:
                    print(log.read(), end="", flush=True)
                if os.path.exists(base + ".xml"):
                    rows += read_junit(base + ".xml")
                else:
                    rows.append((os.path.basename(base), "the whole file", 0.0, "FAILED", f"its process ended with status {status}"))
        finally:
            for process, _ in running.values():
                process.terminate()
                process.wait()
    return rows


def read_junit(path):
    rows = []
    for case in ElementTree.parse(path).getroot():
        failure = case.find("failure")
        outcome = "FAILED" if failure is not None else "skipped" if case.find("skipped") is not None else "passed"
        rows.append((case.get("classname"), case.get("name"), float(case.get("time")), outcome, failure.text or "" if failure is not None else ""))
    return rows


def run_here(files, patterns):
    """The tests of these files in this process; the rows."""
    result = Result()
    try:
        for file in files:
            folder = os.path.join(ROOT, os.path.dirname(file))
            loader = unittest.TestLoader()
            tests = list(flatten(loader.discover(folder, pattern=os.path.basename(file), top_level_dir=folder)))
            if patterns:
                tests = [test for test in tests if any(pattern in test.id() for pattern in patterns)]
            unittest.TestSuite(tests).run(result)
    finally:
        shared_cluster.stop()  # does nothing unless the run was cut short
    return result.rows


def flatten(suite):
    for entry in suite:
        if isinstance(entry, unittest.TestSuite):
            yield from flatten(entry)
        else:
            yield entry


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--junit")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--file", action="append", help="run this file's tests alone")
    parser.add_argument("patterns", nargs="*")
    arguments = parser.parse_args()

    faulthandler.register(signal.SIGUSR1)  # where does it hang? kill -USR1 <pid>

    def stop(number, frame):  # so that cleanups run, which stop the servers
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    if arguments.jobs > 1 and not arguments.file:
        rows = run_files(arguments.patterns, arguments.jobs)
    else:
        rows = run_here(arguments.file or test_files(), arguments.patterns)
    if arguments.junit:
        write_junit(arguments.junit, rows)
    if arguments.file:
        return 0
    skipped = sum(1 for row in rows if row[3] == "skipped")
    failed = sum(1 for row in rows if row[3] == "FAILED")
    print(f"python: {len(rows) - skipped - failed} passed, {failed} FAILED, {skipped} skipped", flush=True)
    return 1 if failed or not rows else 0


if __name__ == "__main__":
    sys.exit(main())
