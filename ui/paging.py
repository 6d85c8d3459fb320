"""A list shown page by page: forwards by the contract's cursors, and back the way one came."""

from typing import Any

import reflex as rx

PAGE_SIZE = 25


class Paged(rx.State, mixin=True):
    """The pages of one list; the state that uses it says how to fetch a page in `_fetch`."""

    ready: bool = False
    problem: str = ""
    has_next: bool = False
    number: int = 1

    _end: str | None = None  # the cursor behind this page
    _starts: list[str] = []  # the cursors of the pages before this one, the first page's left out

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        """Show the page behind this cursor and give its pageInfo; None when it could not be fetched."""
        raise NotImplementedError

    @rx.event
    async def first_page(self) -> None:
        """Back to the beginning of the list."""
        await self._turn([])

    @rx.event
    async def next_page(self) -> None:
        """Further down the list."""
        if self._end is not None:
            await self._turn([*self._starts, self._end])

    @rx.event
    async def previous_page(self) -> None:
        """Back up the list."""
        await self._turn(self._starts[:-1])

    async def _turn(self, starts: list[str]) -> None:
        info = await self._fetch(starts[-1] if starts else None)
        if info is None:
            return  # the page shown stays, beside what went wrong
        self.has_next, self._end = info["hasNextPage"], info["endCursor"]
        self._starts, self.number = starts, len(starts) + 1
        self.problem, self.ready = "", True
