"""A device's OSCORE contexts, by which it protects each CoAP message: issued and shown once, listed, revoked."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.frame import may
from ui.components.pieces import answers, card, done, doubt, empty, field, problem
from ui.components.shown_once import secret, shown_once
from ui.console import Console
from ui.credentials import CredentialLine, credential_line
from ui.islands.cells import when

SPANS = (("90", "90 days"), ("365", "a year"), ("", "until it is revoked"))
DEFAULT_DAYS = "365"


class OscoreContexts(Console):
    """The contexts of the device whose page it is."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("secret", "sender_id", "recipient_id")

    ready: bool = False
    problem: str = ""
    said: str = ""
    uid: str = ""
    is_over: bool = False
    lines: list[CredentialLine] = []
    is_adding: bool = False
    form_problem: str = ""
    revoking: str = ""
    secret: str = ""
    sender_id: str = ""
    recipient_id: str = ""

    @rx.event
    async def load(self) -> None:
        """Come to the device's page."""
        self.uid, self.ready, self.is_adding = self.segment(), False, False
        self.problem = self.said = self.revoking = self.form_problem = ""
        self.secret = self.sender_id = self.recipient_id = ""
        await self._show()

    async def _show(self) -> None:
        try:
            device = (await self.ask("device_certificates", id=self.uid))["device"]
        except Refused:
            return  # the device's own page says what is wrong
        now = datetime.now(UTC)
        self.lines = [credential_line(each, now) for each in device["credentials"] if each["kind"] == "oscore"]
        self.is_over = device["status"] in ("DECOMMISSIONED", "QUARANTINED")
        self.ready = True

    @rx.event
    def put_away(self) -> None:
        """Somebody has copied what is shown once."""
        self.secret = self.sender_id = self.recipient_id = ""

    @rx.event
    def begin(self, is_adding: bool) -> None:
        """Open or close the form."""
        self.is_adding, self.form_problem, self.said = is_adding, "", ""

    @rx.event
    async def add(self, form: dict[str, Any]) -> None:
        """Issue a context."""
        self.form_problem, days = "", str(form.get("days", ""))
        ends = (datetime.now(UTC) + timedelta(days=int(days))).isoformat() if days else None
        try:
            asked = await self.ask("oscore_context_issue", deviceId=self.uid, expiresAt=ends)
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        made = asked["oscoreContextIssue"]
        self.secret, self.sender_id, self.recipient_id = made["masterSecret"], made["senderId"], made["recipientId"]
        self.is_adding, self.said = False, ""
        await self._show()

    @rx.event
    def doubt(self, credential_id: str) -> None:
        """Ask before a context is revoked; '' lets it be."""
        self.revoking, self.said = credential_id, ""

    @rx.event
    async def revoke(self, credential_id: str) -> None:
        """Take a context back."""
        try:
            await self.ask("credential_revoke", id=credential_id)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.revoking, self.said = "", "The context no longer works. What the device observed by it is over."
        await self._show()


def _form() -> rx.Component:
    return rx.el.form(
        field(
            "Good for",
            rx.el.select(
                *(rx.el.option(words, value=days) for days, words in SPANS),
                id="oscore-days",
                name="days",
                default_value=DEFAULT_DAYS,
                class_name="select",
            ),
            for_="oscore-days",
        ),
        answers("Issue it", OscoreContexts.begin(False), OscoreContexts.form_problem),
        on_submit=OscoreContexts.add,
        class_name="card-body stack",
    )


def _made() -> rx.Component:
    return shown_once(
        "The new OSCORE context",
        ("This context is shown once. Set the device up with all three values, in hexadecimal.",),
        rx.el.div(
            rx.el.h3("Master Secret"),
            secret(OscoreContexts.secret, "oscore-secret", "Copy secret", "Shown only now; we keep it sealed."),
        ),
        rx.el.dl(
            rx.el.dt("Sender ID"),
            rx.el.dd(rx.el.code(OscoreContexts.sender_id, id="oscore-sender", class_name="wrap")),
            rx.el.dt("Recipient ID"),
            rx.el.dd(rx.el.code(OscoreContexts.recipient_id)),
            rx.el.dt("Algorithms"),
            rx.el.dd("AES-CCM-16-64-128, HKDF SHA-256; no Master Salt, no ID Context"),
            class_name="kv",
        ),
        put_away=OscoreContexts.put_away,
    )


def _confirm(line: rx.Var[CredentialLine]) -> rx.Component:
    return doubt(
        "Revoke this context?",
        "Messages protected by it count no more, from this moment on. This is for good.",
        yes=("Revoke it", OscoreContexts.revoke(line.id)),
        no=("Keep it", OscoreContexts.doubt("")),
    )


def _line(line: rx.Var[CredentialLine]) -> rx.Component:
    revoke = rx.el.button(
        "Revoke…",
        type="button",
        class_name="btn btn-small btn-danger push",
        on_click=OscoreContexts.doubt(line.id),
        custom_attrs={"aria-label": "Revoke this OSCORE context"},
    )
    return rx.el.li(
        rx.el.div(
            rx.el.span(
                "Issued ",
                when(at=line.created_at),
                rx.cond(
                    (line.ended_at == "") & (line.expires_at != ""), rx.el.span(" · ends ", when(at=line.expires_at))
                ),
            ),
            rx.cond(
                line.ended_at != "",
                rx.el.span(line.ended_how, " ", when(at=line.ended_at), class_name="small muted push"),
                rx.cond(may("devices:write"), revoke),
            ),
            class_name="row",
        ),
        rx.cond(OscoreContexts.revoking == line.id, _confirm(line)),
        key=line.id,
    )


def oscore_contexts() -> rx.Component:
    """The part of the device's page."""
    add = rx.cond(
        may("devices:write") & ~OscoreContexts.is_over & ~OscoreContexts.is_adding,
        rx.el.button(
            rx.icon("plus", size=16),
            "Issue a context…",
            type="button",
            class_name="btn",
            on_click=OscoreContexts.begin(True),
        ),
    )
    none_yet = empty(
        "shield",
        "No OSCORE contexts",
        "With a context the device protects each CoAP message by itself, over any network.",
        small=True,
    )
    notes = rx.cond(
        (OscoreContexts.problem != "") | (OscoreContexts.said != ""),
        rx.el.div(problem(OscoreContexts.problem), done(OscoreContexts.said), class_name="card-body"),
    )
    return rx.cond(
        OscoreContexts.ready,
        rx.fragment(
            rx.cond(OscoreContexts.secret != "", _made()),
            card(
                "CoAP with OSCORE",
                notes,
                rx.cond(OscoreContexts.is_adding, _form(), rx.cond(OscoreContexts.lines.length() == 0, none_yet)),
                rx.cond(
                    OscoreContexts.lines.length() > 0,
                    rx.el.ul(rx.foreach(OscoreContexts.lines, _line), class_name="list list-below"),
                ),
                aside=add,
            ),
        ),
    )
