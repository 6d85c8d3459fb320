"""The former versions of a gateway's point table: who set each, what it changed, and the way back."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import may
from ui.components.pieces import doubt, problem
from ui.components.points.state import Points, in_points
from ui.console import Console
from ui.islands.cells import when
from ui.islands.points_text import points_text
from ui.point_words import ChangeLine, VersionLine, change_lines


class PointVersions(Console):
    """The versions of the table of the address's device, and the one that is looked at."""

    uid: str = ""
    is_open: bool = False
    lines: list[VersionLine] = []
    chosen: int = 0  # the version that is looked at, 0 for none
    title: str = ""
    text: str = ""
    changes: list[ChangeLine] = []
    more: int = 0  # differences that are not listed
    is_leading_back: bool = False
    trouble: str = ""

    @rx.event
    async def open(self, is_open: bool) -> None:
        """Show or hide the versions of this device's table."""
        self.uid, self.is_open = self.segment(), is_open
        self._forget()
        if is_open:
            await self._list()

    def _forget(self) -> None:
        self.chosen, self.is_leading_back, self.trouble = 0, False, ""

    async def _list(self) -> None:
        try:
            found = (await self.ask("point_table_versions", deviceId=self.uid))["pointTableVersions"]
        except Refused as refusal:
            self.trouble = refusal.words
            return
        self.lines = [
            VersionLine(each["version"], in_points(each["points"]), each["changedBy"] or "", each["changedAt"])
            for each in found
        ]

    @rx.event
    async def look(self, version: int) -> None:
        """What a version changed."""
        await self._compare(version, None)

    @rx.event
    async def lead_back(self, version: int) -> None:
        """What going back to a version would change; asks whether it shall be."""
        await self._compare(version, self.lines[0].version)
        self.is_leading_back = self.chosen > 0

    async def _compare(self, version: int, against: int | None) -> None:
        self._forget()
        try:
            asked = await self.ask("point_table_version", deviceId=self.uid, version=version, against=against)
        except Refused as refusal:
            self.trouble = refusal.words
            return
        found: dict[str, Any] = asked["pointTableVersion"]
        self.chosen, self.text, self.changes = version, found["text"], change_lines(found["changes"])
        self.more = found["changed"] - len(self.changes)
        if against is not None:
            self.title = f"What going back to version {version} changes"
        elif found["against"] is None:
            self.title = f"Version {version}: what was before is not kept"
        else:
            self.title = f"What version {version} changed"

    @rx.event
    def stay(self) -> None:
        """Do not go back after all."""
        self._forget()

    @rx.event
    async def go_back(self) -> Any:
        """Let the edge run the chosen version again."""
        try:
            await self.ask("point_table_revert", deviceId=self.uid, to=self.chosen, version=self.lines[0].version)
        except Refused as refusal:
            self.trouble, self.is_leading_back = refusal.words, False
            return None
        self._forget()
        await self._list()
        return Points.sent


def _line(each: rx.Var[VersionLine]) -> rx.Component:
    is_newest = each.version == PointVersions.lines[0].version
    number = each.version.to_string()
    back = rx.el.button(
        "Go back to it…",
        type="button",
        class_name="btn btn-small",
        on_click=PointVersions.lead_back(each.version),
        custom_attrs={"aria-label": "Go back to version " + number},
    )
    return rx.el.li(
        rx.el.span(
            rx.el.b("Version ", number),
            rx.cond(is_newest, " (the newest)", ""),
            rx.el.span(each.points, " · ", each.who, " · ", when(at=each.at), class_name="sub"),
        ),
        rx.el.span(
            rx.el.button(
                "What changed",
                type="button",
                class_name="btn btn-small",
                on_click=PointVersions.look(each.version),
                custom_attrs={"aria-label": "What version " + number + " changed"},
            ),
            rx.cond(~is_newest & may("devices:write") & may("commands:write") & ~Points.is_local, back),
            class_name="row push",
        ),
        class_name="row points-version",
        key=number,
    )


def _changes() -> rx.Component:
    change = rx.foreach(
        PointVersions.changes,
        lambda each: rx.el.li(
            rx.el.span(each.kind, class_name=each.tone), rx.el.b(each.name), rx.el.span(each.words), class_name="row"
        ),
    )
    return rx.el.section(
        rx.el.h3(PointVersions.title),
        rx.cond(
            PointVersions.changes.length() > 0,
            rx.el.ul(change, class_name="points-changes small", tab_index=0, aria_label="What is different"),
            rx.el.p("Nothing but comments and order.", class_name="small muted"),
        ),
        rx.cond(
            PointVersions.more > 0,
            rx.el.p("And ", PointVersions.more.to_string(), " more.", class_name="small muted"),
        ),
        rx.el.details(
            rx.el.summary("The whole text of version ", PointVersions.chosen.to_string(), class_name="small"),
            points_text(
                text=PointVersions.text,
                number=PointVersions.chosen,
                problems=rx.Var.create([]),
                is_read_only=True,
                label="Text of the version",
            ),
            class_name="fold",
        ),
        rx.cond(
            PointVersions.is_leading_back,
            doubt(
                "Send this version to the edge?",
                "The edge gets it as a new version, and reads and writes by it.",
                yes=("Send it", PointVersions.go_back),
                no=("Not yet", PointVersions.stay),
            ),
        ),
        class_name="stack-tight",
        aria_label=PointVersions.title,
    )


def open_versions() -> rx.Component:
    """The button that shows them."""
    return rx.el.button(
        rx.icon("history", size=15), "Versions…", type="button", class_name="btn", on_click=PointVersions.open(True)
    )


def versions() -> rx.Component:
    """The part of the card; for a table that is set here."""
    is_newest = (PointVersions.lines.length() == 0) | (PointVersions.lines[0].version == Points.version)
    is_here = PointVersions.is_open & (PointVersions.uid == Points.uid) & is_newest
    listed = rx.el.section(
        rx.el.div(
            rx.el.h3("Versions"),
            rx.el.button("Close", type="button", class_name="btn btn-small", on_click=PointVersions.open(False)),
            class_name="row",
        ),
        rx.el.ul(rx.foreach(PointVersions.lines, _line), class_name="points-versions"),
        problem(PointVersions.trouble),
        rx.cond(PointVersions.chosen > 0, _changes()),
        class_name="stack-tight",
        aria_label="Versions of the table",
    )
    return rx.cond((Points.version > 0) & ~Points.is_open & is_here, listed)
