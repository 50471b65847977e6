"""The TCP gate: what passes in each of its states."""

import os
import socket
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import gate as gates  # noqa: E402


class Echo:
    """A server that answers with what it was sent, in capitals, and remembers it."""

    def __init__(self):
        self.heard = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._connections = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        try:
            while data := connection.recv(1000):
                self.heard += data
                connection.sendall(data.upper())
        except OSError:
            pass

    def close(self):
        self._listener.close()
        for connection in self._connections:
            connection.close()


class Gate(unittest.TestCase):
    def setUp(self):
        self.echo = Echo()
        self.addCleanup(self.echo.close)
        all_gates = gates.Gates()
        all_gates.__enter__()
        self.addCleanup(all_gates.__exit__)
        self.gate = all_gates.add(self.echo.port, substitutes={b"SECRET": b"PUBLIC"})
        self.client = self.connect()

    def connect(self):
        client = socket.create_connection(("127.0.0.1", self.gate.port), timeout=10)
        self.addCleanup(client.close)
        return client

    def ask(self, text, client=None):
        (client or self.client).sendall(text)
        return (client or self.client).recv(1000)

    def assert_silent(self):
        self.client.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            self.client.recv(1000)
        self.client.settimeout(10)

    def test_open_passes_both_ways_and_substitutes(self):
        self.assertEqual(self.ask(b"hello"), b"HELLO")
        self.assertEqual(self.ask(b"a secret"), b"A PUBLIC")

    def test_hole_holds_everything_up_until_it_opens(self):
        self.ask(b"first")
        self.gate.set(gates.HOLE)
        self.client.sendall(b"second")
        self.assert_silent()
        self.assertEqual(self.echo.heard, b"first")
        self.gate.set(gates.OPEN)
        self.assertEqual(self.client.recv(1000), b"SECOND")

    def test_deaf_passes_what_is_asked_and_holds_the_answer_up(self):
        self.ask(b"first")
        self.gate.set(gates.DEAF)
        self.client.sendall(b"second")
        self.assert_silent()
        self.assertEqual(self.echo.heard, b"firstsecond")
        self.gate.set(gates.OPEN)
        self.assertEqual(self.client.recv(1000), b"SECOND")

    def test_cut_resets_what_there_is_and_what_comes(self):
        self.ask(b"first")
        self.gate.set(gates.CUT)
        with self.assertRaises(ConnectionResetError):
            self.client.recv(1000)
        with self.assertRaises(ConnectionResetError):
            late = self.connect()
            late.sendall(b"x")
            late.recv(1000)
        self.gate.set(gates.OPEN)
        self.assertEqual(self.ask(b"again", self.connect()), b"AGAIN")

    def test_reset_ends_a_connection_that_is_held_up(self):
        self.ask(b"first")
        self.gate.set(gates.HOLE)
        self.client.sendall(b"second")
        self.gate.reset()
        self.gate.set(gates.OPEN)
        with self.assertRaises(ConnectionResetError):
            self.client.recv(1000)
        self.assertEqual(self.ask(b"third", self.connect()), b"THIRD")
