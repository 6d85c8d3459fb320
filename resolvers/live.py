"""Live data: one reader of each tenant's journal per process, shared by all of the tenant's subscribers."""

import asyncio
import contextlib
import logging
import re
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

from engine.errors import EngineError, Invalid, Unavailable
from engine.journal import read as journal
from engine.journal.bus import Bus
from engine.journal.model import Entry
from engine.store.pool import Store
from engine.tenancy import Principal, system
from resolvers.feeds import EventFeed, Feed, Followed, Reading, TelemetryFeed
from resolvers.sight import Sight

log = logging.getLogger(__name__)

E = TypeVar("E")

_LOOK_S = 1.0
_PAUSE_S = 0.1
"""Between two reads of a tenant's journal: ingest commits hundreds of times a second, each read is a transaction."""
_RETRY_S = 1.0
_READ = 500
_NO_DEVICE = str(UUID(int=0))
_CURSOR = re.compile(r"(\d{1,18})(?:\.(\d{1,9}))?")


class BadLiveCursor(Invalid):
    """That is no cursor of this stream; leave it out to start with what comes next."""

    code = "BAD_CURSOR"


@dataclass(frozen=True, slots=True)
class Happened:
    """One journal entry that is no telemetry, with its cursor."""

    cursor: str
    kind: str
    at_ms: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where to go on: behind entry ``pos``, or inside entry ``pos`` behind reading ``index``."""

    pos: int
    index: int | None


_ALL_GOOD: Mapping[str, Mapping[str, str]] = {}


def parse_cursor(cursor: str) -> _Place:
    """``"1234"`` or ``"1234.5"``; raises BadLiveCursor."""
    match = _CURSOR.fullmatch(cursor)
    if match is None:
        raise BadLiveCursor
    return _Place(int(match[1]), int(match[2]) if match[2] else None)


def readings(entry: Entry) -> Iterable[Reading]:
    """The readings of a telemetry entry, each with the cursor behind it."""
    rows, doubted = entry.body["r"], entry.body.get("q", _ALL_GOOD)
    last = len(rows) - 1
    for index, row in enumerate(rows):
        yield _reading(entry.pos, index, row, doubted.get(str(index)), is_last=index == last)


def _reading(pos: int, index: int, row: Sequence[Any], quality: Mapping[str, str] | None, *, is_last: bool) -> Reading:
    device_id, time_ms, _seq, _received_ms, values = row
    return Reading(str(pos) if is_last else f"{pos}.{index}", UUID(device_id), time_ms, values, quality)


def happened(entry: Entry) -> Happened:
    """An entry as its subscribers see it."""
    return Happened(str(entry.pos), entry.kind, int(entry.at.timestamp() * 1000), entry.body)


class Tail:
    """Reads one tenant's journal as that tenant and hands each entry to the subscribers it concerns."""

    def __init__(self, store: Store, bus: Bus, tenant_id: UUID) -> None:
        self._store = store
        self._bus = bus
        self._principal = system(tenant_id)
        self._by_device: dict[str, set[TelemetryFeed]] = {}  # by the id's text, as the journal has it
        self._by_kind: dict[str, set[EventFeed[Happened]]] = {}
        self._started = asyncio.Event()
        self._news: asyncio.Event | None = None
        self._failure: Exception | None = None
        self.pos = 0
        self.readers = 0
        self.task = asyncio.create_task(self._run())

    async def ready(self) -> None:
        """Wait until the newest position is known; raises Unavailable when the database is away."""
        await self._started.wait()
        if self._failure is not None:
            raise Unavailable from self._failure

    def followers(self, device_id: UUID) -> Collection[TelemetryFeed]:
        """Who follow a device at this moment."""
        return self._by_device.get(str(device_id), frozenset())

    @property
    def has_listeners(self) -> bool:
        """Whether somebody waits for what comes next."""
        return bool(self._by_device or self._by_kind)

    async def read(self, after: int) -> list[Entry]:
        """Entries after ``after``, oldest first; raises CursorTooOld."""
        async with self._store.as_tenant(self._principal, read_only=True) as tx:
            return await journal.tail(tx, after, _READ)

    async def head(self) -> int:
        """The newest position."""
        async with self._store.as_tenant(self._principal, read_only=True) as tx:
            return await journal.head(tx)

    async def reach(self, pos: int) -> None:
        """Wait until this tail has read up to ``pos``, which another process has already shown to somebody."""
        while self.pos < pos:
            if self._news is not None:
                self._news.set()
            await asyncio.sleep(0.01)

    @contextlib.contextmanager
    def telemetry(self, feed: TelemetryFeed) -> Iterator[None]:
        """Hand ``feed`` the readings of its devices."""
        for device_id in feed.device_ids:
            self._by_device.setdefault(str(device_id), set()).add(feed)
        try:
            yield
        finally:
            for device_id in feed.device_ids:
                _discard(self._by_device, str(device_id), feed)

    @contextlib.contextmanager
    def events(self, kinds: Collection[str], feed: EventFeed[Happened]) -> Iterator[None]:
        """Hand ``feed`` the entries of these kinds."""
        for kind in kinds:
            self._by_kind.setdefault(kind, set()).add(feed)
        try:
            yield
        finally:
            for kind in kinds:
                _discard(self._by_kind, kind, feed)

    async def _run(self) -> None:
        async with self._bus.subscribe(self._principal.tenant_id) as news:
            self._news = news
            try:
                self.pos = await self.head()
            except Exception as error:
                self._failure = error
                return
            finally:
                self._started.set()
            try:
                while True:
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(news.wait(), _LOOK_S)
                    news.clear()
                    await self._catch_up()
                    await asyncio.sleep(_PAUSE_S)
            except Exception as error:  # whoever follows must not wait for a tail that is no more
                log.exception("live.failed", extra={"tenant": str(self._principal.tenant_id)})
                self._close_all(Unavailable())
                self._failure = error

    async def _catch_up(self) -> None:
        try:
            while entries := await self.read(self.pos):
                for entry in entries:
                    self._hand_out(entry)
                    self.pos = entry.pos
                if len(entries) < _READ:
                    return
        except Unavailable:
            await asyncio.sleep(_RETRY_S)
        except EngineError as error:  # the journal no longer reaches back to where we stood: all start anew
            log.warning("live.gap", extra={"tenant": str(self._principal.tenant_id), "code": error.code})
            self._close_all(error)
            self.pos = await self.head()

    def _hand_out(self, entry: Entry) -> None:
        if entry.kind == "telemetry":
            self._hand_out_telemetry(entry)
        elif listening := self._by_kind.get(entry.kind):
            event = happened(entry)
            for listener in list(listening):
                listener.offer(event)

    def _hand_out_telemetry(self, entry: Entry) -> None:
        """Nearly all readings are of devices that nobody watches: those cost one look-up and nothing more."""
        by_device, rows = self._by_device, entry.body["r"]
        if not by_device:
            return
        for index, row in enumerate(rows):
            if row[0] in by_device:
                quality = entry.body.get("q", _ALL_GOOD).get(str(index))
                reading = _reading(entry.pos, index, row, quality, is_last=index == len(rows) - 1)
                for feed in by_device[row[0]]:
                    feed.offer(reading)

    def _close_all(self, error: Exception) -> None:
        feeds: set[Feed[Any]] = set()
        feeds.update(*self._by_device.values(), *self._by_kind.values())
        for feed in feeds:
            feed.close(error)


def _discard(index: dict[Any, set[Any]], key: Any, feed: Any) -> None:
    feeds = index.get(key)
    if feeds is not None:
        feeds.discard(feed)
        if not feeds:
            del index[key]


class Live:
    """The tails of this process: made when a tenant's first subscriber comes, ended when the last one goes."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self.tails: dict[UUID, Tail] = {}

    @asynccontextmanager
    async def tail(self, tenant_id: UUID) -> AsyncIterator[Tail]:
        """The tail of a tenant, ready."""
        tail = self.tails.get(tenant_id)
        if tail is None or tail.task.done():
            tail = self.tails[tenant_id] = Tail(self._store, self._bus, tenant_id)
        tail.readers += 1
        try:
            await tail.ready()
            yield tail
        finally:
            tail.readers -= 1
            if tail.readers == 0:
                if self.tails.get(tenant_id) is tail:
                    del self.tails[tenant_id]
                tail.task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await tail.task

    def telemetry(
        self, principal: Principal, device_ids: Collection[UUID], metrics: Collection[str] | None, after: str | None
    ) -> Followed:
        """Readings of these devices from ``after`` on, or from now on; only as long as ``principal`` sees them."""
        feed = TelemetryFeed(device_ids, metrics)
        return Followed(self._telemetry(principal, feed, after), feed, is_limited=principal.is_limited)

    async def _telemetry(
        self, principal: Principal, feed: TelemetryFeed, after: str | None
    ) -> AsyncGenerator[Reading, None]:
        tenant_id, seen = principal.tenant_id, _filter(self._store, principal, _device_of_reading)
        async with self.tail(tenant_id) as tail:
            feed.begin(after or str(tail.pos))
            wanted = feed.device_ids

            def replay(entry: Entry, beyond: int) -> None:
                if entry.kind == "telemetry":
                    for index, reading in enumerate(readings(entry)):
                        if index > beyond and reading.device_id in wanted:
                            feed.offer(reading)

            async for _ in self._missed(tail, after, replay):
                for reading in await seen(feed.take()):
                    yield reading
            with tail.telemetry(feed):
                while True:
                    for reading in await seen(await feed.next()):
                        yield reading

    async def events(self, principal: Principal, kinds: Collection[str], after: str | None) -> AsyncIterator[Happened]:
        """Entries of these kinds from ``after`` on, or from now on; none is ever left out.

        Each names a ``device``: whoever is limited to groups hears of those that they see.
        """
        tenant_id, seen = principal.tenant_id, _filter(self._store, principal, _device_of)
        async with self.tail(tenant_id) as tail:
            feed: EventFeed[Happened] = EventFeed()

            def replay(entry: Entry, beyond: int) -> None:
                if entry.kind in kinds and beyond < 0:
                    feed.offer(happened(entry))

            async for _ in self._missed(tail, after, replay):
                for event in await seen(feed.take()):
                    yield event
            with tail.events(kinds, feed):
                while True:
                    for event in await seen(await feed.next()):
                        yield event

    async def check(self, tenant_id: UUID, after: str | None) -> None:
        """Raise BadLiveCursor or CursorTooOld where a subscription could not begin at ``after``."""
        if after is None:
            return
        place = parse_cursor(after)
        async with self._store.as_tenant(system(tenant_id), read_only=True) as tx:
            if place.pos > await journal.head(tx):
                raise BadLiveCursor
            await journal.tail(tx, _before(place), 1)

    async def _missed(self, tail: Tail, after: str | None, replay: Callable[[Entry, int], None]) -> AsyncIterator[None]:
        """Replay what lies between ``after`` and where the tail stands; ends at the moment both meet."""
        if after is None:
            return
        place = parse_cursor(after)
        pos = _before(place)
        await tail.reach(place.pos)
        while pos < tail.pos:
            for entry in await tail.read(pos):
                if entry.pos > tail.pos:
                    break
                inside = entry.pos == place.pos and place.index is not None
                replay(entry, place.index if inside and place.index is not None else -1)
                pos = entry.pos
            yield


def _device_of_reading(reading: Reading) -> UUID:
    return reading.device_id


def _device_of(event: Happened) -> UUID:
    return UUID(event.body.get("device", _NO_DEVICE))  # what names none is about the tenant, and not for them


def _filter(
    store: Store, principal: Principal, device_of: Callable[[E], UUID]
) -> Callable[[Sequence[E]], Awaitable[Sequence[E]]]:
    """Leaves of what is about to be said what ``principal`` may hear."""
    sight = Sight(store, principal) if principal.is_limited else None

    async def seen(events: Sequence[E]) -> Sequence[E]:
        return await sight.only(events, device_of) if sight is not None and events else events

    return seen


def _before(place: _Place) -> int:
    """The entry behind which reading must begin to see everything after ``place``."""
    return place.pos if place.index is None else place.pos - 1
