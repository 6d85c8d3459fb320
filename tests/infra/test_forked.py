"""A loaded process lets a copy of itself serve, and another one when that is killed; neither outlives the other."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from infra.bench.processes import is_alive
from tests.infra.local.test_supervisor import until

SCRIPT = """
import os, sys, time
from infra import forked
forked.BREATH_S = {breath_s}
def serve():
    forked.be_called("a copy")
    print(os.getpid(), open("/proc/self/comm").read().strip(), flush=True)
    time.sleep({lasts_s})
    return 7
sys.exit(forked.serve_in_children(serve))
"""


@contextmanager
def loaded(breath_s: float = 0.0, lasts_s: float = 120.0) -> "Iterator[subprocess.Popen[str]]":
    """A process that serves in children; what is killed sooner than ``breath_s`` is its last."""
    source = SCRIPT.format(breath_s=breath_s, lasts_s=lasts_s)
    with subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def serving(process: "subprocess.Popen[str]") -> int:
    """The number of the next child that serves."""
    assert process.stdout is not None
    pid, _, name = process.stdout.readline().strip().partition(" ")
    assert name == "a copy"
    return int(pid)


def test_another_child_serves_whenever_one_is_killed() -> None:
    with loaded() as parent:
        for _ in range(3):
            child = serving(parent)
            assert child != parent.pid
            os.kill(child, signal.SIGKILL)
        assert is_alive(serving(parent))
        assert parent.poll() is None


def test_one_that_is_killed_as_soon_as_it_began_is_left_to_the_supervisor() -> None:
    with loaded(breath_s=1_000) as parent:
        os.kill(serving(parent), signal.SIGKILL)
        assert parent.wait(60) == 128 + signal.SIGKILL


def test_what_a_child_ends_with_is_what_its_parent_ends_with() -> None:
    with loaded(lasts_s=0.0) as parent:
        serving(parent)
        assert parent.wait(60) == 7


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(number: signal.Signals) -> None:
    with loaded() as parent:
        child = serving(parent)
        parent.send_signal(number)
        assert parent.wait(60) == (-number if number == signal.SIGKILL else 128 + number)
        until(lambda: not is_alive(child))
