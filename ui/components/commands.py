"""Asking a device to do something: what its profile lets people ask, and what became of each request."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.command_words import Argument, CommandLine, Told, Unfit, arguments_of, command_line, told
from ui.components.frame import link, may
from ui.components.help import help_link
from ui.components.pieces import card, done, field, problem
from ui.console import Console
from ui.islands.cells import when
from ui.islands.news import command_news

OUT_OF_SERVICE = ("SUSPENDED", "QUARANTINED", "DECOMMISSIONED")


class Commands(Console):
    """What the device of the address can be told, and what it was told lately."""

    uid: str = ""
    ready: bool = False
    problem: str = ""
    said: str = ""
    is_online: bool = False
    is_in_service: bool = False
    profile_id: str = ""
    profile_name: str = ""
    declared: list[Told] = []
    chosen: str = ""
    arguments: list[Argument] = []
    description: str = ""
    commands: list[CommandLine] = []

    @rx.event
    def begin(self) -> None:
        """First of all on a device's page: what another device can be asked is gone, so that nobody asks that one."""
        uid = self.segment()
        if uid != self.uid:
            self.ready, self.chosen, self.declared, self.commands = False, "", [], []
        self.uid, self.problem, self.said = uid, "", ""

    @rx.event
    async def load(self) -> None:
        """Come to the device's page."""
        self.begin()
        await self._show()

    @rx.event
    async def refresh(self) -> None:
        """A command to this device was issued or has moved: ask again."""
        await self._show()

    async def _show(self) -> None:
        try:
            data = await self.ask("device_commands", id=self.uid)
        except Refused:
            return  # no such device, or nothing they may see: the page says so by itself
        device = data["device"]
        self.is_online, self.is_in_service = device["isOnline"], device["status"] not in OUT_OF_SERVICE
        self.profile_id, self.profile_name = device["profile"]["id"], device["profile"]["name"]
        self.declared = [told(each) for each in device["profile"]["commands"]]
        known = {each.key: each for each in self.declared}
        self.commands = [command_line(each, known) for each in data["commands"]["items"]]
        if self.chosen not in known:
            self._choose(self.declared[0].key if self.declared else "")
        self.ready = True

    def _choose(self, key: str) -> None:
        found = next((each for each in self.declared if each.key == key), None)
        self.chosen = key if found else ""
        self.arguments = found.arguments if found else []
        self.description = found.description if found else ""

    @rx.event
    def choose(self, key: str) -> None:
        """Another command: its own fields."""
        self._choose(key)
        self.problem = self.said = ""

    @rx.event
    async def issue(self, form: dict[str, Any]) -> None:
        """Ask the device."""
        command = next((each for each in self.declared if each.key == self.chosen), None)
        self.problem = self.said = ""
        if command is None:
            return
        try:
            given = {"command": command.key, "arguments": arguments_of(command, form)}
            await self.ask("command_issue", deviceId=self.uid, input=given)
        except Unfit as unfit:
            self.problem = str(unfit)
            return
        except Refused as refusal:
            self.problem = refusal.words
            return
        await self._show()
        self.said = "It is asked." if self.is_online else "It is offline. It is asked as soon as it comes back."

    @rx.event
    async def cancel(self, command_id: str) -> None:
        """Call off a command that still waits."""
        self.problem = self.said = ""
        try:
            await self.ask("command_cancel", id=command_id)
        except Refused as refusal:
            self.problem = refusal.words
        await self._show()


def _input(each: rx.Var[Argument]) -> rx.Component:
    name = "argument " + each.key
    choose = rx.el.select(
        rx.cond(each.is_required, rx.fragment(), rx.el.option("as it is", value="")),
        rx.foreach(each.choices, lambda choice: rx.el.option(choice, value=choice)),
        id=name,
        name=name,
        class_name="select",
    )
    yes_no = rx.el.select(
        rx.cond(each.is_required, rx.fragment(), rx.el.option("as it is", value="")),
        rx.el.option("yes", value="yes"),
        rx.el.option("no", value="no"),
        id=name,
        name=name,
        class_name="select",
    )
    number = rx.el.input(
        id=name,
        name=name,
        type="number",
        step="any",
        min=each.low,
        max=each.high,
        required=each.is_required,
        class_name="input",
    )
    text = rx.el.input(id=name, name=name, max_length=500, required=each.is_required, class_name="input")
    control = rx.match(
        each.type, ("NUMBER", number), ("BOOLEAN", yes_no), rx.cond(each.choices.length() > 0, choose, text)
    )
    label = rx.fragment(
        each.label,
        rx.cond(each.unit != "", rx.el.span(" (", each.unit, ")", class_name="muted")),
        rx.cond(each.is_required, rx.fragment(), rx.el.span(" · optional", class_name="muted")),
    )
    return rx.el.div(field(label, control, rx.el.span(each.hint), for_=name), key=name)


def _form() -> rx.Component:
    what = rx.el.div(
        rx.foreach(
            Commands.declared,
            lambda each: rx.el.button(
                each.label,
                type="button",
                on_click=Commands.choose(each.key),
                custom_attrs={"aria-pressed": Commands.chosen == each.key},
                key=each.key,
            ),
        ),
        class_name="segmented segmented-wrap",
        role="group",
        aria_label="What it is asked to do",
    )
    return rx.el.div(
        what,
        rx.cond(Commands.description != "", rx.el.p(Commands.description, class_name="muted small")),
        rx.el.form(
            rx.cond(
                Commands.arguments.length() > 0,
                rx.el.div(rx.foreach(Commands.arguments, _input), class_name="command-fields"),
            ),
            rx.el.div(
                rx.el.button(rx.icon("send", size=15), "Ask it", type="submit", class_name="btn btn-primary"),
                rx.cond(
                    Commands.is_online,
                    rx.fragment(),
                    rx.el.span(
                        "It is offline. What you ask waits for it, for a day at most.", class_name="small muted"
                    ),
                ),
                class_name="row",
            ),
            on_submit=Commands.issue,
            reset_on_submit=True,
            key=Commands.chosen,
            class_name="stack",
        ),
        class_name="card-body stack",
    )


def _line(each: rx.Var[CommandLine]) -> rx.Component:
    call_off = rx.el.button(
        "Call off",
        type="button",
        class_name="btn btn-small",
        on_click=Commands.cancel(each.id),
        custom_attrs={"aria-label": "Call off: " + each.label},
    )
    return rx.el.li(
        rx.el.div(
            rx.el.b(each.label),
            rx.el.span(each.stands, class_name=each.tone),
            rx.el.span(when(at=each.at), class_name="small muted push"),
            class_name="row",
        ),
        rx.cond(each.given != "", rx.el.p(each.given, class_name="small")),
        rx.cond(each.detail != "", rx.el.p(each.detail, class_name="small")),
        rx.cond(each.late != "", rx.el.p(each.late, class_name="small muted")),
        rx.el.div(
            rx.el.span(
                "Asked by ",
                each.by,
                " ",
                when(at=each.requested_at),
                rx.cond(each.expires_at != "", rx.el.span(", waits until ", when(at=each.expires_at, both=True))),
                class_name="small muted",
            ),
            rx.cond((each.status == "QUEUED") & may("commands:write"), call_off),
            class_name="row",
        ),
        key=each.id,
    )


def _nothing() -> rx.Component:
    """Where the profile declares no commands: what that means, and where it is changed."""
    return rx.el.p(
        "Devices of the profile “",
        Commands.profile_name,
        "” have not been given anything they can be asked to do. ",
        link("Say in the profile what they understand", to="/profiles/" + Commands.profile_id),
        ", and it can be asked here.",
        class_name="card-body muted small text-links",
    )


def commands() -> rx.Component:
    """The card on the device's page; for those who may see commands."""
    sent = rx.cond(
        Commands.commands.length() > 0,
        rx.el.ul(
            rx.foreach(Commands.commands, _line),
            class_name="list list-top",
            aria_live="polite",
            aria_label="Asked so far",
        ),
    )
    offered = rx.cond(
        Commands.declared.length() > 0,
        rx.cond(
            may("commands:write") & Commands.is_in_service,
            _form(),
            rx.cond(
                Commands.is_in_service,
                rx.el.p("You may see what it is asked, and not ask it.", class_name="card-body muted small"),
                rx.el.p("It is out of service and cannot be asked.", class_name="card-body muted small"),
            ),
        ),
        _nothing(),
    )
    words = rx.cond(
        (Commands.problem != "") | (Commands.said != ""),
        rx.el.div(problem(Commands.problem), done(Commands.said), class_name="card-body"),
    )
    return rx.cond(
        Commands.ready & may("commands:read"),
        rx.fragment(
            card("Ask it to do something", offered, words, sent, aside=help_link("command")),
            command_news(Commands.uid, Commands.refresh),
        ),
    )
