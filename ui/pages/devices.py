"""All devices: search, filter, page by page, with their newest values live."""

import re
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.devices import device_table, no_devices
from ui.components.frame import heading, link, may, page
from ui.components.pieces import empty, pager, problem, search_box, skeleton_rows
from ui.console import NEW_DEVICES, Console
from ui.paging import PAGE_SIZE, Paged
from ui.words import STATUS_WORDS, DeviceLine, device_line

# More choices beside the phases of a device's life: whether it is connected now, and whether its readings are missing.
FOUND_BY: dict[str, dict[str, bool]] = {
    "ONLINE": {"isOnline": True},
    "OFFLINE": {"isOnline": False},
    "SILENT": {"isSilent": True},
}


@dataclass(frozen=True)
class GroupName:
    """A group to choose."""

    id: str
    name: str


def labels_asked(text: str) -> list[str]:
    """Labels as people write them, "site: Hamburg, floor", as the contract asks for them."""
    parts = [re.split(r"\s*[:=]\s*", part.strip(), maxsplit=1) for part in text.split(",")]
    return ["=".join(part) for part in parts if part[0]]


class Devices(Paged, Console):
    """One page of the list, and how it was found."""

    search: str = ""
    status: str = ""
    group_id: str = ""
    label: str = ""  # as it was typed: "site: Hamburg, floor"
    only_label: str = ""  # the one that a link asked for: "site=Hamburg"
    groups: list[GroupName] = []
    devices: list[DeviceLine] = []

    @rx.event
    async def load(self) -> Any:
        """Come to the page: everything, or what /devices?show=offline, ?group={id} or ?label={name=value} asks."""
        if (away := await self.enter("devices:read")) is not None:
            return away
        asked = self.router.url.query_parameters
        show = asked.get("show", "").upper()
        self.search, self.status = "", show if show in FOUND_BY else ""
        self.label, self.only_label = "", asked.get("label", "")
        await self._name_groups()
        self.group_id = next((each.id for each in self.groups if each.id == asked.get("group", "")), "")
        return await self.first_page()

    async def _name_groups(self) -> None:
        try:
            found = (await self.ask("group_names"))["deviceGroups"]["items"]
        except Refused:
            return  # the list itself will say what is wrong
        self.groups = [GroupName(each["id"], each["name"]) for each in found]

    @rx.event
    async def set_group(self, group_id: str) -> None:
        """Show only devices of one group; '' shows all."""
        self.group_id = group_id
        await self.first_page()

    @rx.event
    async def set_label(self, text: str) -> None:
        """Show only devices with these labels; '' shows all."""
        self.label = text.strip()
        await self.first_page()

    @rx.event
    async def forget_label(self) -> None:
        """Back from the devices with the label that a link asked for to all."""
        self.only_label = ""
        await self.first_page()

    @rx.var
    def only_label_words(self) -> str:
        """That label as people write it."""
        written = re.match(r"(?:\\[\\=]|[^=])*", self.only_label, re.DOTALL)
        name = written[0] if written else ""  # in which an equals sign is written \=
        return re.sub(r"\\([\\=])", r"\1", name) + self.only_label[len(name) :].replace("=", ": ", 1)

    @rx.event
    async def set_search(self, text: str) -> None:
        """Look for devices by name or key."""
        self.search = text.strip()
        await self.first_page()

    @rx.event
    async def set_status(self, status: str) -> None:
        """Show only devices in one phase of their life, or connected, or not; '' shows all."""
        self.status = status
        await self.first_page()

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        try:
            data = await self.ask(
                "devices",
                search=self.search or None,
                status=None if self.status in FOUND_BY else self.status or None,
                **FOUND_BY.get(self.status, {}),
                groupId=self.group_id or None,
                labels=labels_asked(self.label) + [self.only_label] * bool(self.only_label) or None,
                first=PAGE_SIZE,
                after=after,
            )
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.devices = [device_line(each) for each in data["devices"]["items"]]
        info: dict[str, Any] = data["devices"]["pageInfo"]
        return info


def _toolbar() -> rx.Component:
    return rx.el.div(
        search_box("Search devices by name or key", Devices.set_search),
        rx.el.input(
            type="search",
            placeholder="Label, as site: Basel",
            default_value="",
            max_length=200,
            class_name="input",
            on_change=Devices.set_label.debounce(250),
            custom_attrs={"aria-label": "Show devices with this label, as site: Basel"},
            style={"width": "215px"},
        ),
        rx.el.select(
            rx.el.option("All devices", value=""),
            rx.el.option("Online now", value="ONLINE"),
            rx.el.option("Offline now", value="OFFLINE"),
            rx.el.option("Silent: readings missing", value="SILENT"),
            *(rx.el.option(words, value=status) for status, words in STATUS_WORDS.items()),
            value=Devices.status,
            on_change=Devices.set_status,
            class_name="select",
            custom_attrs={"aria-label": "Show devices that are"},
        ),
        rx.cond(
            Devices.groups.length() > 0,
            rx.el.select(
                rx.el.option("All groups", value=""),
                rx.foreach(Devices.groups, lambda each: rx.el.option(each.name, value=each.id)),
                value=Devices.group_id,
                on_change=Devices.set_group,
                class_name="select",
                custom_attrs={"aria-label": "Show devices of this group"},
            ),
        ),
        rx.cond(
            Devices.only_label != "",
            rx.el.button(
                "Only with the label " + Devices.only_label_words + ": show all",
                type="button",
                class_name="btn",
                on_click=Devices.forget_label,
            ),
        ),
        class_name="toolbar",
    )


def _list() -> rx.Component:
    elsewhere = (Devices.search != "") | (Devices.group_id != "") | (Devices.label != "") | (Devices.only_label != "")
    nothing_found = rx.cond(
        (Devices.status == "SILENT") & ~elsewhere,
        empty("circle-check", "Nobody is silent", "All readings come as often as the devices' profiles expect."),
        empty("search-x", "No device fits", "Try another word, or show all devices."),
    )
    first = empty(
        "cpu",
        "No devices yet",
        "Add your first device. You get its token and a line to paste, and its values appear here.",
        link(rx.icon("plus", size=16), "Add a device", to="/devices/add", class_name="btn btn-primary"),
    )
    none_yet = rx.cond(may(NEW_DEVICES), first, no_devices())
    return rx.cond(
        Devices.ready,
        rx.cond(
            Devices.devices.length() > 0,
            rx.fragment(
                device_table(Devices.devices),
                pager(Devices.number, Devices.has_next, Devices.previous_page, Devices.next_page),
            ),
            rx.cond(elsewhere | (Devices.status != ""), nothing_found, none_yet),
        ),
        skeleton_rows(8),
    )


def devices() -> rx.Component:
    """The page."""
    return page(
        "Devices",
        heading(
            "Devices",
            "Everything that sends you values, and what it sent last.",
            rx.cond(
                may("devices:write"),
                link(rx.icon("arrow-left-right", size=16), "Transfers", to="/devices/transfers", class_name="btn"),
            ),
            rx.cond(
                may(NEW_DEVICES),
                rx.fragment(
                    link(rx.icon("upload", size=16), "Import…", to="/devices/import", class_name="btn"),
                    link(rx.icon("plus", size=16), "Add a device", to="/devices/add", class_name="btn btn-primary"),
                ),
            ),
            about="presence",
        ),
        problem(Devices.problem, Devices.load),
        _toolbar(),
        rx.el.section(_list(), class_name="card", aria_label="Devices"),
        needs="devices:read",
    )
