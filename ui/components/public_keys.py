"""A device's public keys: it signs in with short-lived tokens (JWT) that it makes itself with the private half."""

from datetime import UTC, datetime, timedelta
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import may
from ui.components.pieces import answers, card, done, doubt, empty, field, problem
from ui.console import Console
from ui.credentials import CredentialLine, credential_line
from ui.first_message import openssl_public_key
from ui.islands.cells import command, when

SPANS = (("90", "90 days"), ("365", "a year"), ("", "until it is revoked"))
DEFAULT_DAYS = "365"


def public_key_of(text: str) -> str:
    """The key in what was pasted, as PEM or JWK, but never a private one; raises ValueError with words to show."""
    text = text.strip()
    if "PRIVATE KEY" in text or ('"d"' in text and text.startswith("{")):
        raise ValueError(
            "That is the private key. It was not sent, and must stay on the device: paste the public one, which begins "
            "with BEGIN PUBLIC KEY."
        )
    if text.startswith("{"):
        return text
    start, end = text.find("-----BEGIN PUBLIC KEY"), text.rfind("-----END PUBLIC KEY-----")
    if start < 0 or end < start:
        raise ValueError("That is no public key: it begins with BEGIN PUBLIC KEY, or is a JWK in JSON.")
    return text[start:] + "\n"


class PublicKeys(Console):
    """The public keys of the device whose page it is."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    uid: str = ""
    username: str = ""
    is_over: bool = False
    lines: list[CredentialLine] = []
    is_adding: bool = False
    form_problem: str = ""
    form_number: int = 0
    revoking: str = ""
    key_line: str = ""

    @rx.event
    async def load(self) -> None:
        """Come to the device's page."""
        self.uid, self.ready, self.is_adding = self.segment(), False, False
        self.problem = self.said = self.revoking = self.form_problem = ""
        await self._show()

    async def _show(self) -> None:
        try:
            device = (await self.ask("device_certificates", id=self.uid))["device"]
        except Refused:
            return  # the device's own page says what is wrong
        now = datetime.now(UTC)
        self.lines = [credential_line(each, now) for each in device["credentials"] if each["kind"] == "jwt"]
        self.is_over = device["status"] in ("DECOMMISSIONED", "QUARANTINED")
        self.username = f"{self.tenant_key}/d/{device['key']}"
        self.key_line, self.ready = openssl_public_key(device["key"]), True

    @rx.event
    def begin(self, is_adding: bool) -> None:
        """Open or close the form."""
        self.is_adding, self.form_problem, self.said = is_adding, "", ""

    @rx.event
    async def add(self, form: dict[str, Any]) -> None:
        """Register a public key."""
        self.form_problem, days = "", str(form.get("days", ""))
        ends = (datetime.now(UTC) + timedelta(days=int(days))).isoformat() if days else None
        try:
            key = public_key_of(str(form.get("key", "")))
            await self.ask("public_key_register", deviceId=self.uid, publicKey=key, expiresAt=ends)
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            self.form_number += isinstance(refusal, ValueError)  # a private key does not stay on the screen
            return
        self.is_adding, self.said = False, "The key is registered. The device may sign in with it from now on."
        await self._show()

    @rx.event
    def doubt(self, credential_id: str) -> None:
        """Ask before a key is revoked; '' lets it be."""
        self.revoking, self.said = credential_id, ""

    @rx.event
    async def revoke(self, credential_id: str) -> None:
        """Take a key back; a connection that uses it is cut."""
        try:
            await self.ask("credential_revoke", id=credential_id)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.revoking, self.said = "", "The key no longer works. A connection that used it is cut."
        await self._show()


def _form() -> rx.Component:
    return rx.el.form(
        command(
            text=PublicKeys.key_line,
            hint="Makes the pair where you paste it, and shows the public half.",
            label="Command that makes a pair of keys",
        ),
        field(
            "The public key",
            rx.el.textarea(
                id="public-key",
                name="key",
                rows=4,
                required=True,
                max_length=4096,
                spell_check=False,
                placeholder="-----BEGIN PUBLIC KEY-----",
                class_name="textarea input mono",
            ),
            "On the curve P-256, as PEM or JWK. The private half stays on the device.",
            for_="public-key",
        ),
        field(
            "Good for",
            rx.el.select(
                *(rx.el.option(words, value=days) for days, words in SPANS),
                id="public-key-days",
                name="days",
                default_value=DEFAULT_DAYS,
                class_name="select",
            ),
            for_="public-key-days",
        ),
        answers("Register it", PublicKeys.begin(False), PublicKeys.form_problem),
        on_submit=PublicKeys.add,
        class_name="card-body stack",
        key=PublicKeys.form_number.to_string(),
    )


def _confirm(line: rx.Var[CredentialLine]) -> rx.Component:
    return doubt(
        "Revoke this key?",
        "Tokens signed with it count no more, from this moment on. This is for good.",
        yes=("Revoke it", PublicKeys.revoke(line.id)),
        no=("Keep it", PublicKeys.doubt("")),
    )


def _line(line: rx.Var[CredentialLine]) -> rx.Component:
    revoke = rx.el.button(
        "Revoke…",
        type="button",
        class_name="btn btn-small btn-danger push",
        on_click=PublicKeys.doubt(line.id),
        custom_attrs={"aria-label": "Revoke key " + line.sign},
    )
    return rx.el.li(
        rx.el.div(
            rx.el.code(line.sign, class_name="wrap"),
            rx.cond(
                line.ended_at != "",
                rx.el.span(line.ended_how, " ", when(at=line.ended_at), class_name="small muted push"),
                rx.cond(may("devices:write"), revoke),
            ),
            class_name="row",
        ),
        rx.el.p(
            "Registered ",
            when(at=line.created_at),
            rx.cond((line.ended_at == "") & (line.expires_at != ""), rx.el.span(" · ends ", when(at=line.expires_at))),
            class_name="small muted",
        ),
        rx.cond(PublicKeys.revoking == line.id, _confirm(line)),
        key=line.id,
    )


def public_keys() -> rx.Component:
    """The part of the device's page."""
    add = rx.cond(
        may("devices:write") & ~PublicKeys.is_over & ~PublicKeys.is_adding,
        rx.el.button(
            rx.icon("plus", size=16),
            "Register a key…",
            type="button",
            class_name="btn",
            on_click=PublicKeys.begin(True),
        ),
    )
    none_yet = empty(
        "key-square",
        "No public keys",
        "With a key of its own the device makes its passwords itself (JWT), each good for a day at most.",
        small=True,
    )
    how = rx.el.details(
        rx.el.summary("What the device sends as its password", class_name="small"),
        rx.el.p(
            "A JWT signed with ES256: “sub” is ",
            rx.el.code(PublicKeys.username),
            ", “aud” is ",
            rx.el.code("tidegate"),
            ", “iat” is now, and “exp” at most 24 hours later.",
            class_name="small muted",
        ),
        class_name="fold card-body",
    )
    notes = rx.cond(
        (PublicKeys.problem != "") | (PublicKeys.said != ""),
        rx.el.div(problem(PublicKeys.problem), done(PublicKeys.said), class_name="card-body"),
    )
    return rx.cond(
        PublicKeys.ready,
        card(
            "Public keys",
            notes,
            rx.cond(PublicKeys.is_adding, _form(), rx.cond(PublicKeys.lines.length() == 0, none_yet)),
            rx.cond(
                PublicKeys.lines.length() > 0,
                rx.fragment(rx.el.ul(rx.foreach(PublicKeys.lines, _line), class_name="list list-below"), how),
            ),
            aside=add,
        ),
    )
