"""Places where a test may have this process die, named by TIDEGATE_FAILPOINT; off unless that is set.

A random kill -9 hardly ever lands between COMMIT and the acknowledgement, which is where a store that lies is caught.
"""

import os
import signal

AFTER_COMMIT_BEFORE_ACK = "after_commit_before_ack"
BEFORE_COMMIT = "before_commit"

_armed = os.environ.get("TIDEGATE_FAILPOINT", "")


def reach(name: str) -> None:
    """Die here, as by kill -9, when this fail-point is armed."""
    if _armed == name:
        os.kill(os.getpid(), signal.SIGKILL)
