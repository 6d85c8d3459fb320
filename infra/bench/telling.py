"""What takes minutes says how far it has come, now and then, to the person who waits for it."""

import time
from collections.abc import Callable

Tell = Callable[[str], None]
EVERY_S = 10.0


def nobody(_: str) -> None:
    """Where nobody waits."""


class Progress:
    """Says ``what`` has come how far, of how much there is if that is known, and how fast."""

    def __init__(self, tell: Tell, what: str, of: int | None = None) -> None:
        self._tell, self._what, self._of = tell, what, of
        self._began = self._said = time.monotonic()

    def reach(self, done: int) -> None:
        """So much is done."""
        now = time.monotonic()
        if now - self._said < EVERY_S:
            return
        self._said = now
        of = "" if self._of is None else f" of {self._of:,}"
        self._tell(
            f"{self._what}: {done:,}{of} after {now - self._began:.0f} s, {done / (now - self._began):,.0f} a second"
        )

    def remain(self, left: int) -> None:
        """So much is left; how much there is is what was left at first."""
        self._of = self._of or left
        self.reach(self._of - left)
