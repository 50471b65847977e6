"""Starting, watching and ending the processes of a test or of the demo.

Each process gets a process group of its own, a log file, and a recorded pid; only recorded pids and their descendants are ever ended. A process that
its parent leaves behind (a task of a killed node) becomes ours by PR_SET_CHILD_SUBREAPER, so that end_orphans() finds it.
Use from the main thread only: processes started here die with the thread that started them.
"""

import ctypes
import os
import random
import signal
import socket
import subprocess
import time

PR_SET_CHILD_SUBREAPER = 36


class NotYet(Exception):
    """A condition that wait_for() is waiting on could not be looked at yet: try again."""


def become_subreaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def free_port():
    """A TCP port of 127.0.0.1 that nobody listens on now, and that no outgoing connection is given while its server is away."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as file:
        first_outgoing = int(file.read().split()[0])
    candidates = range(20000, first_outgoing) or [0]
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.choice(candidates)))
                return probe.getsockname()[1]
            except OSError:
                pass


def tail(path, lines=25):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])
    except OSError as error:
        return f"({error})"


def wait_for(condition, timeout, what, watch=(), poll=0.05):
    """Polls `condition` until it returns something true, and returns that.

    Fails with `what`, the last answer, and the logs' tails after `timeout` seconds, or as soon as a process in `watch` has ended unasked.
    OSError and NotYet from the condition count as "not yet".
    """
    deadline = time.monotonic() + timeout
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (OSError, NotYet) as error:
            last = error
        dead = [process for process in watch if process.died()]
        if dead or time.monotonic() > deadline:
            why = f"{dead[0].name} ended with {dead[0].returncode}" if dead else f"not within {timeout:g} s"
            logs = "".join(f"\n--- end of {process.log_path}\n{tail(process.log_path)}" for process in watch)
            raise AssertionError(f"waited for {what}: {why}; last seen: {last!r}{logs}")
        time.sleep(poll)


_started = []  # every Process of this program, so that what is ours is told from what was left behind


class Process:
    """One program: started, stopped, killed, frozen, started again, with the same arguments and log."""

    def __init__(self, name, argv, folder, environment=None):
        self.name = name
        self.argv = [str(word) for word in argv]
        self.folder = folder
        self.environment = environment
        self.log_path = os.path.join(folder, f"{name}.log")
        self.pid_path = os.path.join(folder, f"{name}.pid")
        self._child = None
        self._expected = False
        _started.append(self)
        os.makedirs(folder, exist_ok=True)

    @property
    def pid(self):
        return self._child.pid if self._child else None

    @property
    def returncode(self):
        return self._child.poll() if self._child else None

    def running(self):
        return self._child is not None and self._child.poll() is None

    def died(self):
        """It should be running and is not."""
        return self._expected and not self.running()

    def start(self):
        assert not self.running(), f"{self.name} runs already"
        with open(self.log_path, "ab") as log:
            # setpriv: if this program is killed outright, its servers go with it.
            self._child = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *self.argv], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                           env=self.environment, cwd=self.folder, start_new_session=True)
        with open(self.pid_path, "w", encoding="ascii") as file:
            file.write(f"{self._child.pid}\n")
        self._expected = True
        return self

    def send(self, number):
        if self.running():
            os.kill(self._child.pid, number)

    def freeze(self):
        self.send(signal.SIGSTOP)

    def thaw(self):
        self.send(signal.SIGCONT)

    def terminate(self):
        """TERM, and no waiting: that it ends is expected from now on."""
        self._expected = False
        self.send(signal.SIGTERM)

    def stop(self, grace=15.0):
        """TERM, then KILL after `grace` seconds. Returns the exit code (negative: the signal), or None if it was never started."""
        self._expected = False
        if self._child is None:
            return None
        self.send(signal.SIGTERM)
        self.send(signal.SIGCONT)
        try:
            self._child.wait(grace)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._child.wait()
        self._forget()
        return self._child.returncode

    def kill(self):
        """SIGKILL to the process alone, as a crash would end it: what it started lives on."""
        self._expected = False
        if self._child is not None:
            self.send(signal.SIGKILL)
            self._child.wait()
            self._forget()

    def _forget(self):
        if os.path.exists(self.pid_path):
            os.remove(self.pid_path)


def alive(pid):
    """Whether there is such a process that has not ended (one that waits to be collected has)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def children_of(pid):
    """The pids of the children of `pid`, of all its threads."""
    found = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", encoding="ascii") as file:
                found += [int(word) for word in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        pass
    return found


def descendants_of(pid):
    found, frontier = [], children_of(pid)
    while frontier:
        found += frontier
        frontier = [grandchild for child in frontier for grandchild in children_of(child)]
    return found


def reap(pid):
    """Collects `pid` if it is an ended child of ours."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def end_orphans():
    """Kills and collects whatever ended processes have left behind, and that only."""
    keep = {process.pid for process in _started if process.running()}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        orphans = [pid for pid in children_of(os.getpid()) if pid not in keep and is_left_over(pid)]
        if not orphans:
            return
        for pid in orphans:
            for victim in [*descendants_of(pid), pid]:
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            reap(pid)
        time.sleep(0.01)


def is_left_over(pid):
    """A child of ours in a session that is not ours: a task that a dead node left, never a helper of this program."""
    try:
        return os.getsid(pid) != os.getsid(0)
    except ProcessLookupError:
        return False
