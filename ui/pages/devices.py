"""All devices: search, filter, page by page, with their newest values live."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.devices import device_table
from ui.components.frame import heading, link, page
from ui.components.pieces import empty, problem, skeleton_rows
from ui.console import Console
from ui.words import STATUS_WORDS, DeviceLine, device_line

PAGE_SIZE = 25


class Devices(Console):
    """One page of the list, and how it was found."""

    ready: bool = False
    problem: str = ""
    search: str = ""
    status: str = ""
    devices: list[DeviceLine] = []
    has_next: bool = False
    number: int = 1

    _end: str | None = None  # the cursor behind this page
    _starts: list[str] = []  # the cursors of the pages before this one, the first page's left out

    @rx.event
    async def load(self) -> Any:
        """Come to the page: everything, from the beginning."""
        if (away := await self.enter()) is not None:
            return away
        self.search, self.status = "", ""
        return await self.first_page()

    @rx.event
    async def set_search(self, text: str) -> None:
        """Look for devices by name or key."""
        self.search = text.strip()
        await self.first_page()

    @rx.event
    async def set_status(self, status: str) -> None:
        """Show only devices in one phase of their life; '' shows all."""
        self.status = status
        await self.first_page()

    @rx.event
    async def first_page(self) -> None:
        """Back to the beginning of the list."""
        self._starts = []
        await self._show(None)

    @rx.event
    async def next_page(self) -> None:
        """Further down the list."""
        if self._end is not None and await self._show(self._end, keep=[*self._starts, self._end]):
            self.number = len(self._starts) + 1

    @rx.event
    async def previous_page(self) -> None:
        """Back up the list."""
        starts = self._starts[:-1]
        if await self._show(starts[-1] if starts else None, keep=starts):
            self.number = len(self._starts) + 1

    async def _show(self, after: str | None, keep: list[str] | None = None) -> bool:
        try:
            data = await self.ask(
                "devices", search=self.search or None, status=self.status or None, first=PAGE_SIZE, after=after
            )
        except Refused as refusal:
            self.problem = refusal.words
            return False
        found = data["devices"]
        self.devices = [device_line(each) for each in found["items"]]
        self.has_next, self._end = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
        self._starts = keep or []
        self.number = len(self._starts) + 1
        self.problem, self.ready = "", True
        return True


def _toolbar() -> rx.Component:
    return rx.el.div(
        rx.el.div(
            rx.icon("search", size=16),
            rx.el.input(
                type="search",
                placeholder="Search by name or key",
                default_value="",
                class_name="input",
                on_change=Devices.set_search.debounce(250),
                custom_attrs={"aria-label": "Search devices by name or key"},
            ),
            class_name="search",
        ),
        rx.el.select(
            rx.el.option("All devices", value=""),
            *(rx.el.option(words, value=status) for status, words in STATUS_WORDS.items()),
            value=Devices.status,
            on_change=Devices.set_status,
            class_name="select",
            custom_attrs={"aria-label": "Show devices that are"},
        ),
        class_name="toolbar",
    )


def _pager() -> rx.Component:
    return rx.cond(
        (Devices.number > 1) | Devices.has_next,
        rx.el.nav(
            rx.el.button(
                rx.icon("chevron-left", size=16),
                "Previous",
                type="button",
                class_name="btn btn-small",
                disabled=Devices.number == 1,
                on_click=Devices.previous_page,
            ),
            rx.el.span("Page ", Devices.number.to_string(), class_name="small muted", aria_live="polite"),
            rx.el.button(
                "Next",
                rx.icon("chevron-right", size=16),
                type="button",
                class_name="btn btn-small",
                disabled=~Devices.has_next,
                on_click=Devices.next_page,
            ),
            class_name="pager",
            aria_label="Pages",
        ),
    )


def _list() -> rx.Component:
    nothing_found = empty("search-x", "No device fits", "Try another word, or show all devices.")
    none_yet = empty(
        "cpu",
        "No devices yet",
        "Add your first device. You get its token and a line to paste, and its values appear here.",
        link(rx.icon("plus", size=16), "Add a device", to="/devices/add", class_name="btn btn-primary"),
    )
    filtered = (Devices.search != "") | (Devices.status != "")
    return rx.cond(
        Devices.ready,
        rx.cond(
            Devices.devices.length() > 0,
            rx.fragment(device_table(Devices.devices), _pager()),
            rx.cond(filtered, nothing_found, none_yet),
        ),
        skeleton_rows(8),
    )


def devices() -> rx.Component:
    """The page."""
    return page(
        "Devices",
        heading(
            "Devices",
            "Everything that sends you telemetry.",
            link(rx.icon("plus", size=16), "Add a device", to="/devices/add", class_name="btn btn-primary"),
        ),
        problem(Devices.problem, Devices.load),
        _toolbar(),
        rx.el.section(_list(), class_name="card", aria_label="Devices"),
    )
