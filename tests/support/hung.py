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
import time
import traceback
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

_PLACES = pytest.StashKey[tempfile.TemporaryDirectory[str]]()
_WATCH = pytest.StashKey["Watch"]()
_FOLDER = "TIDEGATE_TEST_HUNG"
_SHOWN = 20_000
"""Characters of one process's places that are shown: the last ones, where its main thread's are."""


class Watch:
    """Ends its process when what that does has not changed for `after_s` seconds."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._over = threading.Event()
        name = os.environ.get("PYTEST_XDIST_WORKER")
        self._told = Path(os.environ[_FOLDER], name) if name else Path("/dev/stderr")
        self._if_deaf = Path(os.environ[_FOLDER], f"{name or 'main'}, where no thread could run").open("w")  # noqa: SIM115
        self.now("looking for tests")
        threading.Thread(target=self._look, name="watch", daemon=True).start()

    def now(self, does: str) -> None:
        """Say what the process does from now on."""
        self._does, self._since = does, time.monotonic()
        faulthandler.dump_traceback_later(2 * self._after_s, exit=True, file=self._if_deaf)  # needs no lock of Python's

    def end(self) -> None:
        """Look no more."""
        self._over.set()
        faulthandler.cancel_dump_traceback_later()
        self._if_deaf.close()

    def _look(self) -> None:
        while not self._over.wait(min(5.0, self._after_s / 4)):
            if time.monotonic() - self._since > self._after_s:
                self._give_up()

    def _give_up(self) -> None:
        places = "\n".join([f"Did not end: {self._does}. Where the process was:", *_tasks(), *_threads(), ""])
        self._told.write_text(places)
        os._exit(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How long one test, with all it sets up and cleans up, or anything between tests, may take."""
    parser.addini("hung_after", "seconds after which a process of the tests ends and says where it was", default="0")


def pytest_configure(config: pytest.Config) -> None:
    """Watch a process that has tests to run; who gives them out makes a folder for what those leave to be shown."""
    is_one_of_several = hasattr(config, "workerinput")
    if not is_one_of_several:
        config.stash[_PLACES] = tempfile.TemporaryDirectory(prefix="tidegate-hung-")
        os.environ[_FOLDER] = config.stash[_PLACES].name
    after_s = float(config.getini("hung_after"))
    if after_s and (is_one_of_several or not config.getoption("numprocesses", None)):
        config.stash[_WATCH] = Watch(after_s)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, object, object]:
    """Who has no more tests may wait for the others as long as these take."""
    try:
        return (yield)
    finally:
        if _WATCH in session.config.stash:
            session.config.stash[_WATCH].end()


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
    watch.now(item.nodeid)
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
