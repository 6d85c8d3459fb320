"""What the bench's devices measure: payloads that name themselves, with a temperature too warm a tenth of the time.

Message `n` of a device carries n as its metric `count`, so that every stored row says which message it is. The
temperature changes sides twice in `period` messages: with period 200, one event in a hundred changes a rule's state.
"""

from dataclasses import dataclass

from engine.devices.model import Metric, MetricType

WARM, COLD = 350, 200
"""Tenths of a degree; the bench's rule draws its line between them."""


@dataclass(frozen=True, slots=True)
class Signal:
    """How devices speak: `values` metrics a message (1 to 20), `period` messages from one warming to the next.

    With `has_seq` every other device numbers its messages; the others leave it to the hash of the values (DESIGN D2).
    """

    values: int = 3
    period: int = 200
    has_seq: bool = False

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
        ]
        more = [Metric(f"extra{number}", MetricType.NUMBER, f"Extra {number}") for number in range(4, self.values + 1)]
        return known + more
