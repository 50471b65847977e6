"""Adds up the results of a test run and prints the line `N passed, N failed`.

Usage: summary.py FOLDER, with ctest.xml (written by ctest --output-junit) and python.xml (by python_tests.py) in it, either may be absent.
A C++ test program counts with its Catch2 test cases; one that died before it could tell counts as one failure.
Exit 0 only if something passed and nothing failed.
"""

import os
import re
import sys
import xml.etree.ElementTree as ElementTree

ALL_PASSED = re.compile(r"^All tests passed \(.*in (\d+) test cases?\)", re.MULTILINE)
SOME_FAILED = re.compile(r"^test cases: +(\d+)((?: +\| +\d+ [a-z]+(?: [a-z]+)*)+)", re.MULTILINE)


def count_ctest(path):
    passed, failed, names = 0, 0, []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        status = case.get("status")
        if status in ("disabled", "notrun"):
            if status == "notrun":  # its program is not there
                failed += 1
                names.append(case.get("name"))
            continue
        output = case.findtext("system-out") or ""
        if status == "run":
            found = ALL_PASSED.search(output)
            passed += int(found.group(1)) if found else 1
            continue
        names.append(case.get("name"))
        found = SOME_FAILED.search(output)
        if found:
            broken = max(1, sum(int(n) for n in re.findall(r"(\d+) failed(?! as)", found.group(2))))
            failed += broken
            passed += max(0, int(found.group(1)) - broken)
        else:
            failed += 1
    return passed, failed, names


def count_python(path):
    passed, failed, names = 0, 0, []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None:
            failed += 1
            names.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is None:
            passed += 1
    return passed, failed, names


def main():
    folder = sys.argv[1]
    passed = failed = 0
    names = []
    for name, count in (("ctest.xml", count_ctest), ("python.xml", count_python)):
        path = os.path.join(folder, name)
        if os.path.exists(path):
            p, f, n = count(path)
            passed, failed, names = passed + p, failed + f, names + n
    for name in names:
        print(f"failed: {name}")
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
