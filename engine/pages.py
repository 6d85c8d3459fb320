"""Pages of a list, by keyset: a cursor says after which row to go on, so that paging costs the same everywhere."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from engine.errors import Invalid

T = TypeVar("T")
U = TypeVar("U")

MAX_FIRST = 200


class BadCursor(Invalid):
    """That cursor was not made by this list; leave it out to start from the beginning."""

    code = "BAD_CURSOR"


class BadPageSize(Invalid):
    """A page holds between 1 and 200 items."""

    code = "BAD_PAGE_SIZE"


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some items of a list and where to go on; ``end_cursor`` is None on an empty page."""

    items: tuple[T, ...]
    has_next_page: bool
    end_cursor: str | None

    def map(self, make: Callable[[T], U]) -> "Page[U]":
        """The same page of other things."""
        return Page(tuple(make(item) for item in self.items), self.has_next_page, self.end_cursor)


def page_size(first: int) -> int:
    """``first`` if it is a sensible number of items; raises BadPageSize."""
    if not 1 <= first <= MAX_FIRST:
        raise BadPageSize
    return first


def cut(rows: Sequence[T], first: int, key: Callable[[T], str]) -> Page[T]:
    """The page of at most ``first`` from ``rows``, of which one more than that was asked for."""
    items = tuple(rows[:first])
    return Page(items, len(rows) > first, encode(key(items[-1])) if items else None)


def encode(key: str) -> str:
    """An opaque cursor for the last row's sort key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """The sort key inside ``cursor``; raises BadCursor."""
    try:
        key = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise BadCursor from error
    if not key or "\0" in key or encode(key) != cursor:
        raise BadCursor
    return key


def decode_id(cursor: str) -> UUID:
    """The id inside ``cursor``; raises BadCursor."""
    try:
        return UUID(decode(cursor))
    except ValueError as error:
        raise BadCursor from error


def moment(at: datetime, id: UUID) -> str:
    """The sort key of a list by time; the id tells apart what happened at once."""
    return f"{at.isoformat()}|{id}"


def decode_moment(cursor: str) -> tuple[datetime, UUID]:
    """The time and the id inside ``cursor``, made with ``moment``; raises BadCursor."""
    at, _, id = decode(cursor).partition("|")
    try:
        return datetime.fromisoformat(at), UUID(id)
    except ValueError as error:
        raise BadCursor from error
