"""What was written in ZooKeeper, and when: the transaction logs of the servers, made readable. They are the flight recorder of the hand-over protocol:
every allocation and every horizon record that ever was, in order.
"""

import datetime
import glob
import os
import re
import subprocess

from reference import EPOCH
from zookeeper_server import class_path

LINE = re.compile(r"^(\d+/\d+/\d+, \d+:\d\d:\d\d .M UTC) session (0x[0-9a-f]+) cxid 0x[0-9a-f]+ zxid (0x[0-9a-f]+) (.*)$")


def read(folder):
    """(instant in microseconds, to the second; text) of each transaction of the servers whose data is below `folder`, in their order."""
    options = ["-Duser.timezone=UTC", "-Duser.language=en", "-Duser.country=US", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off"]
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, "**", "version-2", "log.*"), recursive=True)):
        jars = ":".join([class_path(), "/usr/share/java/commons-cli.jar"])
        done = subprocess.run(["java", *options, "-cp", jars, "org.apache.zookeeper.server.persistence.TxnLogToolkit", "-d", path],
                              capture_output=True, check=False)
        # The payloads of a multi are binary in places.
        text = "".join(c if c.isprintable() or c == "\n" else " " for c in done.stdout.decode("utf-8", errors="replace").replace("\n   ", " "))
        for line in text.splitlines():
            match = LINE.match(line)
            if match:
                when, session, zxid, what = match.groups()
                moment = datetime.datetime.strptime(when, "%m/%d/%y, %I:%M:%S %p UTC").replace(tzinfo=datetime.timezone.utc)
                found[int(zxid, 16)] = ((moment - EPOCH) // datetime.timedelta(microseconds=1), f"{zxid} by {session}: {what}")
    return [found[zxid] for zxid in sorted(found)]
