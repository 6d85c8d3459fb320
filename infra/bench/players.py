"""The generator as seen from the bench: started, told what to do, asked what happened, ended."""

from pathlib import Path
from typing import NamedTuple

from infra.bench.generator import PROGRESS, Order
from infra.bench.judge import Sent
from infra.bench.obeying import Obeying


class Progress(NamedTuple):
    """PUBACKs so far, messages sent again, connections lost, and the newest acknowledged time of sending."""

    acked: int
    resent: int
    reconnects: int
    acked_sent: float


class Players(Obeying):
    """The generator's process; a context manager."""

    def __init__(self, order: Order) -> None:
        super().__init__("infra.bench.generator", order.text())
        self._order = order

    def progress(self) -> Progress:
        """How far the clients are now, without asking them."""
        raw = Path(self._order.progress).read_bytes()
        return Progress(*PROGRESS.unpack(raw)) if len(raw) == PROGRESS.size else Progress(0, 0, 0, 0.0)

    def finish(self) -> tuple[Sent, dict[int, list[float]]]:
        """What the clients know in the end, and when each message of a watched device was due."""
        told = self.ask(do="finish")
        refused = [(device, n, code) for device, n, code in told["refused"]]
        due = {int(device): times for device, times in told["due"].items()}
        return Sent(told["made"], told["unacked"], refused, told["resent"]), due
