"""Revocation lists that were signed lately: one to which nothing came is given again until ten minutes have passed."""

from collections import OrderedDict
from collections.abc import Hashable
from datetime import UTC, datetime, timedelta

from engine.certificates.model import RevocationList

FRESH_FOR = timedelta(minutes=10)
"""How old a list may be that is given again: whoever keeps one is to fetch the next within days."""
MOST_BYTES = 32 * 1024 * 1024


def period(now: datetime) -> datetime:
    """When the ten minutes that ``now`` lies in began. What expires in them is still listed to their end, so that in
    every process a list only grows meanwhile.
    """
    return datetime.fromtimestamp(now.timestamp() // FRESH_FOR.total_seconds() * FRESH_FOR.total_seconds(), UTC)


class KeptLists:
    """By whatever says what is on them. The one that was not asked for the longest is forgotten first."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._size_bytes = 0
        self._lists: OrderedDict[Hashable, RevocationList] = OrderedDict()

    def get(self, key: Hashable, now: datetime) -> RevocationList | None:
        """The list under ``key``, if it is one of these ten minutes."""
        found = self._lists.get(key)
        if found is None:
            return None
        if found.issued_at < period(now):
            self._forget(key)
            return None
        self._lists.move_to_end(key)
        return found

    def put(self, key: Hashable, made: RevocationList) -> None:
        """Keep a list; one too long for all the room is not kept."""
        self._forget(key)
        if len(made.pem) > self._most_bytes:
            return
        self._lists[key] = made
        self._size_bytes += len(made.pem)
        while self._size_bytes > self._most_bytes:
            self._forget(next(iter(self._lists)))

    def _forget(self, key: Hashable) -> None:
        gone = self._lists.pop(key, None)
        self._size_bytes -= len(gone.pem) if gone is not None else 0
