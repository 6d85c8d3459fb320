"""Places where a test may have this process die, named by TIDEGATE_FAILPOINT; off unless that is set.

A random kill -9 hardly ever lands between COMMIT and the acknowledgement, which is where a store that lies is caught.
`after_commit_before_ack` dies there the first time, `after_commit_before_ack:30` the thirtieth, in the midst of a load.
"""

import os
import signal

AFTER_COMMIT_BEFORE_ACK = "after_commit_before_ack"
BEFORE_COMMIT = "before_commit"

_armed, _, _nth = os.environ.get("TIDEGATE_FAILPOINT", "").partition(":")
_left = int(_nth or 1)


def reach(name: str) -> None:
    """Die here, as by kill -9, when this fail-point is armed and this is the time it was armed for."""
    global _left
    if _armed == name:
        _left -= 1
        if _left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
