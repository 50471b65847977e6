"""The cluster under chaos: that of the other tests, with a gate on each node's ways to the center and to ZooKeeper, a clock for each node that can be
stepped, and one or three ZooKeeper servers. Use from the main thread only (as tests/support/processes.py).
"""

import glob
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

import gate as gates  # noqa: E402
from api import Api  # noqa: E402
from cluster import RUNTIME, Cluster  # noqa: E402
from processes import free_port  # noqa: E402
from zookeeper_server import ZooKeeperEnsemble, ZooKeeperServer  # noqa: E402

SESSION_SECONDS = 1.5
DRAIN_SECONDS = 4
TRUE_CLOCK = "+0"


def faketime_library():
    """The path of Debian's libfaketime; None if it is not installed (then no clock is stepped)."""
    found = glob.glob("/usr/lib/*/faketime/libfaketime.so.1")
    return found[0] if found else None


class World(Cluster):
    """`all_gates` is an entered gate.Gates; `servers` is the number of ZooKeeper servers, 1 or an odd number beyond."""

    def __init__(self, folder, all_gates, servers=3):
        super().__init__(folder, center_options=[f"--zookeeper.session-timeout={SESSION_SECONDS * 1000:.0f}ms", f"--http.port={free_port()}"],
                         node_options=[f"--stop.drain-timeout={DRAIN_SECONDS}s"])
        place = os.path.join(self.folder, "zookeeper")
        self.zookeeper = ZooKeeperEnsemble(place, servers) if servers > 1 else ZooKeeperServer(place)
        self.zookeeper_servers = self.zookeeper.servers if servers > 1 else [self.zookeeper]
        self.center_gates = {}  # by node
        self.zookeeper_gates = {}  # by node: one for each server
        self._gates = all_gates
        self._clocks = {}  # by node: the file that holds its offset

    def start(self, nodes=5):
        """Without mail: LOST runs would be hundreds of them."""
        self.start_zookeeper()
        self.start_center()
        self.log_in()
        self.make_runtime()
        for number in range(1, nodes + 1):
            # Labels that differ, so that tasks can ask for some of the nodes.
            self.start_node(f"node-{number}", RUNTIME, f"--labels=zone={'east' if number % 2 else 'west'}")
        self.wait_until_allocated(self.nodes)
        return self

    def add_node(self, name, runtime=RUNTIME, *options):
        """The node learns ZooKeeper's addresses from the center, when it joins: its gate to the center puts those of its own gates there."""
        zookeepers = [self._gates.add(server.port) for server in self.zookeeper_servers]
        substitutes = {server.address.encode(): f"127.0.0.1:{gate.port}".encode() for server, gate in zip(self.zookeeper_servers, zookeepers)}
        center = self._gates.add(int(self.center.address().rpartition(":")[2]), substitutes=substitutes)
        node = super().add_node(name, runtime, *options)
        node.argv = [f"--center.url=http://127.0.0.1:{center.port}" if word.startswith("--center.url=") else word for word in node.argv]
        self.zookeeper_gates[name], self.center_gates[name] = zookeepers, center
        if faketime_library():
            self._clocks[name] = os.path.join(node.data, "clock")
            self.set_clock(name, TRUE_CLOCK)
            # Only the wall clock is stepped, and the file is looked at once a second. Tasks do not inherit it.
            node.environment.update(LD_PRELOAD=faketime_library(), FAKETIME_TIMESTAMP_FILE=self._clocks[name], FAKETIME_CACHE_DURATION="1",
                                    FAKETIME_DONT_FAKE_MONOTONIC="1")
        return node

    def set_clock(self, name, offset):
        """`offset` like "+3" or "-60": seconds."""
        path = self._clocks[name]
        with open(path + ".new", "w", encoding="ascii") as file:
            file.write(offset + "\n")
        os.replace(path + ".new", path)

    def can_step_clocks(self):
        return bool(self._clocks)

    def open_gates(self, name):
        for gate in [*self.zookeeper_gates[name], self.center_gates[name]]:
            gate.set(gates.OPEN)

    def catalog_revision(self, name):
        """The revision of the node's catalog replica, as the node says."""
        return Api(self.nodes[name].address()).get("//status")["cloudtask_node_catalog_revision"]

    def heal(self):
        """Everything runs and everything passes."""
        for name in self.nodes:
            self.open_gates(name)
            if self._clocks:
                self.set_clock(name, TRUE_CLOCK)
        for process in [*self.zookeeper_servers, self.center, *self.nodes.values()]:
            process.thaw()
            if not process.running():
                process.start()
