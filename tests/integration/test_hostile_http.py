"""Wrong and hostile requests to a real center: each gets a 4xx with a sentence, as problem+json, and changes nothing."""

import gzip
import hashlib
import http.client
import io
import json
import os
import socket
import tarfile
import threading
import unittest
import zipfile

import shared_cluster
from api import Api
from processes import wait_for

TASK = {"runtime": "demo", "group": "tests", "name": "victim", "command": ["/bin/true"]}
BRACKETS = b"[" * 200_000


def setUpModule():
    cluster = shared_cluster.start(nodes=0)
    cluster.start_zookeeper()
    cluster.start_mail()
    cluster.start_center()
    cluster.log_in()
    cluster.make_runtime()


def tearDownModule():
    shared_cluster.stop()


def parse_raw(answer):
    """(status, headers in lower case, body) of the first reply in raw bytes."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:] if ": " in line)
    return int(lines[0].split(" ")[1]), headers, body


class Hostile(shared_cluster.SharedClusterTest):
    def setUp(self):
        super().setUp()
        self.before = self.everything()
        self.addCleanup(lambda: self.assertTrue(self.cluster.center.running(), "the center died"))

    def everything(self):
        """All that the center holds, as far as the API shows it."""
        return {path: self.api.every(path) for path in ("/runtimes", "/groups", "/tasks", "/packages", "/users", "/join-tokens")}

    def assert_refused(self, reply, *statuses, mentions=""):
        self.assertIn(reply.status, statuses, reply.body[:500])
        self.assertTrue(reply.is_problem(), reply.headers)
        problem = reply.json()
        self.assertEqual(problem["status"], reply.status)
        text = json.dumps(problem)
        self.assertGreater(len(problem.get("detail") or problem["title"]), 5, text)
        self.assertIn(mentions.lower(), text.lower())
        self.assertEqual(self.everything(), self.before, "it changed something")

    def make_victim(self, **changes):
        task = self.api.post("/tasks", {**TASK, **changes})
        self.addCleanup(lambda: self.api.request("DELETE", f"/tasks/{task['id']}", headers={"If-Match": "*"}))
        self.before = self.everything()
        return task


class Definitions(Hostile):
    def test_each_bad_definition_is_refused_with_its_fault(self):
        bad = {
            "unknown member": ({**TASK, "comand": ["x"]}, "comand"),
            "wrong type": ({**TASK, "command": "echo"}, "command"),
            "number for a text": ({**TASK, "name": 7}, "name"),
            "text for a flag": ({**TASK, "enabled": "yes"}, "enabled"),
            "neither command nor shell": ({k: v for k, v in TASK.items() if k != "command"}, "command"),
            "both command and shell": ({**TASK, "shell": "true"}, "shell"),
            "bad name": ({**TASK, "name": "../etc"}, "name"),
            "unknown zone": ({**TASK, "schedules": [{"cron": "0 9 * * *", "zone": "Mars/Olympus"}]}, "Mars/Olympus"),
            "bad cron field": ({**TASK, "schedules": [{"cron": "61 * * * *"}]}, "schedules/0"),
            "impossible schedule": ({**TASK, "schedules": [{"cron": "0 0 30 2 *"}]}, "schedules/0"),
            "no interval": ({**TASK, "schedules": [{"every": "0s"}]}, "every"),
            "unit missing": ({**TASK, "time_limit": "30"}, "time_limit"),
            "negative duration": ({**TASK, "time_limit": "-5s"}, "time_limit"),
            "unknown policy": ({**TASK, "overlap": "perhaps"}, "overlap"),
            "unknown package": ({**TASK, "package": "0" * 64}, "package"),
            "unknown group": ({**TASK, "group": "nowhere"}, "group"),
            "bad mail address": ({**TASK, "notify": ["not an address"]}, "notify"),
            "control character": ({**TASK, "name": "a\u0000b"}, "name"),
        }
        for what, (body, mentions) in bad.items():
            with self.subTest(what):
                self.assert_refused(self.api.request("POST", "/tasks", body), 400, 404, 409, 422, mentions=mentions)

    def test_all_faults_are_told_at_once(self):
        reply = self.api.request("POST", "/tasks", {**TASK, "name": "NO", "overlap": "perhaps", "time_limit": "x", "wrong": 1})
        self.assert_refused(reply, 400, 422)
        self.assertGreaterEqual({fault["pointer"] for fault in reply.json()["faults"]}, {"/name", "/overlap", "/time_limit", "/wrong"})

    def test_what_is_not_json_is_refused(self):
        for what, body in {
            "nothing": b"", "not closed": b'{"name": "x"', "two values": b"{} {}", "a comment": b"{/* */}", "not UTF-8": b'{"name": "\xff\xfe"}',
            "200,000 brackets": BRACKETS, "deep objects": b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "infinity": b'{"version": 1e999}',
            "an array": b"[]", "a bare text": b'"x"', "null": b"null", "the same member twice": b'{"name":"a","name":"b"}',
        }.items():
            with self.subTest(what):
                reply = self.api.request("POST", "/tasks", body, {"Content-Type": "application/json"})
                self.assert_refused(reply, 400, 413, 422)

    def test_too_large_a_definition_is_refused(self):
        self.assert_refused(self.api.request("POST", "/tasks", {**TASK, "description": "x" * 70_000}), 413)

    def test_lone_surrogates_and_long_names_are_refused(self):
        self.assert_refused(self.api.request("POST", "/tasks", b'{"runtime":"demo","group":"tests","name":"\\ud800","command":["x"]}'), 400, 422)
        self.assert_refused(self.api.request("POST", "/tasks", {**TASK, "name": "n" * 64}), 400, 422, mentions="name")

    def test_duplicate_name_is_a_conflict(self):
        self.make_victim()
        self.assert_refused(self.api.request("POST", "/tasks", TASK), 409, mentions="victim")
        self.assert_refused(self.api.request("POST", "/runtimes", {"name": "demo"}), 409, mentions="demo")
        self.assert_refused(self.api.request("POST", "/groups", {"runtime": "demo", "name": "tests"}), 409, mentions="tests")

    def test_stale_and_missing_versions_are_refused(self):
        task = self.make_victim()
        path = f"/tasks/{task['id']}"
        fresh = self.api.call("PUT", path, {**TASK, "description": "second"}, {"If-Match": f'"{task["version"]}"'})
        self.before = self.everything()
        self.assertEqual(fresh["version"], task["version"] + 1)
        self.assert_refused(self.api.request("PUT", path, {**TASK, "description": "third"}, {"If-Match": f'"{task["version"]}"'}), 412)
        self.assert_refused(self.api.request("PUT", path, {**TASK, "description": "third"}), 428)
        self.assert_refused(self.api.request("PUT", path, TASK, {"If-Match": "two"}), 400, 412)
        self.assert_refused(self.api.request("DELETE", path, headers={"If-Match": '"1"'}), 412)

    def test_full_groups_and_runtimes_are_not_deleted(self):
        self.make_victim()
        group = self.api.every("/groups")[0]
        self.assert_refused(self.api.request("DELETE", f"/groups/{group['id']}"), 409)
        self.assert_refused(self.api.request("DELETE", "/runtimes/demo"), 409)

    def test_idempotency_key(self):
        headers = {"Idempotency-Key": "create-victim-once"}
        first = self.api.request("POST", "/tasks", TASK, headers)
        again = self.api.request("POST", "/tasks", TASK, headers)
        self.addCleanup(lambda: self.api.request("DELETE", f"/tasks/{first.json()['id']}", headers={"If-Match": "*"}))
        self.before = self.everything()
        self.assertEqual((first.status, first.json()), (again.status, again.json()))
        self.assert_refused(self.api.request("POST", "/tasks", {**TASK, "name": "other"}, headers), 422)
        self.assert_refused(self.api.request("POST", "/tasks", {**TASK, "name": "other"}, {"Idempotency-Key": "k" * 129}), 400)

    def test_wrong_questions_are_refused(self):
        for path in ("/tasks?limit=0", "/tasks?limit=201", "/tasks?limit=many", "/tasks?cursor=xyz", "/tasks?sort=colour", "/tasks?flavour=sweet",
                     "/runs?since=yesterday", "/runs?state=HAPPY", "/tasks/not-an-id", "/nowhere", "/runs/00000000-0000-7000-8000-000000000000/log"):
            with self.subTest(path):
                self.assert_refused(self.api.request("GET", path), 400, 404, 422)

    def test_wrong_method_names_the_right_ones(self):
        reply = self.api.request("PATCH", "/tasks", {})
        self.assert_refused(reply, 405)
        self.assertIn("POST", reply.headers["allow"])


class Access(Hostile):
    def test_every_route_but_login_and_health_needs_a_token(self):
        anonymous = Api(self.api.address)
        paths = self.api.get("/openapi.json")["paths"]
        self.assertGreater(len(paths), 20)
        open_to_all = {"/login", "/node/join", "/openapi.json", "/healthz", "/readyz", "/metrics"}
        for pattern, operations in paths.items():
            path = pattern.removeprefix("/api/v1")
            for method in operations:
                if method not in ("get", "put", "post", "delete") or (path in open_to_all and (method, path) != ("delete", "/login")):
                    continue
                filled = path.replace("{name}", "demo").replace("{sha256}", "0" * 64).replace("{id}", "00000000-0000-7000-8000-000000000000")
                with self.subTest(f"{method} {path}"):
                    reply = anonymous.request(method.upper(), filled, b"{}" if method in ("put", "post") else None)
                    self.assertEqual(reply.status, 401, reply.body[:200])
                    self.assertTrue(reply.is_problem())
        self.assertEqual(self.everything(), self.before)

    def test_wrong_tokens_and_passwords_are_refused(self):
        for token in ("x", "", "Bearer", "0" * 64, "a" * 4000, "\xe4\xf6"):
            with self.subTest(token[:10]):
                reply = self.api.request("GET", "/tasks", headers={"Authorization": f"Bearer {token}".encode("latin-1").decode("latin-1")})
                self.assertEqual(reply.status, 401)
        for body in ({"name": "admin", "password": "wrong"}, {"name": "nobody", "password": "wrong"}):
            reply = Api(self.api.address).request("POST", "/login", body)
            self.assertEqual(reply.status, 401)
            self.assertNotIn("admin", reply.body.decode())

    def test_node_s_routes_are_not_for_users_and_join_tokens_are_checked(self):
        for method, path, body in (("GET", "/node/catalog?since=0", None), ("POST", "/node/reports", {"reports": []}), ("GET", "/node/commands?wait=1s", None)):
            self.assertIn(self.api.request(method, path, body).status, (401, 403))
        join = {"token": "wrong", "runtime": "demo", "name": "intruder", "labels": {}, "weight": 1, "version": "0.1.0"}
        self.assert_refused(self.api.request("POST", "/node/join", join), 401, 403)
        self.assertEqual(self.api.every("/nodes"), [])

    def test_viewer_may_look_but_not_touch(self):
        self.api.post("/users", {"name": "viewer", "role": "viewer", "email": "viewer@example.org", "password": "correct horse battery"})
        self.before = self.everything()
        token = Api(self.api.address).post("/login", {"name": "viewer", "password": "correct horse battery"})["token"]
        viewer = Api(self.api.address, token)
        viewer.get("/tasks")
        self.assert_refused(viewer.request("POST", "/tasks", TASK), 403)
        self.assert_refused(viewer.request("POST", "/packages?filename=x.sh", b"#!/bin/sh\n"), 403)

    def test_files_outside_of_the_site_are_not_served(self):
        for path in ("/../../../../etc/passwd", "/..%2f..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/..%5c..%5cetc/passwd",
                     "/%00", "/index.html%00.png"):
            with self.subTest(path):
                answer = self.api.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                self.assertNotIn(b"root:", answer)
                status = parse_raw(answer)[0]
                self.assertTrue(status in (400, 404) or (status == 200 and b"<html" in answer.lower()), answer[:200])


class Protocol(Hostile):
    """What no HTTP client would send."""

    def refused_raw(self, data, *statuses):
        answer = self.api.raw(data)
        status, headers, body = parse_raw(answer)
        self.assertIn(status, statuses, answer[:300])
        self.assertEqual(answer.count(b"HTTP/1.1 "), 1, "exactly one reply")
        self.assertIn("application/problem+json", headers.get("content-type", ""))
        json.loads(body)
        self.assertEqual(self.everything(), self.before)

    def head(self, *lines):
        return "\r\n".join(["POST /api/v1/tasks HTTP/1.1", "Host: x", f"Authorization: Bearer {self.api.token}", *lines, "", ""]).encode("latin-1")

    def test_bad_lengths_and_smuggling_are_refused(self):
        for what, data in {
            "length and chunks": self.head("Content-Length: 2", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
            "two lengths": self.head("Content-Length: 2", "Content-Length: 3") + b"{}x",
            "negative length": self.head("Content-Length: -1") + b"{}",
            "length of letters": self.head("Content-Length: two") + b"{}",
            "length beyond 64 bits": self.head("Content-Length: 99999999999999999999999") + b"{}",
            "unknown coding": self.head("Transfer-Encoding: snappy") + b"{}",
            "bad chunk": self.head("Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
            "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 200 + b"\r\n\r\n",
        }.items():
            with self.subTest(what):
                self.refused_raw(data, 400, 411, 413, 501)

    def test_announced_too_large_a_body_is_refused_before_it_comes(self):
        self.refused_raw(self.head("Content-Length: 70000", "Connection: close"), 413)

    def test_endless_header_is_refused(self):
        self.refused_raw(b"GET /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + b"X-Filler: " + b"y" * 200_000, 400, 431)
        self.refused_raw(b"GET /api/v1/tasks HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(20_000)), 400, 431)
        self.refused_raw(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 400, 414, 431)

    def test_many_silent_connections_do_not_shut_others_out(self):
        silent = []
        try:
            for _ in range(300):
                connection = socket.create_connection((self.api.host, self.api.port), timeout=10)
                connection.sendall(b"POST /api/v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Le")
                silent.append(connection)
            self.assertEqual(self.api.request("GET", "/tasks").status, 200)
        finally:
            for connection in silent:
                connection.close()
        self.assertEqual(self.everything(), self.before)

    def test_hasty_clients_leave_no_descriptors_behind(self):
        def descriptors():
            return len(os.listdir(f"/proc/{self.cluster.center.pid}/fd"))

        quiet = wait_for(lambda: descriptors(), 10, "the count")
        for _ in range(200):
            with socket.create_connection((self.api.host, self.api.port), timeout=10) as connection:
                connection.sendall(self.head("Content-Length: 100") + b'{"half":')
        wait_for(lambda: descriptors() <= quiet + 5, 60, "the descriptors of clients that hung up to be closed")
        self.assertEqual(self.everything(), self.before)


def tar_of(*entries):
    """A tar.gz of (name, content) and of ready TarInfo objects."""
    blob = io.BytesIO()
    with tarfile.open(fileobj=blob, mode="w:gz") as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
            else:
                name, content = entry
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return blob.getvalue()


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.devmajor, info.devminor = kind, target, 1, 3
    return info


class Packages(Hostile):
    def upload(self, content, filename="x.tar.gz", headers=None):
        return self.api.request("POST", f"/packages?filename={filename}", content, headers)

    def test_each_dangerous_archive_is_refused(self):
        zip_blob = io.BytesIO()
        with zipfile.ZipFile(zip_blob, "w") as archive:
            archive.writestr("../../evil.sh", "x")
        bad = {
            "path traversal": tar_of(("../../evil.sh", b"x")),
            "absolute path": tar_of(("/etc/cron.d/evil", b"x")),
            "traversal inside": tar_of(("a/../../evil", b"x")),
            "device": tar_of(special("null", tarfile.CHRTYPE)),
            "block device": tar_of(special("disk", tarfile.BLKTYPE)),
            "fifo": tar_of(special("pipe", tarfile.FIFOTYPE)),
            "link to outside": tar_of(special("out", tarfile.SYMTYPE, "../../../etc/passwd")),
            "absolute link": tar_of(special("out", tarfile.SYMTYPE, "/etc/passwd")),
            "hard link to outside": tar_of(special("out", tarfile.LNKTYPE, "../../etc/passwd")),
            "through a link": tar_of(special("d", tarfile.SYMTYPE, "/tmp"), ("d/evil", b"x")),
            "no archive at all": b"this is not a tar.gz file",
            "cut archive": tar_of(("a", bytes(range(256)) * 4000))[:-400],
            "empty": b"",
        }
        for what, content in bad.items():
            with self.subTest(what):
                self.assert_refused(self.upload(content), 400, 413, 415, 422)
        with self.subTest("zip with traversal"):
            self.assert_refused(self.upload(zip_blob.getvalue(), "x.zip"), 400, 415, 422)

    def test_bomb_is_refused(self):
        blob = io.BytesIO()
        with gzip.GzipFile(fileobj=blob, mode="wb", compresslevel=9) as squeezed:
            info = tarfile.TarInfo("zeros")
            info.size = 8 << 30
            squeezed.write(info.tobuf())
            zeros = bytes(1 << 20)
            for _ in range(1100):
                squeezed.write(zeros)
        self.assert_refused(self.upload(blob.getvalue()), 400, 413, 422)

    def test_wrong_sum_and_wrong_name_are_refused(self):
        content = b"#!/bin/sh\necho unique\n"
        self.assert_refused(self.upload(content, "x.sh", {"X-Content-SHA256": "0" * 64}), 400, 422)
        self.assert_refused(self.upload(content, "..%2f..%2fx.sh"), 400, 422)
        self.assert_refused(self.api.request("POST", "/packages", content), 400, 422)
        self.assert_refused(self.api.request("GET", "/packages/..%2f..%2fcenter.db"), 400, 404, 422)

    def test_upload_that_breaks_off_leaves_nothing(self):
        with socket.create_connection((self.api.host, self.api.port), timeout=10) as connection:
            connection.sendall(f"POST /api/v1/packages?filename=x.tar.gz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.api.token}\r\n"
                               "Content-Length: 1000000\r\n\r\n".encode() + b"z" * 300_000)
        content = b"#!/bin/sh\necho after the broken one\n"
        package = self.upload(content, "fine.sh")
        self.assertEqual((package.status, package.json()["sha256"]), (201, hashlib.sha256(content).hexdigest()))
        self.addCleanup(lambda: self.api.request("DELETE", f"/packages/{package.json()['sha256']}"))
        self.assertEqual([p["sha256"] for p in self.api.every("/packages")], [package.json()["sha256"]])

    def test_upload_above_the_bound_is_refused_early(self):
        answer = self.api.raw(f"POST /api/v1/packages?filename=x.tar.gz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.api.token}\r\n"
                              f"Content-Length: {600 << 20}\r\nConnection: close\r\n\r\n".encode())
        self.assertEqual(parse_raw(answer)[0], 413)
        self.assertEqual(self.everything(), self.before)

    def test_same_content_twice_is_one_package(self):
        content = b"#!/bin/sh\necho twice\n"
        first, again = self.upload(content, "a.sh"), self.upload(content, "b.sh")
        self.addCleanup(lambda: self.api.request("DELETE", f"/packages/{first.json()['sha256']}"))
        self.assertEqual((first.status, again.status), (201, 200))
        self.assertEqual(self.api.request("GET", f"/packages/{first.json()['sha256']}/content").body, content)

    def test_large_upload_stays_flat_in_memory(self):
        def resident():
            with open(f"/proc/{self.cluster.center.pid}/status", encoding="ascii") as file:
                return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:")) // 1024

        size, chunk = 200 << 20, bytes(range(256)) * 4096
        before, peak, done = resident(), [0], threading.Event()

        def watch():
            while not done.wait(0.02):
                peak[0] = max(peak[0], resident())

        watcher = threading.Thread(target=watch)
        watcher.start()
        connection = http.client.HTTPConnection(self.api.host, self.api.port, timeout=120)
        try:
            connection.putrequest("POST", "/api/v1/packages?filename=large.sh")
            connection.putheader("Authorization", f"Bearer {self.api.token}")
            connection.putheader("Content-Length", str(size + 10))
            connection.endheaders()
            connection.send(b"#!/bin/sh\n")
            for _ in range(size // len(chunk)):
                connection.send(chunk)
            answer = connection.getresponse()
            body = answer.read()
        finally:
            done.set()
            watcher.join()
            connection.close()
        self.assertEqual(answer.status, 201, body[:300])
        self.addCleanup(lambda: self.api.request("DELETE", f"/packages/{json.loads(body)['sha256']}"))
        self.assertLess(peak[0] - before, 60, f"{before} MiB before, {peak[0]} MiB at most")
