"""Real ZooKeeper servers from Debian's libzookeeper-java, on free ports of 127.0.0.1 with their data in one folder: one, or an ensemble.

Answers its first client about 0.7 s after start(). Expiry follows in ticks of 250 ms, so short sessions are possible in tests.
"""

import glob
import os
import shutil
import socket

from processes import NotYet, Process, free_port, wait_for

JARS = ("zookeeper.jar", "zookeeper-jute.jar", "slf4j-api.jar", "slf4j-simple.jar", "netty-*.jar", "metrics-core.jar", "snappy-java.jar")


def class_path():
    jars = [jar for name in JARS for jar in sorted(glob.glob(f"/usr/share/java/{name}"))]
    if not any(jar.endswith("/zookeeper.jar") for jar in jars):
        raise RuntimeError("there is no /usr/share/java/zookeeper.jar: run scripts/bootstrap")
    return ":".join(jars)


class ZooKeeperServer(Process):
    def __init__(self, folder, port=None, name="zookeeper", more=""):
        """`more` are further lines of its configuration."""
        self.port = port or free_port()
        self.data = os.path.join(folder, "data")
        configuration = os.path.join(folder, "zoo.cfg")
        os.makedirs(self.data, exist_ok=True)
        with open(configuration, "w", encoding="ascii") as file:
            file.write(f"dataDir={self.data}\nclientPort={self.port}\nclientPortAddress=127.0.0.1\ntickTime=250\nmaxSessionTimeout=60000\n"
                       f"maxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=srvr\n{more}")
        super().__init__(name, [
            "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.preAllocSize=1024",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", class_path(),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain", configuration], folder)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def srvr(self):
        """What the server says of itself; NotYet while it does not serve."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(b"srvr")
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
        if not answer.startswith(b"Zookeeper version"):
            raise NotYet(f"ZooKeeper answers {answer[:60]!r}")
        return answer.decode()

    def version(self):
        return self.srvr().split("-", 1)[0].removeprefix("Zookeeper version: ")

    def leads(self):
        return "Mode: leader" in self.srvr()

    def wait_until_up(self):
        return wait_for(self.version, 30, f"ZooKeeper on {self.address}", watch=[self])

    def erase(self):
        """Loses all its data, as a wiped disk would; only while stopped."""
        assert not self.running()
        shutil.rmtree(self.data)
        os.makedirs(self.data)


class ZooKeeperEnsemble:
    """Several servers that are one: to its users it looks like a ZooKeeperServer."""

    def __init__(self, folder, count=3):
        self.name = "zookeeper"
        ports = [(free_port(), free_port()) for _ in range(count)]
        members = "".join(f"server.{number}=127.0.0.1:{quorum}:{election}\n" for number, (quorum, election) in enumerate(ports, 1))
        self.servers = []
        for number in range(1, count + 1):
            server = ZooKeeperServer(os.path.join(folder, str(number)), name=f"zookeeper-{number}", more=f"initLimit=20\nsyncLimit=8\n{members}")
            with open(os.path.join(server.data, "myid"), "w", encoding="ascii") as file:
                file.write(f"{number}\n")
            self.servers.append(server)

    @property
    def address(self):
        return ",".join(server.address for server in self.servers)

    def start(self):
        for server in self.servers:
            if not server.running():
                server.start()
        return self

    def stop(self):
        for server in self.servers:
            server.stop(grace=2)

    def died(self):
        return any(server.died() for server in self.servers)

    def leader(self):
        """The server that leads; NotYet while none does."""
        for server in self.servers:
            try:
                if server.leads():
                    return server
            except (OSError, NotYet):
                pass
        raise NotYet("no server leads")

    def version(self):
        return self.leader().version()

    def wait_until_up(self):
        return wait_for(self.leader, 60, f"a leader of {self.address}", watch=self.servers)
