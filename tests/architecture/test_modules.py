"""Holds the source tree to the design: which module may include which, and where foreign libraries may appear.

Reads the #include lines; needs no build. The rules are those of docs/architecture.md ("Modules").
"""

import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SOURCES = (".h", ".hpp", ".cpp", ".cc", ".ipp")

# What each module may use besides itself. `archive` unpacks uploaded packages.
MAY_USE = {
    "core": set(),
    "task": {"core"},
    "http": {"core"},
    "archive": {"core"},
    "ring": {"core", "task"},
    "zk": {"core", "task"},
    "node": {"core", "task", "http", "archive", "ring", "zk"},
    "center": {"core", "task", "http", "archive", "ring", "zk"},
    "cli": {"core", "task", "http"},
}

# (what is included, where it may be): paths are relative to the root.
LIBRARIES = [
    (r"boost/beast(/|\.hpp)", r"src/http/"),
    (r"(cpprest|pplx)/", r"src/http/"),
    (r"zookeeper/", r"src/zk/(session_core\.h|zookeeper_c\.h)"),
    (r"(sqlite3\.h|soci/)", r"src/(node|center)/([a-z_]+/)*[a-z_]*(store|journal|database|sql)[a-z_]*\.(h|cpp)"),
    (r"boost/asio(/|\.hpp)", r"src/(core|http|zk|node|center)/.*\.(cpp|h)"),
    (r"archive(_entry)?\.h", r"src/(archive/|cli/pack\.cpp)"),
    (r"curl/", r"src/(center|node/http)/"),
    (r"yaml-cpp/", r"src/cli/"),
    (r"re2/", r"src/task/"),
]


def module_of(path):
    """`core` of src/core/x.cpp and of include/cloudtask/core/x.h."""
    parts = path.split("/")
    return parts[1] if parts[0] == "src" else parts[2]


def read_sources():
    """{path relative to the root: [(bracket, included)]} of everything in src/ and include/."""
    found = {}
    for top in ("src", "include"):
        for folder, _, names in os.walk(os.path.join(ROOT, top)):
            for name in names:
                if name.endswith(SOURCES):
                    path = os.path.join(folder, name)
                    with open(path, encoding="utf-8") as file:
                        found[os.path.relpath(path, ROOT)] = INCLUDE.findall(file.read())
    return found


def faults_of_modules(sources):
    """Sentences on includes that the table of modules does not allow, and on private headers of other modules."""
    faults = []
    for path, includes in sources.items():
        module = module_of(path)
        if module not in MAY_USE:
            faults.append(f"{path}: module {module} is not in the design")
            continue
        for bracket, included in includes:
            public = re.match(r"cloudtask/([a-z_]+)/", included)
            if public:
                if public.group(1) != module and public.group(1) not in MAY_USE[module]:
                    faults.append(f"{path}: {module} may not use {public.group(1)} ({included})")
                if "include/" + included not in sources:
                    faults.append(f"{path}: there is no {included}")
            elif bracket == '"':
                if path.startswith("include/"):
                    faults.append(f"{path}: a public header includes a private one ({included})")
                beside = os.path.normpath(os.path.join(os.path.dirname(path), included))
                target = "src/" + included if "src/" + included in sources else beside
                if target not in sources:
                    faults.append(f"{path}: there is no {included}")
                elif module_of(target) != module:
                    faults.append(f"{path}: {included} is private to {module_of(target)}")
    return faults


def faults_of_libraries(sources):
    faults = []
    for path, includes in sources.items():
        for _, included in includes:
            for library, place in LIBRARIES:
                if re.match(library, included) and not re.match(place, path):
                    faults.append(f"{path}: {included} may be included only in {place}")
    return faults


def find_cycle(sources):
    """The paths of an include cycle among the headers, or nothing."""
    edges = {}
    for path, includes in sources.items():
        targets = []
        for _, included in includes:
            beside = os.path.normpath(os.path.join(os.path.dirname(path), included))
            targets += [t for t in ("include/" + included, "src/" + included, beside) if t in sources]
        edges[path] = targets
    done, trail = set(), []

    def visit(path):
        if path in trail:
            return trail[trail.index(path):] + [path]
        if path in done:
            return None
        trail.append(path)
        for target in edges[path]:
            cycle = visit(target)
            if cycle:
                return cycle
        trail.pop()
        done.add(path)
        return None

    for path in edges:
        cycle = visit(path)
        if cycle:
            return cycle
    return None


class Modules(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sources = read_sources()

    def test_there_is_something_to_check(self):
        self.assertGreater(len(self.sources), 20)

    def test_modules_use_only_what_the_design_allows(self):
        self.assertEqual(faults_of_modules(self.sources), [])

    def test_foreign_libraries_stay_where_they_are_wrapped(self):
        self.assertEqual(faults_of_libraries(self.sources), [])

    def test_no_include_cycle(self):
        self.assertIsNone(find_cycle(self.sources))

    def test_every_file_opens_with_a_comment(self):
        bare = []
        for path in self.sources:
            with open(os.path.join(ROOT, path), encoding="utf-8") as file:
                if not file.read(2) in ("//", "/*"):
                    bare.append(path)
        self.assertEqual(bare, [])


class TheChecksThemselves(unittest.TestCase):
    """That each rule can fail."""

    def test_upward_include_is_seen(self):
        sources = {"src/core/a.cpp": [('"', "cloudtask/task/b.h")], "include/cloudtask/task/b.h": []}
        self.assertEqual(len(faults_of_modules(sources)), 1)

    def test_private_header_of_another_module_is_seen(self):
        sources = {"src/node/a.cpp": [('"', "center/b.h")], "src/center/b.h": []}
        self.assertEqual(len(faults_of_modules(sources)), 1)

    def test_library_out_of_place_is_seen(self):
        sources = {"src/node/a.cpp": [("<", "cpprest/http_client.h"), ("<", "zookeeper/zookeeper.h"), ("<", "sqlite3.h")]}
        self.assertEqual(len(faults_of_libraries(sources)), 3)

    def test_cycle_is_seen(self):
        sources = {"src/core/a.h": [('"', "core/b.h")], "src/core/b.h": [('"', "core/a.h")]}
        self.assertEqual(find_cycle(sources), ["src/core/a.h", "src/core/b.h", "src/core/a.h"])


if __name__ == "__main__":
    unittest.main()
