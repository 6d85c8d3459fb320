"""What speaks one industrial protocol to the machines behind one connection, and exactly what it must do.

The edge (`plant.py`) owns everything that is the same for all protocols: when to read, what has changed enough to go
up, scale and unit, how long to wait before the next try, what goes up and what is answered. A driver only translates.

Life of a driver: made by its module's `driver(connection, folder)` → `open` → `watch` once → `read`, `write` and
`call`, never two at a time, and `discover` between them → `close`. After `close`, or when it said `Away`, it is thrown
away, and a new one is made for the next try: a driver never reconnects by itself, sleeps or retries. Security
(certificates, passwords) is set up anew in each `open`, from the connection's settings, so that a reconnect is never
weaker than the first connect. Modbus alone, behind whose connection no session and no security stand, connects again
when it asks something of a machine that has hung up since.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from ingest.edge.points import Point, Raw

Quality = Literal["good", "uncertain", "bad"]


class Away(Exception):
    """The connection is gone, or cannot be made; the message says why in words ("192.168.1.9:502 does not answer")."""


class Failed(Exception):
    """The machine refused this one thing, and the connection stands; the message says what to do, in words."""


class Cut(Failed):
    """A look around ended before all was looked at; the message says where and why. `found` is what there is so far."""

    def __init__(self, words: str, found: Sequence[Proposal]) -> None:
        super().__init__(words)
        self.found = found


@dataclass(frozen=True, slots=True)
class Sample:
    """What a point was found to be: a raw value, or an error in words.

    `raw` is as the machine said it, before scale and offset: bool, int, float or str; a float that is NaN or infinite
    is an error, not a value. `error` is None exactly when there is a value. `quality` is the machine's own word for it:
    "good" where the protocol has none, "bad" for every error. `source_ms` is the machine's own time of the value (ms
    since 1970, UTC), None where the protocol has none; the edge then takes its own.
    """

    point: Point
    raw: Raw | None = None
    error: str | None = None
    quality: Quality = "good"
    source_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Proposal:
    """One point that was discovered, in the words of a point table: `address` holds the protocol's fields."""

    device: str
    metric: str
    address: Mapping[str, Any]
    type: str
    access: str = "read"
    unit: str | None = None
    found: Raw | None = None
    """The value at the time, to recognise it by."""
    words: str = ""
    """What the machine calls it."""


Tell = Callable[[Sample], None]
Lost = Callable[[str], None]
Turn = Callable[[], AbstractAsyncContextManager[object]]


class Driver(Protocol):
    """One connection of one protocol. All methods run on the edge's loop; cancelling one leaves it fit for `close`."""

    async def open(self, lost: Lost) -> None:
        """Connect. Raises Away when that fails (in at most the connection's timeout).

        Keep `lost` and call it, once, on the loop, with words, when the connection ends while nobody is asking; never
        after `close`. Only for protocols that can tell; `Away` from the next call is enough for others.
        """
        ...

    async def close(self) -> None:
        """Give back every socket, task, timer and subscription. Never raises; may come at any time, also twice."""
        ...

    async def watch(self, points: Sequence[Point], tell: Tell) -> Collection[Point]:
        """Let the machine tell of changes of those points that the protocol can watch; these are returned.

        Called once after `open` with every point that is read. The others, and all of a protocol without
        subscriptions (return `()`), are polled by `read`. `tell` a Sample on the loop for each change, the first one
        with the present value. `point.report` says how often to sample and the deadband; divide it by
        `abs(point.scale)` to have it in raw units. The edge filters again, so telling too much is only waste.
        A watched point that goes bad is told as a Sample with an error. Raises Away.
        """
        ...

    async def read(self, points: Sequence[Point]) -> Sequence[Sample]:
        """The present values: one Sample for each point, in any order. In the fewest requests that the protocol allows.

        A point that cannot be read is a Sample with an error that names the remedy, and does not hurt the others.
        One machine of several behind a connection (Modbus units) that does not answer gives errors for its points.
        Raises Away only when the connection as a whole is gone.
        """
        ...

    async def write(self, point: Point, raw: Raw) -> None:
        """Write one raw value (of `point.type`, already scaled and in its range) and wait for the machine's yes.

        Raises Failed with the machine's refusal in words, or Away.
        """
        ...

    async def call(self, point: Point, arguments: Mapping[str, Any]) -> Any:
        """Call a point whose access is "command"; what is returned must be JSON. Raises Failed or Away.

        A protocol without methods raises Failed.
        """
        ...

    async def discover(self, wanted: Mapping[str, Any], turn: Turn) -> Sequence[Proposal]:
        """Look what is there (register scan, browse, who-is), bounded in time and number; `wanted` narrows it.

        That takes long, and the others need not wait for it: each request is asked within a `turn()` of its own, which
        raises Away when the connection is gone. Raises Failed with words when `wanted` is not understood, Cut when it
        must end early and some was found, or Away.
        """
        ...
