"""A real ZooKeeper server from Debian's libzookeeper-java, on a free port of 127.0.0.1 with its data in one folder.

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
    def __init__(self, folder, port=None):
        self.port = port or free_port()
        self.data = os.path.join(folder, "data")
        configuration = os.path.join(folder, "zoo.cfg")
        os.makedirs(self.data, exist_ok=True)
        with open(configuration, "w", encoding="ascii") as file:
            file.write(f"dataDir={self.data}\nclientPort={self.port}\nclientPortAddress=127.0.0.1\ntickTime=250\nmaxSessionTimeout=60000\n"
                       "maxClientCnxns=0\nadmin.enableServer=false\n4lw.commands.whitelist=srvr\n")
        super().__init__("zookeeper", [
            "java", "-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Dzookeeper.preAllocSize=1024",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", class_path(),
            "org.apache.zookeeper.server.quorum.QuorumPeerMain", configuration], folder)

    @property
    def address(self):
        return f"127.0.0.1:{self.port}"

    def version(self):
        """What the server says of itself; NotYet while it does not answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
            connection.sendall(b"srvr")
            answer = b""
            while chunk := connection.recv(4096):
                answer += chunk
        if not answer.startswith(b"Zookeeper version"):
            raise NotYet(f"ZooKeeper answers {answer[:60]!r}")
        return answer.split(b"-", 1)[0].decode().removeprefix("Zookeeper version: ")

    def wait_until_up(self):
        return wait_for(self.version, 30, f"ZooKeeper on {self.address}", watch=[self])

    def erase(self):
        """Loses all its data, as a wiped disk would; only while stopped."""
        assert not self.running()
        shutil.rmtree(self.data)
        os.makedirs(self.data)
