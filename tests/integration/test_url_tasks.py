"""URL tasks on real processes: what is called and how its answer counts, what is refused, retries with one key, a node that is killed amid a call,
and many calls that are due in one second. In the end the ledger explains every fire."""

import hashlib
import hmac
import json
import os
import ssl
import time
import unittest

import shared_cluster
from cluster import RUNTIME, CliError, NotYet, parse_instant
from mail_receiver import make_certificate, text_of
from url_server import UrlServer

MANY = 300
SECRET = "Bearer only-for-the-receiver"
KEY = "the-key-of-the-receiver"
TOKEN = "the-token-of-the-receiver"


def setUpModule():
    shared_cluster.start(nodes=2, center_options=["--ledger.grace=2s"])


def tearDownModule():
    shared_cluster.stop()


def instant(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


class UrlTasks(shared_cluster.SharedClusterTest):
    def setUp(self):
        super().setUp()
        self.server = UrlServer()
        self.addCleanup(self.server.stop)

    def calling(self, name, url, schedules=(), **fields):
        http = {"url": url, **fields.pop("http", {})}
        return self.make_task(name, schedules, http=http, **fields)

    def run_calls(self, tasks):
        """Starts them all by hand; returns their runs once they are over."""
        started = [self.cluster.wait_for(lambda task=task: self.cluster.start_task(task), 30, "a node that takes the run") for task in tasks]
        return [self.cluster.wait_for_run(run) for run in started]

    def allow(self, *networks):
        runtime = self.api.get(f"/runtimes/{RUNTIME}")
        self.api.call("PUT", f"/runtimes/{RUNTIME}", {**runtime, "http": {"allow": list(networks)}}, {"If-Match": f'"{runtime["version"]}"'})

    def test_what_is_called_and_what_is_not(self):
        begin = instant(time.time())
        self.hostile()
        self.allow("127.0.0.1", "127.0.0.2")
        self.answers()
        self.certificates()
        self.signatures()
        self.values()
        self.retries()
        self.killed()
        self.once()
        self.many()
        code, ledger = self.cluster.settled_ledger(begin)
        self.assertEqual((code, ledger["counts"]["unexplained"]), (0, 0), ledger["counts"])
        for name in os.listdir(os.path.join(self.cluster.folder, "logs")):
            with open(os.path.join(self.cluster.folder, "logs", name), encoding="utf-8", errors="replace") as log:
                self.assertNotIn(SECRET, log.read(), name)
        for folder, _, names in os.walk(self.cluster.folder):
            for name in names:
                # What an answer said stands in its run's output on the node as it came.
                if f"{os.sep}runs{os.sep}" in folder and name == "stdout":
                    continue
                with open(os.path.join(folder, name), "rb") as file:
                    content = file.read()
                self.assertFalse(KEY.encode() in content or TOKEN.encode() in content, name)

    def hostile(self):
        """A runtime that allows nothing of its own."""
        for number, url in enumerate(("file:///etc/passwd", "ftp://example.org/", "http://user:password@example.org/", "http://127.1/",
                                      "http://0x7f000001/", "http://2130706433/", "gopher://127.0.0.1/", "//example.org", "http://example.org\\@127.0.0.1/")):
            reply = self.api.request("POST", "/tasks", {"runtime": RUNTIME, "group": "tests", "name": f"no-{number}", "http": {"url": url}})
            self.assertEqual(reply.status, 422, url)
            self.assertEqual(reply.json()["faults"][0]["pointer"], "/http/url")
        hosts = ("127.0.0.1", "127.8.8.8", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "10.0.0.1", "169.254.169.254",
                 "192.168.0.1", "[fd00:ec2::254]", "100.100.100.200")
        self.hostile_tasks = [self.calling(f"hostile-{number}", self.server.url("/hostile", host)) for number, host in enumerate(hosts)]
        for host, run in zip(hosts, self.run_calls(self.hostile_tasks)):
            self.assertEqual(run["state"], "FAILED", host)
            self.assertRegex(run["reason"], "^not called: ", host)
            self.assertNotIn("http_status", run)
        self.assertEqual(self.server.hits, [])

    def answers(self):
        # The nodes have heard of what is allowed now.
        allowed = self.hostile_tasks[0]
        self.cluster.wait_for(lambda: self.cluster.run_now(allowed)["state"] == "SUCCEEDED", 20, "the nodes to hear of the runtime's networks")

        url = self.server.url
        tasks = {
            "posted": self.calling("posted", url("/posted"), http={"method": "POST", "headers": {"Authorization": SECRET}, "body": '{"a": 1}',
                                                                   "expect": {"pattern": "^ok$"}}),
            "wrong": self.calling("wrong", url("/status/503"), notify=["urls@example.org"]),
            "expected": self.calling("expected", url("/status/404"), http={"expect": {"status": ["404-410"]}}),
            "pattern": self.calling("pattern", url("/text"), http={"expect": {"pattern": "all is well"}}),
            "elsewhere": self.calling("elsewhere", url(f"/to?{url('/there', '127.0.0.2')}"), http={"redirects": 1, "headers": {"Authorization": SECRET}}),
            "not-followed": self.calling("not-followed", url(f"/to?{url('/there')}")),
            "to-loopback": self.calling("to-loopback", url(f"/to?{url('/never', '127.0.0.3')}"), http={"redirects": 5}),
            "to-file": self.calling("to-file", url("/to?file:///etc/passwd"), http={"redirects": 5}),
            "slow": self.calling("slow", url("/hang"), time_limit="1s"),
        }
        runs = dict(zip(tasks, self.run_calls(tasks.values())))
        told = {name: (run["state"], run.get("http_status"), run["reason"]) for name, run in runs.items()}
        self.assertEqual(told, {
            "posted": ("SUCCEEDED", 200, ""),
            "wrong": ("FAILED", 503, "it answered 503"),
            "expected": ("SUCCEEDED", 404, ""),
            "pattern": ("FAILED", 200, "the body of its answer does not match 'all is well'"),
            "elsewhere": ("SUCCEEDED", 200, ""),
            "not-followed": ("FAILED", 302, "it answered 302"),
            "to-loopback": ("FAILED", None, "sent on, but not called there: 127.0.0.3 is loopback (127.0.0.0/8)"),
            "to-file": ("FAILED", 302, "it was sent to an address that is neither http:// nor https://"),
            "slow": ("TIMED_OUT", None, "it ran longer than its time limit of 1s"),
        })
        self.assertEqual(self.server.to("/never"), [])

        posted = self.server.to("/posted")[0]
        self.assertEqual((posted.method, posted.body, posted.headers["authorization"]), ("POST", b'{"a": 1}', SECRET))
        self.assertEqual(posted.headers["cloudtask-run-id"], runs["posted"]["id"])
        self.assertEqual(posted.headers["idempotency-key"], runs["posted"]["id"])
        self.assertEqual(int(posted.headers["cloudtask-epoch"]), runs["posted"]["epoch"])
        self.assertNotIn("cloudtask-fire-time", posted.headers)
        there = self.server.to("/there")[0]
        self.assertFalse({"authorization", "cloudtask-run-id", "idempotency-key"} & set(there.headers), "another origin")

        self.assertEqual(self.cluster.cli("run", "log", runs["wrong"]["id"]), "status 503")
        self.assertIn("HTTP 503", self.cluster.cli("get", "runs", "--task", tasks["wrong"]["id"]))
        mail = self.cluster.wait_for(lambda: [mail for mail in self.cluster.mail.mails() if "urls@example.org" in mail.get_all("X-Envelope-To")], 20, "a mail about the failure")
        self.assertRegex(text_of(mail[0]), "HTTP.*: *503")
        text = self.cluster.cli("get", "tasks", f"{RUNTIME}/tests/posted", "-o", "yaml")
        self.assertIn("executor: http", text)
        self.cluster.cli("apply", "-f", "-", stdin=text)
        self.assertEqual(self.api.get(f"/tasks/{tasks['posted']['id']}")["version"], 1)

    def certificates(self):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*make_certificate(os.path.join(self.cluster.folder, "tls")))
        secure = UrlServer(tls)
        self.addCleanup(secure.stop)
        run = self.run_calls([self.calling("untrusted", secure.url("/", "localhost"))])[0]
        # localhost is ::1 or 127.0.0.1: the one is refused, the other answers with a certificate that nobody has signed.
        self.assertEqual(run["state"], "FAILED")
        self.assertIn("SSL peer certificate", run["reason"])
        self.assertTrue(run["reason"].startswith("not called: "), run["reason"])
        self.assertEqual(secure.hits, [])

    def signatures(self):
        """Each request is signed by itself, as its receiver can tell by the key alone; nothing is saved that could not be signed."""
        url = self.server.url
        fields = {"method": "POST", "body": '{"sum": 66}', "sign": {"secret": "hook"}, "redirects": 1}
        refused = self.api.request("POST", "/tasks", {"runtime": RUNTIME, "group": "tests", "name": "signed", "http": {"url": url("/signed"), **fields}})
        self.assertEqual((refused.status, [fault["pointer"] for fault in refused.json()["faults"]]), (422, ["/http/sign/secret"]))
        self.cluster.cli("secret", "set", f"{RUNTIME}/hook", stdin=KEY + "\n")
        task = self.calling("signed", url("/signed"), http=fields)
        within = self.calling("signed-within", url(f"/to?{url('/signed-there')}"), http=fields)
        beyond = self.calling("signed-beyond", url(f"/to?{url('/unsigned-there', '127.0.0.2')}"), http=fields)
        once = self.api.post("/http-tasks", {"runtime": RUNTIME, "group": "tests", "url": url("/signed-once"), "at": instant(time.time() + 2), "sign": {"secret": "hook"}})
        for run in self.run_calls([task, within, beyond]):
            self.assertEqual((run["state"], list(run["secrets"])), ("SUCCEEDED", ["hook"]), run["reason"])
        self.cluster.wait_for(lambda: self.succeeded(once), 20, "the signed call")
        for path, method, body in (("/signed", "POST", b'{"sum": 66}'), ("/signed-there", "GET", b""), ("/signed-once", "GET", b"")):
            hit, = self.server.to(path)
            self.assertEqual((hit.method, hit.body), (method, body))
            given = dict(field.split("=") for field in hit.headers["cloudtask-signature"].split(","))
            signed = f"{given['t']}\n{method}\n{url(path)}\n".encode() + body
            self.assertEqual(given["v1"], hmac.new(KEY.encode(), signed, hashlib.sha256).hexdigest(), path)
            self.assertLess(abs(hit.at - int(given["t"])), 5)
        self.assertNotIn("cloudtask-signature", self.server.to("/unsigned-there")[0].headers)

    def values(self):
        """Parameters and secrets of a call: they reach their receiver and nobody else, and cannot change where it is."""
        url = self.server.url
        begin = url("/${region}/${day}?note=${note}")
        http = {"method": "POST", "url": begin, "headers": {"Authorization": "Bearer ${secrets.TOKEN}", "Content-Type": "application/json"},
                "body": '{"note": "${note}", "token": "${secrets.TOKEN}"}', "redirects": 2}
        members = {"parameters": {"region": "eu", "day": "${fire_date}", "note": None}, "secrets": {"TOKEN": "token"}}
        definition = {"runtime": RUNTIME, "group": "tests", "name": "values"}
        for changed, pointer in (({"url": "http://${region}/"}, "/http/url"), ({"url": "http://127.0.0.1:${region}/"}, "/http/url"),
                                 ({"url": url("/${secrets.TOKEN}")}, "/http/url"), ({"body": "${regoin}"}, "/http/body"), ({}, "/secrets/TOKEN")):
            reply = self.api.request("POST", "/tasks", {**definition, **members, "http": {**http, **changed}})
            self.assertEqual((reply.status, reply.json()["faults"][0]["pointer"]), (422, pointer), changed)
        self.cluster.cli("secret", "set", f"{RUNTIME}/token", stdin=TOKEN)
        task = self.calling("values", begin, http=http, **members)
        note = 'x", "admin": "/../&'
        self.cluster.cli("task", "start", f"{RUNTIME}/tests/values", "--param", f"note={note}", "--as-of", "2026-11-21T03:00:00Z")
        run = self.cluster.wait_for(lambda: self.succeeded(task), 20, "the call with its values")
        path = "/eu/2026-11-21?note=x%22%2C%20%22admin%22%3A%20%22%2F..%2F%26"
        hit, = self.server.to(path)
        self.assertEqual((json.loads(hit.body), hit.headers["authorization"]), ({"note": note, "token": TOKEN}, f"Bearer {TOKEN}"))
        self.assertEqual((run["parameters"]["note"]["value"], list(run["secrets"])), (note, ["token"]))
        with self.assertRaises(CliError) as refused:
            self.cluster.cli("task", "start", f"{RUNTIME}/tests/values", "--param", "note=", "--param", "region=..")
        self.assertIn("the address has '.' or '..' between slashes", str(refused.exception))

        # What the receiver says of it is starred. With its body it does not go to another origin, without it does, and leaves its header behind.
        echo = self.calling("echo", url("/echo"), http={**http, "url": url("/echo"), "body": "${secrets.TOKEN} ${note}"}, **{**members, "parameters": {"note": "ok"}})
        kept = self.calling("kept", url("/"), http={**http, "url": url(f"/stay?{url('/not-there', '127.0.0.2')}")}, **{**members, "parameters": {"note": "ok"}})
        left = self.calling("left", url("/"), http={**http, "url": url(f"/to?{url('/bare', '127.0.0.2')}")}, **{**members, "parameters": {"note": "ok"}})
        runs = self.run_calls([echo, kept, left])
        self.assertEqual([run["state"] for run in runs], ["SUCCEEDED", "FAILED", "SUCCEEDED"], [run["reason"] for run in runs])
        self.assertEqual(self.cluster.cli("run", "log", runs[0]["id"]), f"{'*' * len(TOKEN)} ok")
        self.assertEqual(runs[1]["reason"], "it was sent to another origin, 127.0.0.2, where a body with a secret does not go")
        self.assertEqual(self.server.to("/not-there"), [])
        bare, = self.server.to("/bare")
        self.assertEqual((bare.method, bare.body, bare.headers.get("authorization")), ("GET", b"", None))
        for place in ("/runs", "/tasks"):
            self.assertNotIn(TOKEN, json.dumps(self.api.every(place)), place)

    def retries(self):
        at = time.time() + 2
        task = self.calling("flaky", self.server.url("/flaky/3"), [{"at": instant(at)}], retry={"attempts": 3, "delay": "300ms"})
        run = self.cluster.wait_for(lambda: self.succeeded(task), 30, "a third attempt")
        hits = self.server.to("/flaky/3")
        self.assertEqual([hit.headers["cloudtask-attempt"] for hit in hits], ["1", "2", "3"])
        self.assertEqual(len({hit.headers["idempotency-key"] for hit in hits}), 1)
        self.assertEqual(len({hit.headers["cloudtask-run-id"] for hit in hits}), 3)
        self.assertEqual({hit.headers["cloudtask-fire-time"] for hit in hits}, {run["fire_time"]})

    def succeeded(self, task):
        runs = self.cluster.runs(task, state="SUCCEEDED")
        if not runs:
            raise NotYet(f"{[(run['state'], run['reason']) for run in self.cluster.runs(task)]}")
        return runs[0]

    def killed(self):
        """A call does not outlive its node's process: it is LOST, and is made again only where that is asked for."""
        once = self.calling("once", self.server.url("/hang?once"))
        again = self.calling("again", self.server.url("/hang"), guarantee="at_least_once", time_limit="2s")
        before = len(self.server.hits)
        runs = [self.cluster.start_task(task) for task in (once, again)]
        self.cluster.wait_for(lambda: len(self.server.hits) == before + 2, 20, "both calls")
        names = {self.api.get(f"/runs/{run['id']}")["node_name"] for run in runs}
        for name in names:
            self.cluster.nodes[name].kill()
        for name in names:
            self.cluster.start_node(name)
        lost = [self.cluster.wait_for_run(run) for run in runs]
        for run in lost:
            self.assertEqual(run["state"], "LOST")
        self.cluster.wait_for(lambda: len(self.server.to("/hang")) >= 3, 30, "the call to be made again")
        self.cluster.wait_until_allocated(self.cluster.nodes)
        keys = [hit.headers["idempotency-key"] for hit in self.server.to("/hang")[-2:]]
        self.assertEqual(keys, [runs[1]["id"]] * 2)
        self.assertEqual(self.server.to("/hang")[-1].headers["cloudtask-attempt"], "2")
        self.assertEqual(len(self.server.to("/hang?once")), 1)
        self.cluster.wait_for(lambda: self.cluster.runs(again, state="TIMED_OUT"), 20, "the end of the further attempt")

    def once(self):
        """The form of one call."""
        url = self.server.url("/once")
        past = self.api.request("POST", "/http-tasks", {"runtime": RUNTIME, "url": url, "at": "2020-01-01T00:00:00Z"})
        self.assertEqual((past.status, past.json()["faults"][0]["pointer"]), (422, "/at"))
        for pointer, body in (("/url", {"at": "2100-01-01T00:00:00Z", "url": "file:///etc/passwd"}), ("/at", {"url": url}),
                              ("/schedules", {"url": url, "at": "2100-01-01T00:00:00Z", "schedules": []}),
                              ("/expect/status/0", {"url": url, "at": "2100-01-01T00:00:00Z", "expect": {"status": [1]}})):
            reply = self.api.request("POST", "/http-tasks", {"runtime": RUNTIME, **body})
            self.assertEqual((reply.status, [error["pointer"] for error in reply.json()["faults"]]), (422, [pointer]))

        body = {"runtime": RUNTIME, "url": url, "at": instant(time.time() + 2), "method": "POST", "body": "x", "retry": {"attempts": 2}}
        first = self.api.request("POST", "/http-tasks", body, {"Idempotency-Key": "order-66"})
        repeated = self.api.request("POST", "/http-tasks", body, {"Idempotency-Key": "order-66"})
        other = self.api.request("POST", "/http-tasks", {**body, "body": "y"}, {"Idempotency-Key": "order-66"})
        self.assertEqual((first.status, repeated.status, other.status), (201, 201, 422))
        task = first.json()
        self.assertEqual(repeated.json()["id"], task["id"])
        self.assertEqual((task["group"], task["executor"]), ("http-tasks", "http"))
        run = self.cluster.wait_for(lambda: self.succeeded(task), 20, "the call")
        self.assertEqual(parse_instant(run["fire_time"]), parse_instant(body["at"]))
        self.assertEqual([hit.body for hit in self.server.to("/once")], [b"x"])
        self.assertGreaterEqual(self.server.to("/once")[0].at, parse_instant(body["at"]))

    def many(self):
        """All due at one instant. The full size is in scripts/bench."""
        due = int(time.time()) + 6
        tasks = [self.api.post("/http-tasks", {"runtime": RUNTIME, "url": self.server.url(f"/many/{number}"), "at": instant(due)}) for number in range(MANY)]
        self.assertLess(time.time(), due - 1, "they were made too slowly for this test")
        called = lambda: [hit for hit in list(self.server.hits) if hit.path.startswith("/many/")]
        self.cluster.wait_for(lambda: len(called()) >= MANY, 30, f"{MANY} calls")
        late = sorted(hit.at - due for hit in called())
        print(f"{MANY} calls due at once: p50 {1000 * late[MANY // 2]:.0f} ms, p99 {1000 * late[MANY * 99 // 100]:.0f} ms, last {1000 * late[-1]:.0f} ms", flush=True)
        self.assertEqual(len({hit.path for hit in called()}), MANY)
        self.assertEqual(len(called()), MANY)
        self.assertGreaterEqual(late[0], 0)
        self.cluster.wait_for(lambda: len(self.api.every("/runs", group="http-tasks", state="SUCCEEDED")) == MANY + 1, 30, "all of them to be told of")
        self.assertEqual(len(tasks), MANY)


if __name__ == "__main__":
    unittest.main()
