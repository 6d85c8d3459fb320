"""A token bucket: so much a second in the long run, so much at once; pure, the clock is the caller's."""


class Bucket:
    """Holds at most ``burst`` and gains ``per_second``. Full at first; times are monotonic seconds."""

    __slots__ = ("_at", "_left", "burst", "per_second")

    def __init__(self, per_second: float, burst: float, at: float) -> None:
        self.per_second = per_second
        self.burst = burst
        self._left = burst
        self._at = at

    def left(self, at: float) -> float:
        """What may be taken now."""
        self._left = min(self.burst, self._left + max(0.0, at - self._at) * self.per_second)
        self._at = at
        return self._left

    def take(self, amount: float, at: float) -> float:
        """Take ``amount`` and return 0.0, or take nothing and return the seconds until it could be taken.

        More than the whole burst is let through once the bucket is full, and owed: it would wait for ever otherwise.
        """
        left = self.left(at)
        wanted = min(amount, self.burst)
        if left < wanted:
            return (wanted - left) / self.per_second
        self._left = left - amount
        return 0.0

    def become(self, per_second: float, burst: float, at: float) -> None:
        """Go on with another rate; what is owed or left stays, as far as it fits."""
        self._left = min(self.left(at), burst)
        self.per_second, self.burst = per_second, burst
