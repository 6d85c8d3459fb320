"""In which groups a device is, asked when somebody wants to know."""

import asyncio
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import link
from ui.console import Console

AT_ONCE = 8


@dataclass(frozen=True)
class GroupOf:
    """A group that holds the device."""

    id: str
    name: str


class Memberships(Console):
    """The groups of the device whose page it is."""

    uid: str = ""
    is_asked: bool = False
    is_busy: bool = False
    groups: list[GroupOf] = []
    problem: str = ""

    @rx.event
    def load(self) -> None:
        """Come to the device's page."""
        self.uid, self.is_asked, self.is_busy, self.groups, self.problem = self.segment(), False, False, [], ""

    @rx.event
    async def look(self, key: str) -> Any:
        """Ask each group whether it holds the device."""
        self.is_busy, self.problem = True, ""
        yield
        few = asyncio.Semaphore(AT_ONCE)

        async def holds(group_id: str) -> bool:
            async with few:
                found = await self.ask("device_in_group", groupId=group_id, key=key)
            return any(each["id"] == self.uid for each in found["devices"]["items"])

        try:
            groups = (await self.ask("group_names"))["deviceGroups"]["items"]
            answers = await asyncio.gather(*(holds(each["id"]) for each in groups))
        except Refused as refusal:
            self.problem, self.is_busy = refusal.words, False
            return
        self.groups = [GroupOf(each["id"], each["name"]) for each, is_in in zip(groups, answers, strict=True) if is_in]
        self.is_asked, self.is_busy = True, False


def memberships(key: rx.Var[str]) -> rx.Component:
    """The groups, or the button that asks for them."""
    found = rx.cond(
        Memberships.groups.length() > 0,
        rx.el.span(
            rx.foreach(
                Memberships.groups,
                lambda each: link(each.name, to="/groups/" + each.id, class_name="badge badge-accent"),
            ),
            class_name="row",
        ),
        rx.el.span("in none", class_name="muted"),
    )
    ask = rx.el.button(
        rx.cond(Memberships.is_busy, "Looking…", "Look"),
        type="button",
        class_name="btn btn-small",
        disabled=Memberships.is_busy,
        on_click=Memberships.look(key),
        custom_attrs={"aria-label": "Look in which groups it is"},
    )
    shown = rx.cond(Memberships.is_asked, found, ask)
    return rx.cond(Memberships.problem != "", rx.el.span(Memberships.problem, role="alert"), shown)
