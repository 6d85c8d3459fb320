"""The inbox: messages that could not be accepted, why, and what to do about each."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, page
from ui.components.pieces import empty, pager, problem, skeleton_rows
from ui.console import Console
from ui.islands.cells import copy, when
from ui.islands.pulse import turned_away
from ui.names import GONE, UUID, with_names
from ui.paging import PAGE_SIZE, Paged
from ui.rejected import ABOUT_THE_PROFILE, readable, reason_words

KEPT_BYTES = 8 * 1024


@dataclass(frozen=True)
class RejectedLine:
    """A message that was not accepted."""

    id: str
    device_id: str
    device: str
    received_at: str
    code: str
    title: str
    reason: str
    is_about_profile: bool
    way: str
    payload: str
    form: str


@dataclass(frozen=True)
class DeviceChoice:
    """A device to look at alone."""

    id: str
    name: str


def rejected_line(rejected: dict[str, Any], device: str) -> RejectedLine:
    """A rejected message of the contract as the page shows it."""
    text, form = readable(rejected["payload"])
    size = rejected["sizeBytes"]
    cut = f", the first {KEPT_BYTES:,}" if size > KEPT_BYTES else ""
    return RejectedLine(
        rejected["id"],
        rejected["deviceId"],
        device,
        rejected["receivedAt"],
        rejected["code"],
        reason_words(rejected["code"]),
        rejected["reason"],
        rejected["code"] in ABOUT_THE_PROFILE,
        f"{rejected['transport'].upper()} to {rejected['topic']}",
        text,
        f"{size:,} bytes{cut}, shown as {form}",
    )


class Inbox(Paged, Console):
    """One page of the inbox, of all devices or of one."""

    device_id: str = ""
    devices: list[DeviceChoice] = []
    messages: list[RejectedLine] = []

    _names: dict[str, str] = {}

    @rx.event
    async def load(self) -> Any:
        """Come to the page: /inbox, or /inbox?device={id} from a device's own page."""
        if (away := await self.enter("inbox:read")) is not None:
            return away
        self.device_id = self.router.url.query_parameters.get("device", "")
        try:
            found = (await self.ask("device_names"))["devices"]["items"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self._names = {each["id"]: each["name"] or each["key"] for each in found}
        self._names = await with_names(self, self._names, [self.device_id] if self.device_id else [])
        if self._names.get(self.device_id) == GONE and not UUID.fullmatch(self.device_id):
            self._names.pop(self.device_id)
            self.device_id = ""  # the address names no device at all: then all
        self._offer()
        return await self.first_page()

    @rx.event
    async def set_device(self, device_id: str) -> None:
        """Only this device's messages; '' shows all."""
        self.device_id = device_id
        await self.first_page()

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        try:
            found = (await self.ask("inbox", deviceId=self.device_id or None, first=PAGE_SIZE, after=after))["inbox"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self._names = await with_names(self, self._names, [each["deviceId"] for each in found["items"]])
        self.messages = [rejected_line(each, self._names[each["deviceId"]]) for each in found["items"]]
        info: dict[str, Any] = found["pageInfo"]
        return info

    def _offer(self) -> None:
        choices = [DeviceChoice(device_id, name) for device_id, name in self._names.items()]
        self.devices = sorted(choices, key=lambda each: each.name.lower())


def _message(message: rx.Var[RejectedLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            link(message.device, to="/devices/" + message.device_id, class_name="strong"),
            rx.el.span(message.code, class_name="badge badge-warn"),
            rx.el.span(when(at=message.received_at, both=True), class_name="small push"),
            class_name="row",
        ),
        rx.el.p(message.title, class_name="reason"),
        rx.el.p(message.reason, class_name="small"),
        rx.cond(
            message.is_about_profile,
            rx.el.p(
                "If the device is right and its profile is not, ",
                link("change the profile", to="/profiles"),
                ".",
                class_name="small muted",
            ),
        ),
        rx.el.details(
            rx.el.summary("What it sent", class_name="small"),
            rx.el.pre(message.payload, class_name="code", tab_index=0, aria_label="What it sent"),
            rx.el.div(
                rx.el.span(message.way, " · ", message.form, class_name="small muted wrap"),
                copy(text=message.payload, label="Copy"),
                class_name="code-foot",
            ),
            class_name="fold",
        ),
        class_name="alert-line alert-warn stack-tight",
        key=message.id,
    )


def _toolbar() -> rx.Component:
    return rx.el.div(
        rx.el.select(
            rx.el.option("All devices", value=""),
            rx.foreach(Inbox.devices, lambda each: rx.el.option(each.name, value=each.id)),
            value=Inbox.device_id,
            on_change=Inbox.set_device,
            class_name="select",
            custom_attrs={"aria-label": "Messages of which device"},
        ),
        rx.el.button(
            rx.icon("refresh-cw", size=15), "Look again", type="button", class_name="btn", on_click=Inbox.first_page
        ),
        class_name="toolbar",
    )


def _list() -> rx.Component:
    all_well = rx.cond(
        Inbox.device_id != "",
        empty(
            "circle-check",
            "Nothing of this device",
            "All that it sent was accepted. Choose “All devices” to see the others.",
        ),
        empty(
            "circle-check",
            "The inbox is empty",
            "Every message was accepted. One that does not fit its profile, or cannot be read, will lie here.",
        ),
    )
    return rx.cond(
        Inbox.ready,
        rx.cond(
            Inbox.messages.length() > 0,
            rx.fragment(
                rx.el.ul(rx.foreach(Inbox.messages, _message), class_name="list"),
                pager(Inbox.number, Inbox.has_next, Inbox.previous_page, Inbox.next_page),
            ),
            all_well,
        ),
        skeleton_rows(),
    )


def inbox() -> rx.Component:
    """The page."""
    return page(
        "Inbox",
        heading(
            "Inbox", "Messages that could not be accepted. Nothing is lost silently: each lies here with its reason."
        ),
        problem(Inbox.problem, Inbox.load),
        _toolbar(),
        rx.cond(Inbox.ready, turned_away(Inbox.device_id)),
        rx.el.section(_list(), class_name="card", aria_label="Messages that were not accepted"),
        needs="inbox:read",
    )
