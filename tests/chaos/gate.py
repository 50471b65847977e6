"""A TCP gate: what goes through it can be cut, held up or made one-way, as a broken network would.

All gates of a program live on one thread of their own (asyncio); the methods of Gate may be called from any thread.
"""

import asyncio
import socket
import struct
import threading

OPEN = "open"  # everything passes
CUT = "cut"  # connections are reset, new ones too
HOLE = "hole"  # nothing passes, nobody is told; what was sent arrives when it opens again
DEAF = "deaf"  # requests pass, answers are held back: what is asked for happens, and who asked does not learn of it


class Gates:
    """The thread, and the gates on it. `with Gates() as gates: gate = gates.add(port)`."""

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._gates = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="gates", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self):
        for gate in self._gates:
            gate.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add(self, port, host="127.0.0.1", substitutes=None):
        """A gate to host:port. In what comes back from there the keys of `substitutes` (bytes) are replaced by its values, which are as long."""
        gate = Gate(self._loop, host, port, substitutes or {})
        self._gates.append(gate)
        return gate


class Gate:
    def __init__(self, loop, host, port, substitutes):
        assert all(len(key) == len(value) for key, value in substitutes.items())
        self._loop, self._host, self._target, self._substitutes = loop, host, port, substitutes
        self._state = OPEN
        self._writers = set()
        self._changed = None  # made on the loop
        self.port = asyncio.run_coroutine_threadsafe(self._listen(), loop).result(10)

    @property
    def state(self):
        return self._state

    def set(self, state):
        """OPEN, CUT, HOLE or DEAF from now on."""
        asyncio.run_coroutine_threadsafe(self._set(state), self._loop).result(10)

    def reset(self):
        """Ends every connection, as a firewall that has forgotten them would."""
        asyncio.run_coroutine_threadsafe(self._reset(), self._loop).result(10)

    def close(self):
        """On the gates' thread: nobody is let in any more."""
        self._server.close()

    async def _listen(self):
        self._changed = asyncio.Condition()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _set(self, state):
        self._state = state
        if state == CUT:
            await self._reset()
        async with self._changed:
            self._changed.notify_all()

    async def _reset(self):
        for writer in list(self._writers):
            self._abort(writer)

    def _abort(self, writer):
        connection = writer.get_extra_info("socket")
        if connection is not None and connection.fileno() >= 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def _passable(self, answers):
        """Waits until data of that direction may pass."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._state == OPEN or (self._state == DEAF and not answers))

    async def _accept(self, reader, writer):
        self._writers.add(writer)
        upstream = None
        try:
            if self._state == CUT:
                return
            await self._passable(answers=False)
            there, upstream = await asyncio.open_connection(self._host, self._target)
            self._writers.add(upstream)
            await asyncio.gather(self._pump(reader, upstream, False), self._pump(there, writer, True))
        except (OSError, asyncio.IncompleteReadError):
            pass  # one side is gone: so is the connection
        finally:
            for each in (writer, upstream):
                if each is not None:
                    self._writers.discard(each)
                    self._abort(each)

    async def _pump(self, reader, writer, answers):
        while data := await reader.read(65536):
            await self._passable(answers)
            for key, value in self._substitutes.items() if answers else ():
                data = data.replace(key, value)
            writer.write(data)
            await writer.drain()
        await self._passable(answers)
        if writer.can_write_eof():
            writer.write_eof()
