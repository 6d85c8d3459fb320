"""How fast a device and a tenant may send: token buckets, kept so that a message within them costs two comparisons.

A bucket gains nothing while there is something in it: it is filled up for the time gone by when it is found empty. So
in the long run the rate is exact, and after a long silence up to twice the burst may come at once.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

from ingest.adapters.base import Decision
from ingest.batch import Known, Row

BURST_S = 5.0
"""A bucket holds what may be sent in so many seconds."""
_LOOK_AGAIN_S = 0.05
_MEMBER = b'":'
"""Stands behind every name in canonical JSON: a reading has as many values as it has of these."""


class Allowance:
    """What one tenant's devices may still send through this process.

    `is_short`: it is used up, or others wait for it already: an adapter that can stop reading does so, and `wait`s.
    Values are known only after a message was taken: they are paid for afterwards, and owed if there were too few.
    """

    __slots__ = (
        "_at",
        "_granted",
        "_is_serving",
        "_saved",
        "_values_granted",
        "_waiting",
        "is_short",
        "left",
        "messages_per_s",
        "share",
        "values_left",
        "values_per_s",
    )

    def __init__(self, messages_per_s: float, values_per_s: float, at: float | None = None) -> None:
        self.messages_per_s = messages_per_s
        self.values_per_s = values_per_s
        self.is_short = False
        self.left = messages_per_s * BURST_S
        """Messages that may come; below 1 when it is used up, below 0 when some were lent."""
        self.values_left = values_per_s * BURST_S
        self._saved = 0.0  # messages that may come once the values are paid for
        self._granted = self.left
        self._values_granted = self.values_left
        self.share = 1.0
        """What this process gives out of the rates; `split` changes it."""
        self._at = time.monotonic() if at is None else at
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_serving = False

    @property
    def used(self) -> tuple[float, float]:
        """Messages and values taken since this began."""
        return self._granted - self.left - self._saved, self._values_granted - self.values_left

    def become(self, messages_per_s: float, values_per_s: float) -> None:
        """Go on with other rates; more than the new burst is not kept."""
        self._fill(time.monotonic())
        self.messages_per_s, self.values_per_s = messages_per_s, values_per_s
        self._fill(time.monotonic())

    def split(self, share: float) -> None:
        """Give out this part of the rates: the rest is another process's."""
        if share != self.share:
            self._fill(time.monotonic())
            self.share = share

    def has_some(self, at: float | None = None) -> bool:
        """Look again, after `left` was found below 1; those who wait go first."""
        if not self._waiting:
            self._fill(time.monotonic() if at is None else at)
        self.is_short = bool(self._waiting) or self.left < 1.0
        return not self.is_short

    def pay(self, values: int) -> None:
        """A message that was taken had so many values."""
        self.values_left -= values
        if self.values_left <= 0.0 < self.left:
            self._saved, self.left = self._saved + self.left, 0.0

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on`, on the loop, when there is something left and nobody has waited longer."""
        self._waiting.append(go_on)
        if not self._is_serving:
            self._is_serving = True
            self._serve_later()

    def _serve_later(self) -> None:
        missing = (1.0 - self.left) / (self.messages_per_s * self.share)
        owed = -self.values_left / (self.values_per_s * self.share)
        pause_s = min(1.0, max(_LOOK_AGAIN_S, missing, owed))
        asyncio.get_running_loop().call_later(pause_s, self._serve)

    def _serve(self) -> None:
        self._fill(time.monotonic())
        while self._waiting and self.left >= 1.0:
            self._waiting.popleft()()
        if self._waiting:
            self._serve_later()
        else:
            self._is_serving = False
            self.is_short = self.left < 1.0

    def _fill(self, at: float) -> None:
        gone_s, self._at = max(0.0, at - self._at) * self.share, at
        before, values_before = self.left + self._saved, self.values_left
        self.values_left = min(self.values_per_s * BURST_S, values_before + gone_s * self.values_per_s)
        there = min(self.messages_per_s * BURST_S, before + gone_s * self.messages_per_s)
        self._granted += there - before
        self._values_granted += self.values_left - values_before
        if self.values_left > 0.0 or there < 0.0:
            self.left, self._saved = there, 0.0
        else:
            self.left, self._saved = 0.0, there


UNLIMITED = Allowance(float("inf"), float("inf"), 0.0)


class _Device:
    __slots__ = ("allowance", "at", "left")

    def __init__(self, allowance: Allowance, left: float, at: float) -> None:
        self.allowance = allowance
        self.left = left
        self.at = at


class Quota:
    """`per_second` messages of one device in the long run, `burst` at once; and its tenant's allowance over all.

    `allowance_of` finds the tenant's; without it a tenant may send as fast as its devices may.
    """

    def __init__(
        self,
        per_second: float = 1_000.0,
        burst: float | None = None,
        allowance_of: Callable[[UUID], Allowance] | None = None,
    ) -> None:
        self._per_second = per_second
        self._burst = per_second * BURST_S if burst is None else burst
        self._allowance_of = allowance_of
        self._devices: dict[Known, _Device] = {}

    def allowance(self, tenant_id: UUID) -> Allowance:
        """The tenant's allowance in this process."""
        return self._allowance_of(tenant_id) if self._allowance_of else UNLIMITED

    def takes(self, device: Known, at: float | None = None) -> bool:
        """Whether one more message of this device is within its and its tenant's allowance; `at`: monotonic seconds."""
        held = self._devices.get(device) or self._meet(device, at)
        allowance = held.allowance
        if (held.left >= 1.0 or self._fill(held, at)) and (allowance.left >= 1.0 or allowance.has_some(at)):
            held.left -= 1.0
            allowance.left -= 1.0
            return True
        return False

    def lends(self, device: Known, who: Decision) -> bool:
        """Whether a message above the tenant's allowance is taken all the same, because its adapter now stops reading.

        So in MQTT 3.1.1, which cannot refuse: each connection may owe one message, and is read on when it is paid for.
        """
        held = self._devices[device]
        if not who.is_paced or held.left < 1.0:
            return False
        held.left -= 1.0
        held.allowance.left -= 1.0
        return True

    def gives_back(self, device: Known) -> None:
        """A message that was taken is another device's."""
        held = self._devices[device]
        held.left += 1.0
        held.allowance.left += 1.0

    def has_some(self, device: Known) -> bool:
        """Whether `takes` would take one more now; nothing is used."""
        held = self._devices.get(device) or self._meet(device, None)
        allowance = held.allowance
        return (held.left >= 1.0 or self._fill(held, None)) and (allowance.left >= 1.0 or allowance.has_some())

    def pay(self, device: Known, readings: Sequence[Row]) -> None:
        """A message of this device was decoded: its values are paid for."""
        if len(readings) == 1:
            values = readings[0].canonical.count(_MEMBER)
        else:
            values = sum([reading.canonical.count(_MEMBER) for reading in readings])
        allowance = self._devices[device].allowance
        allowance.values_left -= values
        if allowance.values_left <= 0.0:
            allowance.pay(0)

    def _meet(self, device: Known, at: float | None) -> _Device:
        now = time.monotonic() if at is None else at
        allowance = self._allowance_of(device.tenant_id) if self._allowance_of else UNLIMITED
        held = self._devices[device] = _Device(allowance, self._burst, now)
        return held

    def _fill(self, held: _Device, at: float | None) -> bool:
        now = time.monotonic() if at is None else at
        held.left = min(self._burst, held.left + (now - held.at) * self._per_second)
        held.at = now
        return held.left >= 1.0
