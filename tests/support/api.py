"""The center's HTTP API as tests see it: one request on one new connection, and the raw socket for input that no client would send."""

import http.client
import json
import socket
import time
import urllib.parse

from processes import NotYet


class ApiError(NotYet):
    """An answer that was not asked for. While waiting, it counts as "not yet"."""

    def __init__(self, method, path, reply):
        super().__init__(f"{method} {path}: {reply.status} {reply.body[:500]!r}")
        self.reply = reply


class Reply:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # lower-case names
        self.body = body

    def json(self):
        return json.loads(self.body)

    def is_problem(self):
        return self.headers.get("content-type", "").startswith("application/problem+json")


class Api:
    """`token` may be None. `address` is http://host:port."""

    def __init__(self, address, token=None, timeout=30):
        self.address = address
        self.token = token
        self.timeout = timeout
        parts = urllib.parse.urlsplit(address)
        self.host, self.port = parts.hostname, parts.port

    def request(self, method, path, body=None, headers=None):
        """`path` is below /api/v1 unless it begins with it or with two slashes; `body` is an object (sent as JSON) or bytes. Returns a Reply."""
        url = path[1:] if path.startswith("//") else path if path.startswith("/api/") else "/api/v1" + path
        sent = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        try:
            connection.request(method, url, body=body, headers=sent)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        except http.client.HTTPException as error:
            raise OSError(f"{method} {url}: {error!r}") from error
        finally:
            connection.close()

    def call(self, method, path, body=None, headers=None):
        """Like request(), but only a 2xx is good; returns the decoded JSON (None without a body)."""
        reply = self.request(method, path, body, headers)
        if not 200 <= reply.status < 300:
            raise ApiError(method, path, reply)
        return reply.json() if reply.body else None

    def get(self, path):
        return self.call("GET", path)

    def post(self, path, body=None, headers=None):
        return self.call("POST", path, {} if body is None else body, headers)

    def every(self, path, **filters):
        """All items of a list, page by page."""
        items, cursor = [], None
        while True:
            query = {"limit": "200", **filters, **({"cursor": cursor} if cursor else {})}
            page = self.get(f"{path}?{urllib.parse.urlencode(query)}")
            items += page["items"]
            cursor = page.get("next")
            if not cursor:
                return items

    def log(self, run_id, stream="stdout"):
        """The bytes of a run's log."""
        body, path = b"", f"/runs/{run_id}/log?stream={stream}&from="
        while True:
            reply = self.request("GET", path + str(len(body)))
            if reply.status != 200:
                raise ApiError("GET", path, reply)
            body += reply.body
            if not reply.body or len(body) >= int(reply.headers["x-log-size"]):
                return body

    def raw(self, data, timeout=10):
        """Sends bytes as they are and returns all bytes of the answer, up to the end of the connection or `timeout` seconds."""
        answer, deadline = b"", time.monotonic() + timeout
        with socket.create_connection((self.host, self.port), timeout=timeout) as connection:
            try:
                connection.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass  # refused before the end; the answer is on its way
            while time.monotonic() < deadline:
                connection.settimeout(max(0.01, deadline - time.monotonic()))
                try:
                    chunk = connection.recv(65536)
                except (TimeoutError, ConnectionResetError):
                    break
                if not chunk:
                    break
                answer += chunk
        return answer
