"""Holds README and docs/ to what is there: links, the configuration reference, the marked commands.

Commands: every ```sh test block of a file is run, top to bottom, as one bash script in an empty folder, with `cloudtask` on the PATH, logged in as
admin at a real cluster with a runtime `demo`. A command that fails fails the test.
"""

import os
import re
import subprocess
import tempfile
import unittest

import shared_cluster
from cluster import ROOT, program

BLOCK = re.compile(r"^```sh test\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)#]+)(#[^)]*)?\)")


def documents():
    """{path relative to the root: text} of all Markdown files that people read."""
    paths = [name for name in os.listdir(ROOT) if name.endswith(".md")]
    paths += [os.path.join("docs", name) for name in os.listdir(os.path.join(ROOT, "docs")) if name.endswith(".md")]
    found = {}
    for path in paths + ["src/README.md"]:
        with open(os.path.join(ROOT, path), encoding="utf-8") as file:
            found[path] = file.read()
    return found


class Text(unittest.TestCase):
    def test_links_within_the_repository_lead_somewhere(self):
        broken = []
        for path, text in documents().items():
            for target, _ in LINK.findall(re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)):
                if "://" not in target and not os.path.exists(os.path.join(ROOT, os.path.dirname(path), target)):
                    broken.append(f"{path}: {target}")
        self.assertEqual(broken, [])

    def test_configuration_reference_is_what_the_programs_say(self):
        with open(os.path.join(ROOT, "docs", "configuration.md"), encoding="utf-8") as file:
            reference = file.read()
        for name in ("cloudtask-center", "cloudtask-node"):
            said = subprocess.run([program(name), "--help-markdown"], capture_output=True, text=True, check=True).stdout.strip()
            self.assertGreater(said.count("\n"), 5)
            self.assertIn(said, reference, f"docs/configuration.md is not up to date: run scripts/update-docs ({name})")

    def test_example_configuration_is_what_the_programs_take(self):
        for name, file in (("cloudtask-center", "center.conf"), ("cloudtask-node", "node.conf")):
            with open(os.path.join(ROOT, "conf", file), encoding="utf-8") as original:
                text = original.read()
            # Once as it stands, once with every commented key switched on.
            for variant in (text, re.sub(r"^#([a-z][a-z.-]* =)", r"\1", text, flags=re.MULTILINE)):
                with self.subTest(name), tempfile.NamedTemporaryFile("w", suffix=".conf") as written:
                    written.write(variant)
                    written.flush()
                    # The file is read before the environment, whose unknown key ends the program before it starts.
                    done = subprocess.run([program(name), "--config", written.name], capture_output=True, text=True, timeout=30, check=False,
                                          env={"CLOUDTASK_NO_SUCH_KEY": "1"})
                    self.assertNotEqual(done.returncode, 0)
                    self.assertIn("CLOUDTASK_NO_SUCH_KEY", done.stderr)


class Commands(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        shared_cluster.start(nodes=2)

    @classmethod
    def tearDownClass(cls):
        shared_cluster.stop()

    def test_marked_commands_work(self):
        cluster = shared_cluster.current
        blocks = {path: BLOCK.findall(text) for path, text in documents().items()}
        self.assertGreater(sum(map(len, blocks.values())), 1)
        for path, scripts in blocks.items():
            if not scripts:
                continue
            with self.subTest(path), tempfile.TemporaryDirectory(prefix="cloudtask-docs-") as folder:
                environment = cluster.cli_environment()
                environment["PATH"] = os.path.dirname(program("cloudtask")) + ":" + environment["PATH"]
                done = subprocess.run(["bash", "-euo", "pipefail", "-x", "-c", "\n".join(scripts)], cwd=folder, env=environment, capture_output=True,
                                      text=True, timeout=120, check=False)
                self.assertEqual(done.returncode, 0, f"{done.stdout}\n{done.stderr}")
