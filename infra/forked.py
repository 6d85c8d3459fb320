"""A process that has loaded everything lets a child made by fork serve, and another one as soon as that is killed.

The parent opens nothing and starts no thread, so its copy begins like a process that was just loaded, without loading:
within milliseconds, and its memory is the parent's until either writes to it (ADR 75).
"""

import ctypes
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

HEARD = (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
BREATH_S = 0.2
"""What is killed sooner is not worth another copy: it would end the same way, and a supervisor knows how to wait."""
_PR_SET_PDEATHSIG = 1  # prctl(2)


def serve_in_children(serve: Callable[[], int]) -> int:
    """Run `serve` in a child, and in another one when that was killed; returns in the child and in the parent.

    The exit code is what `serve` returned, or 128 and the signal of a child that ended of one it was sent through us.
    What is sent to the parent to stop it is passed on. A child dies with its parent.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    parent = os.getpid()
    while True:
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _die_with(parent)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            return serve()
        code, was_asked = _outlived(child)
        if code >= 0:
            return code
        if was_asked or time.monotonic() - began < BREATH_S:
            return 128 - code
        log.warning("process.forked_again", extra={"after": signal.Signals(-code).name})


def be_called(name: str) -> None:
    """Let `ps -e` and `top` show this process by a name of at most 15 characters: its command line is its parent's."""
    with suppress(OSError):  # not Linux
        Path("/proc/self/comm").write_text(name)


def _outlived(child: int) -> tuple[int, bool]:
    """Wait until the child has ended: its exit code, or minus the signal that ended it, and whether it was asked to."""
    was_asked = False
    while True:
        heard = signal.sigwait(HEARD)
        if heard != signal.SIGCHLD:
            was_asked = True
            os.kill(child, heard)
            continue
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), was_asked


def _die_with(parent: int) -> None:
    """Have the kernel kill this process when its parent dies; where there is no prctl (not Linux) nothing is done."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before that was said
        os.kill(os.getpid(), signal.SIGKILL)
