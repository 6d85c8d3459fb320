"""In which groups a device is at this moment."""

from dataclasses import dataclass

import reflex as rx

from ui.client import Refused
from ui.components.frame import link
from ui.console import Console


@dataclass(frozen=True)
class GroupOf:
    """A group that holds the device."""

    id: str
    name: str


class Memberships(Console):
    """The groups of the device whose page it is."""

    is_asked: bool = False
    groups: list[GroupOf] = []
    problem: str = ""

    @rx.event
    async def load(self) -> None:
        """Come to the device's page."""
        self.is_asked, self.groups, self.problem = False, [], ""
        try:
            found = await self.ask("device_memberships", id=self.segment())
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.groups = [GroupOf(each["id"], each["name"]) for each in found["device"]["groups"]]
        self.is_asked = True


def memberships() -> rx.Component:
    """The groups, each with the way to it."""
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
    shown = rx.cond(Memberships.is_asked, found, rx.el.span("…", class_name="muted"))
    return rx.cond(Memberships.problem != "", rx.el.span(Memberships.problem, role="alert"), shown)
