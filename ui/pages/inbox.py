"""The inbox: messages that could not be accepted, by what is wrong with them, and what to do about it."""

import asyncio
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, may, page
from ui.components.pieces import doubt, empty, line_head, note, pager, problem, skeleton_rows
from ui.console import Console
from ui.inbox_lines import DeviceChoice, GroupLine, RejectedLine, group_line, outcome, rejected_line
from ui.islands.cells import copy, when
from ui.islands.pulse import turned_away
from ui.names import GONE, UUID, with_names
from ui.paging import PAGE_SIZE, Paged

LOOKS = 30
"""So many times it is looked whether what was replayed has been decided."""
LOOKS_EVERY_S = 1.0
SAID = "said"
"""Where what was said stands when its button is gone."""
WRITES = "telemetry:write"
"""The right to have messages replayed, and to throw them away."""


class Inbox(Paged, Console):
    """One page of what went wrong, of all devices or of one; or the messages of one group."""

    device_id: str = ""
    group_id: str = ""
    devices: list[DeviceChoice] = []
    groups: list[GroupLine] = []
    messages: list[RejectedLine] = []
    doubted: str = ""  # the group or message that is about to be thrown away
    replaying: str = ""  # the one whose replay is being followed
    said: str = ""
    said_of: str = ""  # the group or message that it is about; '' when that is gone from the page
    went_well: bool = True

    _names: dict[str, str] = {}
    _profiles: dict[str, str] = {}
    _before: dict[str, Any] = {}
    _looks: int = 0

    @rx.event
    async def load(self) -> Any:
        """Come to the page: /inbox, or /inbox?device={id} from a device's own page, or /inbox?group={id}."""
        if (away := await self.enter("inbox:read")) is not None:
            return away
        self.device_id = self.router.url.query_parameters.get("device", "")
        self.group_id = self.router.url.query_parameters.get("group", "")
        if not UUID.fullmatch(self.group_id):
            self.group_id = ""
        self.said = self.doubted = self.replaying = ""
        try:
            found = (await self.ask("device_names"))["devices"]["items"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self._profiles = await self._profile_names()
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

    @rx.event
    async def replay(self, id_: str) -> Any:
        """Have a group or, among its messages, one of them decided again; then follow what becomes of it."""
        try:
            self._before = (await self.ask("inbox_group", id=self.group_id or id_))["inboxGroup"]
            await self.ask("inbox_message_replay" if self.group_id else "inbox_group_replay", id=id_)
        except Refused as refusal:
            self.said, self.said_of, self.went_well = refusal.words, id_, False
            return None
        self.replaying, self.said, self.said_of, self._looks = id_, "", id_, 0
        return Inbox.follow

    @rx.event
    async def replay_all(self) -> Any:
        """Have the whole group decided again whose messages are shown."""
        group_id, self.group_id = self.group_id, ""
        try:
            return await Inbox.replay.fn(self, group_id)
        finally:
            self.group_id = group_id

    @rx.event
    async def follow(self) -> Any:
        """Look every second how far it is. In between the page is free for other things."""
        await asyncio.sleep(LOOKS_EVERY_S)
        self._looks += 1
        try:
            now = (await self.ask("inbox_group", id=self._before["id"]))["inboxGroup"]
        except Refused as refusal:
            if refusal.code != "INBOX_GROUP_NOT_FOUND":
                self.replaying, self.said, self.went_well = "", refusal.words, False
                return None
            now = None  # nothing is left of it
        if now is not None and now["waiting"] and self._looks < LOOKS and self.replaying:
            return Inbox.follow
        self.replaying = ""
        self.said, self.went_well = outcome(self._before, now)
        if now is None:
            self.group_id = ""
        away = await self.first_page()
        return away if away is not None else self._place()

    @rx.event
    def hesitate(self, id_: str) -> None:
        """Ask first; '' leaves it."""
        self.doubted = id_

    @rx.event
    async def discard(self, id_: str) -> Any:
        """Throw a group, or one of its messages, away."""
        is_message, self.doubted = id_ != self.group_id and bool(self.group_id), ""
        try:
            gone = await self.ask("inbox_message_discard" if is_message else "inbox_group_discard", id=id_)
        except Refused as refusal:
            self.said, self.said_of, self.went_well = refusal.words, id_, False
            return None
        count = next(iter(gone.values()))["messages"]
        self.said, self.went_well = f"Thrown away: {count:,} message{'' if count == 1 else 's'}.", True
        if not is_message:
            self.group_id = ""
        self.said_of = ""
        away = await self.first_page()
        return away if away is not None else self._place()

    def _place(self) -> Any:
        """What was said stands where its button was, or at the top when that is gone: then one is led there."""
        if self.said_of in {each.id for each in self.groups} | {each.id for each in self.messages}:
            return None
        self.said_of = ""
        return rx.scroll_to(SAID)

    async def _fetch(self, after: str | None) -> dict[str, Any] | None:
        try:
            return await (self._fetch_messages(after) if self.group_id else self._fetch_groups(after))
        except Refused as refusal:
            if refusal.code == "INBOX_GROUP_NOT_FOUND":
                self.group_id = ""
                return await self._fetch(None)
            self.problem = refusal.words
            return None

    async def _fetch_groups(self, after: str | None) -> dict[str, Any]:
        asked = {"deviceId": self.device_id or None, "first": PAGE_SIZE, "after": after}
        found = (await self.ask("inbox_groups", **asked))["inboxGroups"]
        await self._show(found["items"])
        self.messages = []
        info: dict[str, Any] = found["pageInfo"]
        return info

    async def _fetch_messages(self, after: str | None) -> dict[str, Any]:
        asked = {"deviceId": self.device_id or None, "groupId": self.group_id, "first": PAGE_SIZE, "after": after}
        await self._show([(await self.ask("inbox_group", id=self.group_id))["inboxGroup"]])
        found = (await self.ask("inbox", **asked))["inbox"]
        self._names = await with_names(self, self._names, [each["deviceId"] for each in found["items"]])
        self.messages = [rejected_line(each, self._names[each["deviceId"]]) for each in found["items"]]
        info: dict[str, Any] = found["pageInfo"]
        return info

    async def _show(self, groups: list[dict[str, Any]]) -> None:
        self._names = await with_names(self, self._names, [d for each in groups for d in each["deviceIds"]])
        self.groups = [group_line(each, self._names, self._profiles) for each in groups]

    async def _profile_names(self) -> dict[str, str]:
        """By id; none for who may not see them."""
        if "devices:read" not in self.scopes:
            return {}
        try:
            found = (await self.ask("profiles", first=200, after=None))["profiles"]["items"]
        except Refused:
            return {}
        return {each["id"]: each["name"] or each["key"] for each in found}

    def _offer(self) -> None:
        choices = [DeviceChoice(device_id, name) for device_id, name in self._names.items()]
        self.devices = sorted(choices, key=lambda each: each.name.lower())


def _sent(message: rx.Var[RejectedLine]) -> rx.Component:
    """What a message carried, folded."""
    return rx.el.details(
        rx.el.summary("What it sent", class_name="small"),
        rx.el.pre(message.payload, class_name="code", tab_index=0, aria_label="What it sent"),
        rx.el.div(
            rx.el.span(message.way, " · ", message.form, class_name="small muted wrap"),
            copy(text=message.payload, label="Copy"),
            class_name="code-foot",
        ),
        class_name="fold",
    )


def _left_out(message: rx.Var[RejectedLine]) -> rx.Component:
    """What of a reading was not stored, where the rest of it was."""
    return rx.cond(message.left_out != "", rx.el.p(message.left_out, class_name="small"))


def _acts(id_: rx.Var[str], again: rx.Component, question: str, words: Any) -> rx.Component:
    """Replay and discard, for who may; `again` is the button that replays."""
    asking = doubt(
        question,
        words,
        yes=("Throw away", Inbox.discard(id_)),
        no=("Keep", Inbox.hesitate("")),
    )
    offered = rx.el.div(
        again,
        rx.el.button("Throw away", type="button", class_name="btn", on_click=Inbox.hesitate(id_)),
        class_name="row",
    )
    told = rx.cond(Inbox.said_of == id_, _said())
    return rx.fragment(rx.cond(may(WRITES), rx.cond(Inbox.doubted == id_, asking, offered)), told)


def _said() -> rx.Component:
    """What became of what was asked for last."""
    return rx.cond(
        Inbox.said != "",
        rx.cond(
            Inbox.went_well,
            note("circle-check", Inbox.said, look="ok"),
            note("triangle-alert", Inbox.said),
        ),
    )


def _replay(words: Any, on_click: Any, id_: rx.Var[str], can: rx.Var[bool]) -> rx.Component:
    is_busy = Inbox.replaying == id_
    return rx.el.button(
        rx.icon("rotate-ccw", size=15),
        rx.cond(is_busy, "Replaying …", words),
        type="button",
        class_name="btn",
        disabled=(Inbox.replaying != "") | ~can,
        on_click=on_click,
    )


def _remedy(group: rx.Var[GroupLine]) -> rx.Component:
    """Where the profile may be what is wrong: how it is mended, and that what lies here is not lost."""
    return rx.cond(
        group.is_about_profile,
        rx.el.p(
            "If the devices are right and their profile is not, ",
            link(
                rx.cond(group.profile != "", "mend the profile " + group.profile, "mend the profile"),
                to="/profiles/" + group.profile_id,
            ),
            ", then replay what lies here.",
            class_name="small muted",
        ),
    )


def _group(group: rx.Var[GroupLine]) -> rx.Component:
    return rx.el.li(
        line_head(
            rx.el.span(group.title, class_name="strong"),
            rx.el.span(group.code, class_name="badge badge-warn"),
            rx.cond(group.about != "", rx.el.code(group.about, class_name="small")),
            rx.cond(group.partly != "", rx.el.span(group.partly, class_name="badge")),
            action=rx.el.span(when(at=group.last_at, both=True), class_name="small"),
        ),
        rx.el.p(group.reason),
        rx.el.p(
            group.numbers,
            " ",
            rx.foreach(group.devices, lambda each: rx.el.span(link(each.name, to="/devices/" + each.id), " ")),
            rx.cond(group.others != "", rx.el.span(group.others)),
            class_name="small muted",
        ),
        _remedy(group),
        rx.cond(
            (group.newest.id != "") & (Inbox.group_id == ""), rx.fragment(_left_out(group.newest), _sent(group.newest))
        ),
        rx.cond(
            Inbox.group_id == "",
            rx.fragment(
                rx.cond(
                    group.kept_words != "",
                    link(group.kept_words, to="/inbox?group=" + group.id, class_name="small"),
                ),
                _acts(
                    group.id,
                    _replay(group.replay_words, Inbox.replay(group.id), group.id, group.can_replay),
                    "Throw all of them away?",
                    group.discard_words,
                ),
            ),
            _acts(
                group.id,
                _replay(group.replay_words, Inbox.replay_all, group.id, group.can_replay),
                "Throw all of them away?",
                group.discard_words,
            ),
        ),
        class_name="alert-line alert-warn stack-tight",
        key=group.id,
    )


def _message(message: rx.Var[RejectedLine]) -> rx.Component:
    return rx.el.li(
        line_head(
            link(message.device, to="/devices/" + message.device_id, class_name="strong"),
            rx.cond(message.state != "", rx.el.span(message.state, class_name="badge")),
            action=rx.el.span(when(at=message.received_at, both=True), class_name="small"),
        ),
        rx.el.p(message.reason, class_name="small"),
        _left_out(message),
        _sent(message),
        _acts(
            message.id,
            _replay("Replay", Inbox.replay(message.id), message.id, message.is_whole),
            "Throw it away?",
            message.discard_words,
        ),
        class_name="stack-tight",
        key=message.id,
    )


def _toolbar() -> rx.Component:
    return rx.el.div(
        rx.cond(Inbox.group_id != "", link("All of the inbox", to="/inbox")),
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
            "All of every message was accepted. What does not fit its profile, or cannot be read, will lie here.",
        ),
    )
    return rx.cond(
        Inbox.ready,
        rx.cond(
            Inbox.groups.length() > 0,
            rx.fragment(
                rx.el.ul(
                    rx.foreach(Inbox.groups, _group),
                    rx.foreach(Inbox.messages, _message),
                    class_name="list",
                ),
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
            "Inbox",
            "Messages that could not be accepted, and values that were left out of one. Nothing is lost silently: each "
            "lies here with its reason.",
        ),
        problem(Inbox.problem, Inbox.load),
        _toolbar(),
        rx.el.div(rx.cond(Inbox.said_of == "", _said()), id=SAID),
        rx.el.div(rx.cond(Inbox.ready, turned_away(Inbox.device_id)), class_name="turned-room"),
        rx.el.section(_list(), class_name="card", aria_label="Messages that were not accepted"),
        needs="inbox:read",
    )
