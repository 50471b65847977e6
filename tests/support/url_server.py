"""A server that URL tasks call: it notes every request with the time it came, and answers by its path. Runs on a thread of its own.

    /ANYTHING             200 ok
    /status/503           that status, and a body that says so
    /to?URL               a redirect there
    /stay?URL             the same, with method and body (307)
    /echo                 200, and the body that came
    /flaky/3              503 until the third request to this path
    /hang                 no answer
"""

import asyncio
import collections
import threading
import time
import urllib.parse

Hit = collections.namedtuple("Hit", "method path headers body at")


class UrlServer:
    """`tls`: an ssl.SSLContext; plain HTTP without one. Listens on all of 127.0.0.0/8."""

    def __init__(self, tls=None):
        self.hits = []
        self.refused = 0  # connections that came to no request: a client that did not trust the certificate
        self._scheme = "https" if tls else "http"
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()

        def run():
            asyncio.set_event_loop(self._loop)
            self._server = self._loop.run_until_complete(asyncio.start_server(self._serve, "0.0.0.0", 0, backlog=4096, ssl=tls))
            self.port = self._server.sockets[0].getsockname()[1]
            ready.set()
            self._loop.run_forever()

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()
        ready.wait(10)

    def url(self, path="/", host="127.0.0.1"):
        return f"{self._scheme}://{host}:{self.port}{path}"

    def to(self, path):
        """The requests to a path, in the order in which they came."""
        return [hit for hit in list(self.hits) if hit.path == path]

    def stop(self):
        def end():
            self._server.close()
            for task in asyncio.all_tasks():
                task.cancel()
            self._loop.call_soon(self._loop.stop)

        self._loop.call_soon_threadsafe(end)
        self._thread.join(10)
        self._loop.close()

    async def _serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            at = time.time()
            first, *lines = head.rstrip().split("\r\n")
            method, path, _ = first.split(" ")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            self.hits.append(Hit(method, path, headers, body, at))
            status, extra, text = self._answer(path, body)
            if status is None:
                await reader.read()  # until the client gives up
                return
            answer = f"HTTP/1.1 {status} Whatever\r\nConnection: close\r\nContent-Length: {len(text)}\r\n{extra}\r\n"
            writer.write(answer.encode() + text)
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            self.refused += 1
        finally:
            writer.close()

    def _answer(self, path, body):
        kind, _, rest = path[1:].partition("/")
        if path.partition("?")[0] == "/hang":
            return None, "", b""
        if path == "/echo":
            return 200, "", body
        if path.startswith(("/to?", "/stay?")):
            return 302 if path.startswith("/to?") else 307, f"Location: {urllib.parse.unquote(path.partition('?')[2])}\r\n", b"elsewhere"
        if kind == "status":
            return int(rest), "", f"status {rest}".encode()
        if kind == "flaky" and len(self.to(path)) < int(rest):
            return 503, "", b"not yet"
        return 200, "", b"ok"
