"""Groups: devices that belong together, put in by hand or found by a filter."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import ALL_DEVICES, heading, link, may, page
from ui.components.pieces import empty, pager, problem, skeleton_rows
from ui.console import Console
from ui.filters import in_words
from ui.paging import PAGE_SIZE, Paged


@dataclass(frozen=True)
class GroupLine:
    """A group as one line of the list."""

    id: str
    key: str
    name: str
    is_filtered: bool
    how: str
    devices: str


def counted(count: int) -> str:
    """`1 device`, `12 devices`."""
    return "1 device" if count == 1 else f"{count:,} devices"


def group_line(group: dict[str, Any], profiles: dict[str, str]) -> GroupLine:
    """A group of the contract as the page shows it."""
    filter_ = group["filter"]
    how = in_words(filter_, profiles) if filter_ else "put in by hand"
    return GroupLine(group["id"], group["key"], group["name"], filter_ is not None, how, counted(group["deviceCount"]))


class Groups(Paged, Console):
    """One page of the groups."""

    groups: list[GroupLine] = []

    _profiles: dict[str, str] = {}

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        if (away := await self.enter("devices:read")) is not None:
            return away
        return await self.first_page()

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        try:
            if not self._profiles:
                found = (await self.ask("profiles", first=100))["profiles"]["items"]
                self._profiles = {each["key"]: each["name"] for each in found}
            data = (await self.ask("device_groups", first=PAGE_SIZE, after=after))["deviceGroups"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.groups = [group_line(each, self._profiles) for each in data["items"]]
        info: dict[str, Any] = data["pageInfo"]
        return info


def _line(group: rx.Var[GroupLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.div(
                link(group.name, to="/groups/" + group.id, class_name="row-link"),
                rx.el.span(group.devices, class_name="badge"),
                class_name="row",
            ),
            rx.el.p(
                rx.cond(group.is_filtered, rx.icon("list-filter", size=14), rx.icon("hand", size=14)),
                rx.el.span(group.how, class_name="cap"),
                class_name="small muted with-icon",
            ),
            class_name="rule-words",
        ),
        class_name="rule-line",
        key=group.id,
    )


def _new() -> rx.Component:
    return rx.cond(
        may("devices:write") & may(ALL_DEVICES),
        link(rx.icon("plus", size=16), "New group", to="/groups/new", class_name="btn btn-primary"),
    )


def groups() -> rx.Component:
    """The page."""
    none_yet = empty(
        "boxes",
        "No groups yet",
        "Put devices together that belong together, for example all of one site. A filter finds them by itself.",
        _new(),
    )
    return page(
        "Groups",
        heading(
            "Groups", "Devices that belong together: of one site, of one kind, of one customer.", _new(), about="group"
        ),
        problem(Groups.problem, Groups.load),
        rx.el.section(
            rx.cond(
                Groups.ready,
                rx.cond(
                    Groups.groups.length() > 0,
                    rx.fragment(
                        rx.el.ul(rx.foreach(Groups.groups, _line), class_name="list"),
                        pager(Groups.number, Groups.has_next, Groups.previous_page, Groups.next_page),
                    ),
                    none_yet,
                ),
                skeleton_rows(),
            ),
            class_name="card",
            aria_label="Groups",
        ),
        needs="devices:read",
    )
