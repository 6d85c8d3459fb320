"""What goes up waits here, on disk, until the platform has it: bounded, in order, and safe from a kill at any moment.

An entry is a topic's tail and a payload, whose time was fixed when it was made: sent twice, it is stored once. Made
while nobody knew the time (`wall.py`), it is held back, and gets its time when that is known: one of an earlier start
of the computer by what its clock said then, or, where that was never set, as if this start had followed at once. Full:
the oldest go, and are counted. When the disk takes nothing, entries wait in memory, as many as fit there, are sent from
there, and are written as soon as the disk takes something again. Beside them lie the commands that were begun, with
their answers, so that none is carried out twice.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import sqlite3
import time
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ingest.edge.wall import Wall

log = logging.getLogger(__name__)

_TABLES = """
CREATE TABLE IF NOT EXISTS entries (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL, size INTEGER NOT NULL,
    boot INTEGER
);
CREATE TABLE IF NOT EXISTS boots (
    id INTEGER PRIMARY KEY, boot TEXT NOT NULL UNIQUE, guessed INTEGER, last INTEGER NOT NULL, began INTEGER
);
CREATE TABLE IF NOT EXISTS counts (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS commands (id TEXT PRIMARY KEY, at INTEGER NOT NULL, answer BLOB) WITHOUT ROWID;
"""
_AS_FAR = """
INSERT INTO sqlite_sequence (name, seq) SELECT 'entries', ? WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence)
"""
_COUNT_BOOT = """
INSERT INTO boots (boot, guessed, last) VALUES (?, ?, ?) ON CONFLICT (boot)
DO UPDATE SET guessed = coalesce(excluded.guessed, guessed), last = max(last, excluded.last) RETURNING id
"""
_SETTLE = """
UPDATE boots SET began = CASE WHEN boot = :boot THEN :began ELSE coalesce(guessed, :began - last) END
WHERE began IS NULL
"""
_BEHIND = """
UPDATE entries SET id = id + (SELECT max(id) FROM entries) WHERE boot IN (SELECT id FROM boots WHERE began IS NULL)
"""
_FROM_START = re.compile(rb'\{"(time|since)":-(\d+)')
"""How a payload begins whose time is counted from the computer's start."""
_ENTRY_BYTES = 64
"""What an entry costs beside its topic and payload, about."""
MOST_IN_MEMORY = 10_000
_COMMANDS_KEPT = 10_000
_IN_MEMORY = 2**62
"""Ids from here on are of entries that wait in memory."""


_SPARE_BYTES = 1024 * 1024
"""Left free on the disk, so that what was sent can still be taken out: that is written to the log first, too."""


class _NearlyFull(sqlite3.OperationalError):
    """Whatever is put now would leave no room for taking it out again."""

    sqlite_errorcode = sqlite3.SQLITE_FULL


class SpoolTaken(Exception):
    """Another process uses this folder."""


class Entry(NamedTuple):
    """One message that waits; ids rise in the order in which entries were put."""

    id: int
    topic: str
    payload: bytes


class Spool:
    """One folder's spool; not for two threads at a time. `open` first, `close` last."""

    def __init__(self, folder: Path, max_bytes: int, wall: Wall | None = None) -> None:
        self._folder = folder
        self._wall = wall or Wall()
        self._has_held = False
        """Whether there are entries whose time is not known."""
        self._has_passed = False
        """Whether such were passed over: others that are younger were sent."""
        self._began_ms: int | None = None
        """When the computer was started, as entries get their times by, here and on the disk."""
        self._path = folder / "spool.db"
        self._max_bytes = max_bytes
        self._base: sqlite3.Connection | None = None
        self._lock: int | None = None
        self._homeless: deque[Entry] = deque()
        self._next_homeless = _IN_MEMORY
        self._newest = 0
        """The newest id that the disk has given."""
        self._read_up_to = 0
        """The newest entry on the disk that the sender has: behind it goes on who was given some from memory."""
        self._is_failing = False
        self._lost_in_memory = 0
        self.count = 0
        """Entries that wait."""
        self.size_bytes = 0
        self.dropped = 0
        """Entries that had to go before they could be sent, ever."""

    def open(self) -> None:
        """Take the folder. Raises SpoolTaken, or OSError when it cannot be made."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = os.open(self._folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            raise SpoolTaken(f"Another edge uses the folder {self._folder}; give each one its own.") from None
        try:
            self._begin()
        except sqlite3.DatabaseError as error:
            if not _is_broken(error):
                self._fail(error)  # the disk may be full: begin in memory, and try again with the next entry
                return
            self._set_aside(error)
            self._begin()

    def close(self) -> None:
        """Write what can be written, and give the folder back."""
        if self._homeless:
            self.put(())
        self._drop_base()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def put(self, messages: Iterable[tuple[str, bytes]], lost: int = 0) -> None:
        """Keep messages (topic, payload); they are on the disk when this returns, unless it takes nothing.

        `lost` had to go before they came here, and are counted among those that were dropped.
        """
        self._lost_in_memory += lost
        self.dropped += lost
        for topic, payload in messages:
            self._homeless.append(Entry(self._next_homeless, topic, payload))
            self._next_homeless += 1
        try:
            try:
                self._write()
            except sqlite3.DatabaseError as error:
                if not _is_broken(error):
                    raise
                self._set_aside(error)
                self._write()
        except (sqlite3.Error, OSError) as error:
            self._fail(error)
            while len(self._homeless) > MOST_IN_MEMORY:
                self._homeless.popleft()
                self._lost_in_memory += 1
                self.dropped += 1
        else:
            if self._is_failing:
                self._is_failing = False
                log.warning("The disk takes readings again; %d wait to be sent.", self.count)

    def after(self, last: int, most: int) -> Sequence[Entry]:
        """The oldest entries after this id; 0 for the first of all."""
        try:
            base = self._base or self._begin()
            if last < _IN_MEMORY:  # else what was in memory may be on the disk by now: it is sent again, and known
                self._read_up_to = last
            if self._has_held and (began := self._start_ms()) is not None:
                self._settle(base, began)
            found = base.execute(
                "SELECT e.id, topic, payload, began FROM entries e LEFT JOIN boots b ON b.id = e.boot"
                " WHERE e.id > ? AND (e.boot IS NULL OR began IS NOT NULL) ORDER BY e.id LIMIT ?",
                (self._read_up_to, most),
            ).fetchall()
            if found:
                self._has_passed |= self._has_held
                return [Entry(id_, topic, _timed(payload, began)) for id_, topic, payload, began in found]
        except sqlite3.Error as error:
            self._fail(error)
        return self._after_in_memory(last, most) if self._is_failing else []

    def _after_in_memory(self, last: int, most: int) -> Sequence[Entry]:
        began = self._start_ms()
        waiting = [entry for entry in self._homeless if entry.id > last]
        if began is None:
            return [entry for entry in waiting if not _FROM_START.match(entry.payload)][:most]
        return [entry._replace(payload=_timed(entry.payload, began)) for entry in waiting[:most]]

    def _start_ms(self) -> int | None:
        """When the computer was started, once anybody knows: the same for good."""
        if self._began_ms is None and self._wall.is_known:
            self._began_ms = self._wall.guessed_start_ms()
        return self._began_ms

    def _settle(self, base: sqlite3.Connection, began: int) -> None:
        """Give the entries that were held back their times; behind the others, where some of these were sent."""
        with base:
            if self._has_passed:
                base.execute(_BEHIND)
                base.execute("UPDATE sqlite_sequence SET seq = (SELECT max(id) FROM entries)")
            base.execute(_SETTLE, {"boot": self._wall.boot, "began": began})
            base.execute("DELETE FROM boots WHERE id NOT IN (SELECT boot FROM entries WHERE boot IS NOT NULL)")
        self._has_held = self._has_passed = False

    def forget(self, ids: Sequence[int]) -> bool:
        """These were sent. False when the disk does not take that: ask again, they may be sent once more."""
        if ids and max(ids) >= _IN_MEMORY:
            gone = frozenset(ids)
            self._homeless = deque(entry for entry in self._homeless if entry.id not in gone)
        try:
            base = self._base or self._begin()
            with base:
                gone_bytes = base.execute(
                    "DELETE FROM entries WHERE id IN (SELECT value FROM json_each(?)) RETURNING size",
                    (json.dumps(list(ids)),),
                ).fetchall()
            self.count -= len(gone_bytes)
            self.size_bytes -= sum(row[0] for row in gone_bytes)
        except sqlite3.Error as error:
            self._fail(error)
            return False
        return True

    def begin_command(self, id_: str) -> tuple[bool, bytes | None]:
        """Note that a command is carried out now: whether it is new, and if not, what was answered.

        Raises sqlite3.Error.
        """
        base = self._base or self._begin()
        with base:
            is_new = base.execute(
                "INSERT OR IGNORE INTO commands (id, at) SELECT ?, max(?, coalesce(max(at), 0) + 1) FROM commands",
                (id_, time.time_ns()),  # never older than the last one, whatever the clock was set to
            ).rowcount
            base.execute(
                "DELETE FROM commands WHERE id IN (SELECT id FROM commands ORDER BY at DESC LIMIT -1 OFFSET ?)",
                (_COMMANDS_KEPT,),
            )
        found = base.execute("SELECT answer FROM commands WHERE id = ?", (id_,)).fetchone()
        return is_new == 1, found[0] if found else None

    def answer_command(self, id_: str, topic: str, answer: bytes) -> None:
        """Keep a command's answer, as an entry, and to be told again."""
        with contextlib.suppress(sqlite3.Error):
            base = self._base or self._begin()
            with base:
                base.execute("UPDATE commands SET answer = ? WHERE id = ?", (answer, id_))
        self.put([(topic, answer)])

    @property
    def is_failing(self) -> bool:
        """Whether the disk takes nothing now."""
        return self._is_failing

    def _write(self) -> None:
        base = self._base or self._begin()
        rows = [(e.topic, e.payload, len(e.topic) + len(e.payload) + _ENTRY_BYTES) for e in self._homeless]
        held = [int(found[2]) if (found := _FROM_START.match(payload)) else None for _, payload, _ in rows]
        added = sum(row[2] for row in rows)
        if rows and self._room(base) < _SPARE_BYTES + 2 * added:  # once in the log, once in the file
            raise _NearlyFull("less than 1 MiB would be left free on it")
        with base:
            gone, gone_bytes = self._make_room(base, added)
            boot = self._boot(base, max((since for since in held if since is not None), default=None))
            base.executemany(
                "INSERT INTO entries (topic, payload, size, boot) VALUES (?, ?, ?, ?)",
                [(*row, None if since is None else boot) for row, since in zip(rows, held, strict=True)],
            )
            dropped = gone + self._lost_in_memory
            if dropped:
                base.execute(
                    "INSERT INTO counts VALUES ('dropped', ?) ON CONFLICT (name) DO UPDATE SET value = value + ?",
                    (dropped, dropped),
                )
            newest = base.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()[0]
        self._newest = newest or 0
        self._homeless.clear()
        self._lost_in_memory = 0
        self.count += len(rows) - gone
        self.size_bytes += added - gone_bytes
        self.dropped += gone

    def _boot(self, base: sqlite3.Connection, last: int | None) -> int | None:
        """The number of this start of the computer, for entries that are to get their times; None where none is."""
        if last is None:
            return None
        self._has_held = True
        wall = self._wall
        (number,) = base.execute(_COUNT_BOOT, (wall.boot, wall.guessed_start_ms(), last)).fetchone()
        return int(number)

    def _room(self, base: sqlite3.Connection) -> int:
        """What is free on the disk, and in our own file: it never shrinks, what was sent leaves room in it."""
        pages = int(base.execute("PRAGMA freelist_count").fetchone()[0])
        return _free_bytes(self._folder) + pages * int(base.execute("PRAGMA page_size").fetchone()[0])

    def _make_room(self, base: sqlite3.Connection, added: int) -> tuple[int, int]:
        """Let the oldest go until `added` bytes fit; how many went, and how large they were."""
        excess, gone, gone_bytes = self.size_bytes + added - self._max_bytes, 0, 0
        while excess > gone_bytes:
            oldest = base.execute("SELECT id, size FROM entries ORDER BY id LIMIT 100").fetchall()
            if not oldest:
                break
            for id_, size in oldest:
                base.execute("DELETE FROM entries WHERE id = ?", (id_,))
                gone, gone_bytes = gone + 1, gone_bytes + size
                if excess <= gone_bytes:
                    break
        return gone, gone_bytes

    def _measure(self, base: sqlite3.Connection) -> None:
        self.count, self.size_bytes = base.execute("SELECT count(*), coalesce(sum(size), 0) FROM entries").fetchone()
        found = base.execute("SELECT value FROM counts WHERE name = 'dropped'").fetchone()
        self.dropped = (found[0] if found else 0) + self._lost_in_memory
        self._newest = base.execute("SELECT max(seq) FROM sqlite_sequence").fetchone()[0] or 0
        self._has_held = base.execute("SELECT EXISTS (SELECT 1 FROM boots WHERE began IS NULL)").fetchone()[0] == 1

    def _begin(self) -> sqlite3.Connection:
        base = sqlite3.connect(self._path, timeout=5.0, check_same_thread=False)
        try:
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = FULL")  # what is put is there after a power cut, too
            base.execute("PRAGMA journal_size_limit = 1048576")
            base.execute("PRAGMA wal_autocheckpoint = 64")  # pages: the log stays well below what is left free
            base.executescript(_TABLES)
            if not any(column[1] == "boot" for column in base.execute("PRAGMA table_info (entries)")):
                base.execute("ALTER TABLE entries ADD COLUMN boot INTEGER")  # a spool of before
            if self._newest:  # also in a new file: whoever sends has got so far
                base.execute(_AS_FAR, (self._newest,))
                base.commit()
            self._measure(base)
        except BaseException:
            base.close()
            raise
        self._base = base
        return base

    def _fail(self, error: sqlite3.Error | OSError) -> None:
        """The disk takes nothing. When it is not just full, a new connection is made with the next try."""
        if getattr(error, "sqlite_errorcode", None) != sqlite3.SQLITE_FULL:
            self._drop_base()
        if not self._is_failing:
            self._is_failing = True
            log.error("The disk under %s takes nothing (%s); readings wait in memory.", self._folder, error)

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        """A new spool begins. What lies in the broken one is counted as dropped, as far as that is known."""
        self._drop_base()
        aside = self._path.with_name(f"spool.db.broken-{int(time.time())}")
        self._path.replace(aside)
        for more in ("-wal", "-shm"):
            Path(f"{self._path}{more}").unlink(missing_ok=True)
        self._lost_in_memory = self.dropped = self.dropped + self.count
        self.count = self.size_bytes = 0
        log.error("The spool could not be read (%s); it lies in %s now, and a new one begins.", error, aside)

    def _drop_base(self) -> None:
        base, self._base = self._base, None
        if base is not None:
            with contextlib.suppress(sqlite3.Error):
                base.close()


def _is_broken(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is no spool, or not any more."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _timed(payload: bytes, began_ms: int | None) -> bytes:
    """A payload with its time, if that was counted from the start of the computer."""
    if began_ms is None or not (found := _FROM_START.match(payload)):
        return payload
    return b'{"%s":%d' % (found[1], began_ms + int(found[2])) + payload[found.end() :]


def _free_bytes(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
