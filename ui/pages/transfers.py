"""Transfers: handing a device over to another organisation, and taking one over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.frame import ALL_DEVICES, link, may, page
from ui.components.pieces import answers, card, done, doubt, empty, field, line_head, note, problem, skeleton_rows
from ui.components.shown_once import secret, shown_once
from ui.console import Console
from ui.first_message import mosquitto_pub
from ui.islands.cells import command, when
from ui.names import GONE, with_names

SPANS = (("24", "a day"), ("72", "three days"), ("168", "a week"), ("336", "two weeks, the longest"))
DEFAULT_HOURS = "72"
HOW_IT_ENDED = {"ACCEPTED": "taken over", "WITHDRAWN": "withdrawn", "EXPIRED": "ran out"}


@dataclass(frozen=True)
class OfferLine:
    """A device that was offered to another organisation."""

    id: str
    device_id: str
    device: str
    to_whom: str
    offered_by: str
    offered_at: str
    expires_at: str
    ended_at: str
    ended_how: str


@dataclass(frozen=True)
class Choice:
    """A profile to choose."""

    id: str
    name: str


def offer_line(offer: Mapping[str, Any], names: Mapping[str, str]) -> OfferLine:
    """A transfer of the contract as the page shows it; `names`: those of devices, by id."""
    ended = offer["acceptedAt"] or offer["withdrawnAt"] or (offer["expiresAt"] if offer["status"] == "EXPIRED" else "")
    return OfferLine(
        offer["id"],
        offer["deviceId"],
        names.get(offer["deviceId"], ""),
        f"only for “{offer['toTenant']}”" if offer["toTenant"] else "for anybody with the code",
        offer["offeredBy"],
        offer["offeredAt"],
        offer["expiresAt"],
        ended or "",
        HOW_IT_ENDED.get(offer["status"], ""),
    )


class Transfers(Console):
    """The offers, and the one that is being made or taken."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("code", "token", "command")

    ready: bool = False
    problem: str = ""
    said: str = ""
    open: list[OfferLine] = []
    ended: list[OfferLine] = []
    profiles: list[Choice] = []
    form_problem: str = ""
    device_id: str = ""  # the device that is about to be offered
    device_name: str = ""
    code: str = ""
    moves: list[str] = []
    stays: list[str] = []
    is_taking: bool = False
    taken_id: str = ""
    taken_name: str = ""
    token: str = ""
    command: str = ""
    withdrawing: str = ""

    _names: dict[str, str] = {}

    @rx.event
    async def load(self) -> Any:
        """Come to the page: /devices/transfers, or /devices/transfers?device={id} to offer that one."""
        self.code = self.token = self.command = self.said = self.form_problem = self.withdrawing = ""
        self.device_id = self.device_name = self.taken_id = ""
        self.is_taking = False
        yield  # first of all: what is not to be seen again is gone
        if (away := await self.enter("devices:read")) is not None:
            yield away
            return
        device_id = self.router.url.query_parameters.get("device", "")
        if device_id:
            name = (await with_names(self, {}, [device_id]))[device_id]
            self.device_id, self.device_name = ("", "") if name == GONE else (device_id, name)
        await self._show()

    async def _show(self) -> None:
        try:
            found = await self.ask("device_transfers", first=100)
        except Refused as refusal:
            self.problem = refusal.words
            return
        offers = found["deviceTransfers"]["items"]
        self._names = await with_names(self, self._names, [each["deviceId"] for each in offers])
        lines = [offer_line(each, self._names) for each in offers]
        self.open = [each for each in lines if not each.ended_at]
        self.ended = [each for each in lines if each.ended_at]
        self.profiles = [Choice(each["id"], each["name"]) for each in found["profiles"]["items"]]
        self.problem, self.ready = "", True

    @rx.event
    async def offer(self, form: dict[str, Any]) -> None:
        """Offer the device and show the code."""
        to_tenant = str(form.get("tenant", "")).strip().lower() or None
        hours = int(form.get("hours") or DEFAULT_HOURS)
        try:
            made = await self.ask("device_transfer_offer", deviceId=self.device_id, toTenant=to_tenant, hours=hours)
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        found = made["deviceTransferOffer"]
        self.code, self.moves, self.stays = found["code"], found["moves"], found["stays"]
        self.device_id, self.form_problem = "", ""
        await self._show()

    @rx.event
    def leave(self) -> None:
        """Do not offer the device after all."""
        self.device_id, self.form_problem = "", ""

    @rx.event
    def put_away(self) -> None:
        """The code, or the token, was copied; it is not needed here any more."""
        self.code = self.token = self.command = self.taken_id = ""

    @rx.event
    def take(self, is_taking: bool) -> None:
        """Open or close the form that takes a code."""
        self.is_taking, self.form_problem, self.said = is_taking, "", ""
        if is_taking:
            self.code = self.token = self.command = self.taken_id = self.device_id = ""

    @rx.event
    async def accept(self, form: dict[str, Any]) -> None:
        """Take a device over and show its token."""
        given = {name: str(form.get(name, "")).strip() or None for name in ("key", "profileId")}
        code = "".join(str(form.get("code", "")).split())
        try:
            made = (await self.ask("device_transfer_accept", code=code, **given))["deviceTransferAccept"]
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        device = made["device"]
        self.token, self.taken_id, self.taken_name = made["token"], device["id"], device["name"] or device["key"]
        self.moves, self.stays = made["moves"], made["stays"]
        self.command = mosquitto_pub(self.tenant_key, device["key"], self.token, device["profile"]["metrics"])
        self.is_taking, self.form_problem = False, ""

    @rx.event
    def doubt(self, offer_id: str) -> None:
        """Ask before an offer is withdrawn; '' lets it be."""
        self.withdrawing, self.said = offer_id, ""

    @rx.event
    async def withdraw(self, offer_id: str) -> None:
        """Make an offer's code worthless."""
        self.said = ""
        try:
            await self.ask("device_transfer_withdraw", id=offer_id)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.withdrawing = self.code = ""
        await self._show()
        self.said = "The offer is withdrawn; its code no longer works. The device stays with you."


def _what_moves() -> rx.Component:
    def lines(title: str, found: rx.Var[list[str]]) -> rx.Component:
        return rx.el.div(
            rx.el.h3(title), rx.el.ul(rx.foreach(found, lambda each: rx.el.li(each)), class_name="small bullets")
        )

    return rx.el.div(
        lines("What goes over", Transfers.moves), lines("What does not", Transfers.stays), class_name="pair pair-top"
    )


def _offer() -> rx.Component:
    return card(
        "Hand a device over",
        rx.el.form(
            rx.el.p(
                rx.el.b(Transfers.device_name),
                " stays with you, as it is, until the other organisation takes it. Then its life here ends within "
                "seconds: its tokens and certificates die, and its history stays here.",
            ),
            rx.el.div(
                field(
                    "Short name of the other organisation",
                    rx.el.input(
                        id="transfer-tenant",
                        name="tenant",
                        max_length=20,
                        pattern="[a-z0-9\\-]{1,20}",
                        auto_complete="off",
                        auto_capitalize="none",
                        spell_check=False,
                        placeholder="anybody with the code",
                        class_name="input",
                    ),
                    "Safer: then nobody else can use the code.",
                    for_="transfer-tenant",
                ),
                field(
                    "The code is good for",
                    rx.el.select(
                        *(rx.el.option(words, value=hours) for hours, words in SPANS),
                        id="transfer-hours",
                        name="hours",
                        default_value=DEFAULT_HOURS,
                        class_name="select",
                    ),
                    for_="transfer-hours",
                ),
                class_name="pair",
            ),
            problem(Transfers.form_problem),
            rx.el.div(
                rx.el.button("Make the code", type="submit", class_name="btn btn-primary"),
                rx.el.button("Keep the device", type="button", class_name="btn", on_click=Transfers.leave),
                class_name="row",
            ),
            on_submit=Transfers.offer,
            class_name="card-body stack",
        ),
    )


def _code() -> rx.Component:
    return shown_once(
        "The code of the offer",
        (
            rx.el.b("This code is shown this once."),
            " Give it to the other organisation on a way you trust: whoever has it may take the device.",
        ),
        secret(Transfers.code, "transfer-code", "Copy code", "It works once.", long=True),
        _what_moves(),
        put_away=Transfers.put_away,
    )


def _take() -> rx.Component:
    return card(
        "Take a device over",
        rx.el.form(
            field(
                "The code",
                rx.el.textarea(
                    id="transfer-accept",
                    name="code",
                    rows=4,
                    required=True,
                    max_length=16384,
                    auto_focus=True,
                    spell_check=False,
                    placeholder="tgx_…",
                    class_name="textarea input mono",
                ),
                "It was shown to the other organisation when it offered the device.",
                for_="transfer-accept",
            ),
            rx.el.div(
                field(
                    "Profile",
                    rx.el.select(
                        rx.el.option("The one it has there", value=""),
                        rx.foreach(Transfers.profiles, lambda each: rx.el.option(each.name, value=each.id)),
                        id="transfer-profile",
                        name="profileId",
                        class_name="select",
                    ),
                    "Yours of the same key if there is one, else a copy of theirs.",
                    for_="transfer-profile",
                ),
                field(
                    "Key",
                    rx.el.input(
                        id="transfer-key",
                        name="key",
                        max_length=40,
                        pattern="[A-Za-z0-9_\\-]{1,40}",
                        auto_complete="off",
                        spell_check=False,
                        placeholder="the one it had",
                        class_name="input",
                    ),
                    "Only if you have a device of that key already.",
                    for_="transfer-key",
                ),
                class_name="pair",
            ),
            answers("Take it over", Transfers.take(False), Transfers.form_problem),
            on_submit=Transfers.accept,
            class_name="card-body stack",
        ),
    )


def _taken() -> rx.Component:
    return rx.el.section(
        rx.el.div(
            note(
                "check",
                rx.el.b(Transfers.taken_name, " is yours now."),
                " Its token is shown this once: configure the device with it.",
                look="ok",
            ),
            secret(Transfers.token, "transfer-token", "Copy token", "The one it had before no longer works."),
            rx.el.div(
                rx.el.h3("Try it", style={"marginBottom": "6px"}),
                command(text=Transfers.command, label="Command that sends a message"),
            ),
            _what_moves(),
            rx.el.div(
                link("Look at it", to="/devices/" + Transfers.taken_id, class_name="btn btn-primary"),
                rx.el.button("I have copied it", type="button", class_name="btn", on_click=Transfers.put_away),
                class_name="row",
            ),
            class_name="card-body stack",
        ),
        class_name="card",
        aria_label="The device that was taken over",
    )


def _confirm(line: rx.Var[OfferLine]) -> rx.Component:
    return doubt(
        "Withdraw this offer?",
        *("The code becomes worthless, and ", line.device, " stays with you."),
        yes=("Withdraw it", Transfers.withdraw(line.id)),
        no=("Let it stand", Transfers.doubt("")),
    )


def _line(line: rx.Var[OfferLine]) -> rx.Component:
    withdraw = rx.el.button(
        "Withdraw…",
        type="button",
        class_name="btn btn-small btn-danger",
        on_click=Transfers.doubt(line.id),
        custom_attrs={"aria-label": "Withdraw the offer of " + line.device},
    )
    return rx.el.li(
        line_head(
            link(line.device, to="/devices/" + line.device_id, class_name="strong"),
            action=rx.cond(
                line.ended_at != "",
                rx.el.span(line.ended_how, " ", when(at=line.ended_at), class_name="small muted"),
                rx.cond(may("devices:write"), withdraw),
            ),
        ),
        rx.el.p(
            line.to_whom,
            " · offered by ",
            rx.el.span(line.offered_by, class_name="wrap"),
            " ",
            when(at=line.offered_at),
            rx.cond(line.ended_at == "", rx.el.span(" · the code ends ", when(at=line.expires_at))),
            class_name="small muted cap",
        ),
        rx.cond(Transfers.withdrawing == line.id, _confirm(line)),
        key=line.id,
    )


def _lists() -> rx.Component:
    none_yet = empty(
        "arrow-left-right",
        "No device is on offer",
        "To hand one over, open its page and choose “Hand over…” at its end.",
        link("Look for the device", to="/devices", class_name="btn"),
    )
    return rx.fragment(
        rx.cond(
            (Transfers.open.length() > 0) | ((Transfers.device_id == "") & ~Transfers.is_taking),
            rx.cond(
                Transfers.open.length() > 0,
                card("On offer", rx.el.ul(rx.foreach(Transfers.open, _line), class_name="list")),
                rx.el.section(none_yet, class_name="card", aria_label="On offer"),
            ),
        ),
        rx.cond(
            Transfers.ended.length() > 0,
            rx.el.details(
                rx.el.summary(
                    rx.el.h2("Earlier offers"),
                    rx.el.span(Transfers.ended.length().to_string(), class_name="small muted"),
                ),
                rx.el.ul(rx.foreach(Transfers.ended, _line), class_name="list"),
                class_name="card fold-card",
            ),
        ),
    )


def transfers() -> rx.Component:
    """The page."""
    take = rx.cond(
        may("devices:write") & may(ALL_DEVICES) & ~Transfers.is_taking,
        rx.el.button(
            rx.icon("download", size=16),
            "Take a device over",
            type="button",
            class_name="btn btn-primary",
            on_click=Transfers.take(True),
        ),
    )
    return page(
        "Devices",
        rx.el.div(
            rx.el.div(
                link(rx.icon("arrow-left", size=15), "Devices", to="/devices", class_name="crumb"),
                rx.el.h1("Transfers"),
                rx.el.p("Devices that go to another organisation, or come from one."),
            ),
            rx.el.div(take, class_name="actions"),
            class_name="head",
        ),
        problem(Transfers.problem, Transfers.load),
        done(Transfers.said),
        rx.cond(Transfers.device_id != "", _offer()),
        rx.cond(Transfers.code != "", _code()),
        rx.cond(Transfers.is_taking & may(ALL_DEVICES), _take()),
        rx.cond(Transfers.taken_id != "", _taken()),
        rx.cond(Transfers.ready, _lists(), rx.el.div(skeleton_rows(), class_name="card")),
        narrow=True,
        needs="devices:read",
    )
