"""Adding many devices at once from a table, tried first."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import link, page
from ui.components.pieces import problem, skeleton_rows
from ui.console import NEW_DEVICES, Console
from ui.islands.importer import importer

COLUMNS = (
    ("key", "under which the device signs in: letters, digits, - and _. The only one that is needed"),
    ("name", "what people call it; the key if left out"),
    ("profile", "the key of its profile"),
    ("attributes", "site=Hamburg;floor=2"),
    ("tags", "single words: outdoor;spare"),
    ("label.site", "one attribute in a column of its own"),
    ("groups", "keys of groups that are filled by hand"),
)


@dataclass(frozen=True)
class Choice:
    """A profile to choose."""

    id: str
    key: str
    name: str


class ImportDevices(Console):
    """What the importer needs to know; the table itself stays in the browser."""

    ready: bool = False
    problem: str = ""
    profiles: list[Choice] = []

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        if (away := await self.enter(NEW_DEVICES)) is not None:
            return away
        try:
            found = (await self.ask("profiles", first=100))["profiles"]["items"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.profiles = [Choice(each["id"], each["key"], each["name"]) for each in found]
        self.problem, self.ready = "", True
        return None


def _columns() -> rx.Component:
    rows = (rx.fragment(rx.el.dt(rx.el.code(name)), rx.el.dd(words)) for name, words in COLUMNS)
    return rx.el.details(
        rx.el.summary("Which columns may it have?"),
        rx.el.p(
            "In any order, under a first line with their names; divided by commas or semicolons. Where the table has "
            "tags or attributes, a device gets just those that its line names.",
            class_name="small muted",
            style={"marginBottom": "10px", "maxWidth": "68ch"},
        ),
        rx.el.dl(*rows, class_name="kv"),
        class_name="fold",
    )


def import_devices() -> rx.Component:
    """The page."""
    return page(
        "Devices",
        rx.el.div(
            rx.el.div(
                link(rx.icon("arrow-left", size=15), "Devices", to="/devices", class_name="crumb"),
                rx.el.h1("Import devices"),
                rx.el.p("From a table, for example out of a spreadsheet. First see what would happen."),
            ),
            class_name="head",
        ),
        problem(ImportDevices.problem, ImportDevices.load),
        rx.cond(
            ImportDevices.ready,
            rx.fragment(_columns(), importer(ImportDevices.profiles)),
            rx.cond(ImportDevices.problem == "", rx.el.div(skeleton_rows(), class_name="card")),
        ),
        needs=NEW_DEVICES,
    )
