"""A process of the tests that hangs beyond the reach of pytest-timeout ends, and the run's last lines say where.

pytest-timeout raises an exception in a test's thread, once. Where that is caught on its way, or meets cleaning up that
waits for the same thing, or where it is not in a test that the process hangs, nothing ends it, and a run on several
cores waits for ever without a word. Of a process that ended xdist knows which test it had; others run the rest.
"""

import asyncio
import faulthandler
import gc
import os
import sys
import tempfile
import threading
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling
from xdist.workermanage import WorkerController

_PLACES = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
_WATCH = pytest.StashKey["Watch"]()
_FOLDER = "TIDEGATE_TEST_HUNG"
_SHOWN = 20_000
"""Characters of one process's places that are shown: the last ones, where its main thread's are."""


class Watch:
    """Ends its process when what that does takes more than `grace_s` seconds longer than it may."""

    def __init__(self, grace_s: float, otherwise_s: float) -> None:
        self._grace_s, self._otherwise_s = grace_s, otherwise_s
        self._over = threading.Event()
        name = os.environ.get("PYTEST_XDIST_WORKER")
        self._told = Path(os.environ[_FOLDER], name) if name else Path("/dev/stderr")
        self._if_deaf = Path(os.environ[_FOLDER], f"{name or 'main'}, where no thread could run").open("w")  # noqa: SIM115
        self.now("looking for tests")
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def now(self, does: str, within_s: float | None = None) -> None:
        """Say what the process does from now on, and how long that may take."""
        if self._over.is_set():
            return
        may_take_s = self._grace_s + (self._otherwise_s if within_s is None else within_s)
        self._does, self._until = does, monotonic() + may_take_s
        faulthandler.dump_traceback_later(may_take_s + self._grace_s, exit=True, file=self._if_deaf)  # needs no GIL

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        faulthandler.cancel_dump_traceback_later()
        self._if_deaf.close()

    def _look(self) -> None:
        while not self._over.wait(min(5.0, self._grace_s / 4)):
            if monotonic() > self._until:
                self._give_up()

    def _give_up(self) -> None:
        places = "\n".join([f"Did not end: {self._does}. Where the process was:", *_tasks(), *_threads(), ""])
        self._told.write_text(places)
        os._exit(1)


class Resuming(LoadFileScheduling):
    """Gives what a process that ended had still to do to others, but the test that ended it.

    xdist gives that test away as well, which then ends the next process, and all that was done: a new process is handed
    the first of that, has nothing to do, says nothing, and is given no more. Where the others have ended already, the
    run then waits for it for ever.
    """

    def schedule(self) -> None:
        """Hand out tests; to a new process twice, since it keeps a single one until it hears what comes after it."""
        is_under_way = self.collection is not None
        super().schedule()
        for node in self.nodes if is_under_way else ():
            self._reschedule(node)

    def remove_node(self, node: WorkerController) -> str | None:
        """The test that it ended with, or None."""
        had = self.assigned_work.pop(node)
        unit, ended_it = next(((unit, test) for unit in had.values() for test in unit if not unit[test]), ({}, None))
        if ended_it is not None:
            unit[ended_it] = True
            self.workqueue.update({scope: unit for scope, unit in had.items() if not all(unit.values())})
            for other in self.assigned_work:
                self._reschedule(other)
        return ended_it


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much longer than its timeout a test, or what is done between two, may take before that."""
    parser.addini("hung_after", "seconds after its timeout at which a test ends its process; 0: never", default="0")


def pytest_configure(config: pytest.Config) -> None:
    """Watch a process that has tests to run; who gives them out makes a folder for what those leave to be shown."""
    is_one_of_several = hasattr(config, "workerinput")
    if not is_one_of_several:
        config.stash[_PLACES] = tempfile.TemporaryDirectory(prefix="tidegate-hung-")
        os.environ[_FOLDER] = config.stash[_PLACES].name
    grace_s = float(config.getini("hung_after"))
    if grace_s and (is_one_of_several or not config.getoption("numprocesses", None)):
        config.stash[_WATCH] = Watch(grace_s, float(config.getini("timeout")))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Who has no more tests may wait for the others as long as these take."""
    try:
        return (yield)
    finally:
        if _WATCH in session.config.stash:
            session.config.stash[_WATCH].end()


def pytest_enter_pdb(config: pytest.Config) -> None:
    """Who looks for themselves has all the time there is."""
    if _WATCH in config.stash:
        config.stash[_WATCH].end()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    if _PLACES in config.stash:
        config.stash[_PLACES].cleanup()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Say which test it is."""
    watch = item.config.stash.get(_WATCH, None)
    if watch is None:
        return (yield)
    own = item.get_closest_marker("timeout")
    watch.now(item.nodeid, float(own.args[0]) if own else None)
    try:
        return (yield)
    finally:
        watch.now(f"what comes after {item.nodeid}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Show where processes were that ended."""
    for file in sorted(Path(config.stash[_PLACES].name).iterdir()):
        if told := file.read_text():
            terminalreporter.section(f"hung: {file.name}")
            terminalreporter.write(told[-_SHOWN:])


def _tasks() -> Iterator[str]:
    for task in gc.get_objects():
        if isinstance(task, asyncio.Task) and not task.done():
            yield f"-- task {task.get_name()}\n{''.join(traceback.format_list(_awaited(task.get_coro())))}"


def _threads() -> Iterator[str]:
    main = threading.main_thread().ident
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sorted(sys._current_frames().items(), key=lambda each: each[0] == main):
        if ident != threading.get_ident():
            yield f"-- thread {names.get(ident, ident)}\n{''.join(traceback.format_stack(frame))}"


def _awaited(waiting: Any) -> list[traceback.FrameSummary]:
    """From a coroutine down to what it waits for in the end."""
    places: list[traceback.FrameSummary] = []
    while waiting is not None:
        for frame in filter(None, (getattr(waiting, name, None) for name in ("cr_frame", "gi_frame", "ag_frame"))):
            places += traceback.extract_stack(frame, limit=1)
        below = (getattr(waiting, name, None) for name in ("cr_await", "gi_yieldfrom", "ag_await"))
        waiting = next(filter(None, below), None)
    return places
