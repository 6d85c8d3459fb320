"""The point table that came from the platform: kept on the edge's disk, used instead of the one in its file.

It is written before it is used, and what was said of it is said again in each session: whatever is killed in between,
the edge goes on with one whole table and tells which. A table that cannot be used is refused in words, and the last
good one goes on. A file that says `points: local` wants none of this: its owner decides (ADR 60).
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.points import check
from engine.points.model import MAX_PACKED_CHARS, MAX_SAID_BYTES, MAX_TEXT_BYTES, Problem, Said, body_of, problem_of
from engine.points.packed import pack, unpack
from ingest.edge import protocols
from ingest.edge.config import Config
from ingest.edge.document import Wrong
from ingest.edge.points import PointTable, TableWrong
from schema.wire.topics import UP

log = logging.getLogger(__name__)

FILE = "points.json"
LOCAL = Problem(None, "", "The edge's file says `points: local`: it takes no table from the platform.")

Put = Callable[[list[tuple[str, bytes]]], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """What lies on the disk: the table that runs (version 0: none), and the one that was refused last."""

    version: int = 0
    text: str = ""
    refused: int | None = None
    problems: tuple[Problem, ...] = ()


class Remote:
    """One edge's. `use` is given a table that shall run; `put` what shall go up."""

    def __init__(self, folder: Path, put: Put, use: Callable[[PointTable], Awaitable[None]]) -> None:
        self._path = folder / FILE
        self._put = put
        self._use = use
        self._kept = Kept()
        self._points = 0
        self._own: str | None = None
        self._is_local = False
        self._turn = asyncio.Lock()
        self.misread: list[Wrong] = []
        """What in the kept table is another number to YAML than it seems, and ran so before that was refused."""

    def begin(self, config: Config) -> PointTable:
        """The table to run: the kept one, or the file's, when there is none or the file says `points: local`."""
        own, is_local = config.table, config.is_local
        self.misread.clear()
        self._is_local, self._kept, self._own = is_local, load(self._path), _packed(config.told)
        table = None if is_local else self._readable()
        self._points = len((table or own).points)
        if table is not None:
            own_words = f"; the {len(own.points)} in the edge's file are not" if own.points else ""
            log.info("Points: version %d from the platform is used%s.", self._kept.version, own_words)
            return table
        log.info("Points: those in the edge's file are used%s.", ", `points: local`" if is_local else "")
        self._kept = Kept(refused=self._kept.refused, problems=self._kept.problems)
        return own

    @property
    def is_used(self) -> bool:
        """Whether what runs came from the platform."""
        return self._kept.version > 0 and not self._is_local

    def own_changed(self, config: Config) -> PointTable | None:
        """The edge's file was read anew: the table to run from now on, None to go on with the platform's."""
        if self.is_used and not config.is_local:
            return None
        if self._is_local != config.is_local:
            return self.begin(config)
        self._own, self._points = _packed(config.told), len(config.table.points)
        return config.table

    async def heard(self, payload: bytes) -> None:
        """A table came; it runs, or is refused, and the platform is told."""
        try:
            said = json.loads(payload)
            version = int(said["version"])
            text = unpack(str(said["packed"])) if "packed" in said else str(said["text"])
        except (ValueError, KeyError, TypeError):
            log.warning("The platform sent a point table that cannot be understood.")
            return
        async with self._turn:
            if self._is_local:
                self._kept = Kept(refused=version, problems=(LOCAL,))
            elif version not in (self._kept.version, self._kept.refused):
                await self._take(version, text)
            self.tell()

    async def _take(self, version: int, text: str) -> None:
        try:
            table = await asyncio.to_thread(check.read, text, protocols.get)
        except TableWrong as wrong:
            log.warning("Version %d of the points is refused; the edge goes on with what it had.\n%s", version, wrong)
            kept = Kept(self._kept.version, self._kept.text, version, tuple(check.problems(wrong.problems)))
            with suppress(OSError):
                await asyncio.to_thread(keep, self._path, kept)
            self._kept = kept
            return
        kept = Kept(version, text)
        try:
            await asyncio.to_thread(keep, self._path, kept)
        except OSError as error:
            words = f"The edge's disk does not take it ({error.strerror}); make room there, and send it again."
            log.error("Version %d of the points cannot be kept: %s", version, error)
            self._kept = Kept(self._kept.version, self._kept.text, version, (Problem(None, "", words),))
            return
        self._kept, self._points = kept, len(table.points)
        self.misread.clear()
        log.info("Points: version %d came from the platform, %d points; it is used from now on.", version, self._points)
        await self._use(table)

    def tell(self) -> None:
        """Say which table runs, which one was refused, and what stands in the edge's own file while that one runs."""
        kept = self._kept
        problems, own = list(kept.problems), None if kept.version else self._own
        while True:
            said = Said(kept.version, self._points, kept.refused, problems, self._is_local, own)
            payload = json.dumps(said.body(), ensure_ascii=False, separators=(",", ":")).encode()
            if len(payload) <= MAX_SAID_BYTES or not problems:
                break
            problems.pop()
        self._put([(UP["points_said"], payload)])

    def _readable(self) -> PointTable | None:
        """The kept table, if there is one that can be used still."""
        if self._kept.version == 0:
            return None
        try:
            return check.read(self._kept.text, protocols.get, self.misread.append)
        except TableWrong as wrong:
            version = self._kept.version
            log.error("Version %d of the points, kept on the disk, cannot be used any more.\n%s", version, wrong)
            self._kept = Kept(refused=version, problems=tuple(check.problems(wrong.problems)))
            return None


def _packed(told: str) -> str | None:
    """The table of the edge's own file as it goes up; None, with a word in the log, for one that the platform would
    not take.
    """
    packed = pack(told)
    if len(told.encode()) <= MAX_TEXT_BYTES and len(packed) <= MAX_PACKED_CHARS:
        return packed
    log.warning(
        "The points in the edge's file are used, and too long to be shown to the platform: %d KiB, %d compressed; the "
        "most is %d, and %d.",
        *(size // 1024 for size in (len(told.encode()), len(packed), MAX_TEXT_BYTES, MAX_PACKED_CHARS)),
    )
    return None


def load(path: Path) -> Kept:
    """What was kept; nothing, with a word in the log, where that cannot be read."""
    try:
        said = json.loads(path.read_bytes())
        problems = tuple(problem_of(each) for each in said["problems"])
        return Kept(int(said["version"]), str(said["text"]), said["refused"], problems)
    except FileNotFoundError:
        return Kept()
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("%s cannot be read (%s); the platform is asked for the points again.", path, error)
        return Kept()


def keep(path: Path, kept: Kept) -> None:
    """Write it whole or not at all, and wait until it is on the disk. Raises OSError."""
    said = {"version": kept.version, "text": kept.text, "refused": kept.refused}
    beside = path.with_suffix(".new")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({**said, "problems": [body_of(each) for each in kept.problems]}, file, ensure_ascii=False)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
