"""What the bench's devices measure: payloads that name themselves, with a temperature too warm a tenth of the time.

Message `n` of a device carries n as its metric `count`, so that every stored row says which message it is. The
temperature changes sides twice in `period` messages: with period 200, one event in a hundred changes a rule's state.
"""

import time
from dataclasses import dataclass

from engine.devices.model import Metric, MetricType

WARM, COLD = 350, 200
"""Tenths of a degree; the bench's rule draws its line between them."""
DERIVED = "excess"
"""A metric of the profile that no device sends: rules make it."""
BEGAN_AGO_MS = 20 * 86_400_000


@dataclass(frozen=True, slots=True)
class Signal:
    """How devices speak: `values` metrics a message (1 to 20), `period` messages from one warming to the next.

    With `has_seq` every other device numbers its messages; the others leave it to the hash of the values (DESIGN D2).
    With `step_ms` the devices' clocks go fast: each message is measured so long after the one before, from 20 days ago
    on, however fast they are sent.
    """

    values: int = 3
    period: int = 200
    has_seq: bool = False
    step_ms: int = 0

    def next_ms(self, last_ms: int) -> int:
        """When a device measures what it sends now; `last_ms`: when it did before, 0 for never."""
        now_ms = time.time_ns() // 1_000_000
        if not self.step_ms:
            return max(last_ms + 1, now_ms)
        return (last_ms or now_ms - BEGAN_AGO_MS) + self.step_ms

    def payload(self, device: int, n: int, time_ms: int) -> bytes:
        """Message `n` of the device with this number, measured at `time_ms`."""
        text = f'"count":{n}'
        if self.values > 1:
            text = f'"temperature":{self._tenths(device, n) / 10},{text}'
        if self.values > 2:
            text += f',"humidity":{40 + n % 20}'
        for number in range(4, self.values + 1):
            text += f',"extra{number}":{(n * number) % 1000}'
        seq = f'"seq":{n},' if self.has_seq and device % 2 else ""
        return f'{{"time":{time_ms},{seq}"values":{{{text}}}}}'.encode()

    def _tenths(self, device: int, n: int) -> int:
        place = (n + device * 37) % self.period
        return (WARM if place < self.period // 10 else COLD) + n % 40

    def metrics(self) -> list[Metric]:
        """What the devices' profile says of these values."""
        known = [
            Metric("count", MetricType.NUMBER, "Message number", None, 0),
            Metric("temperature", MetricType.NUMBER, "Temperature", "°C", -60, 120),
            Metric("humidity", MetricType.NUMBER, "Humidity", "%", 0, 100),
            Metric(DERIVED, MetricType.NUMBER, "Excess", "°C"),
        ]
        more = [Metric(f"extra{number}", MetricType.NUMBER, f"Extra {number}") for number in range(4, self.values + 1)]
        return known + more
