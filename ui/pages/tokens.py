"""API tokens: which programs may act for the organisation, and with what rights."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, page
from ui.components.pieces import answers, card, done, doubt, empty, field, line_head, problem, skeleton_rows
from ui.components.reach import CHOOSE, Reach, reach, sees
from ui.components.rights import chosen, rights_boxes, rights_fold
from ui.components.shown_once import secret, shown_once
from ui.console import Console
from ui.credentials import ended
from ui.islands.cells import command, when
from ui.rights import ABOUT_DEVICES, Right, RightGroup, grouped, right_words

SPANS = (("7", "in 7 days"), ("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("", "never"))
DEFAULT_SPAN = "90"
# A first question for a new token: an address that the right may read.
FIRST_QUESTIONS = {
    "devices:read": "/devices",
    "telemetry:read": "/ingest-counts",
    "alerts:read": "/alerts",
    "rules:read": "/rules",
    "inbox:read": "/inbox",
    "users:read": "/members",
    "audit:read": "/audit",
}


@dataclass(frozen=True)
class TokenLine:
    """A token without its secret."""

    id: str
    name: str
    prefix: str
    rights: list[Right]
    created_at: str
    expires_at: str
    last_used_at: str
    ended_at: str
    ended_how: str
    sees: str  # in words, where it is not all devices


def token_line(token: dict[str, Any], now: datetime, groups: Mapping[str, str] | None = None) -> TokenLine:
    """A token of the contract as the page shows it."""
    ended_at, ended_how = ended(token, now, ran_out="expired")
    return TokenLine(
        token["id"],
        token["name"],
        token["prefix"],
        [Right(scope, right_words(scope)) for scope in token["scopes"]],
        token["createdAt"],
        token["expiresAt"] or "",
        token["lastUsedAt"] or "",
        ended_at,
        ended_how,
        sees(token["groupIds"], groups or {}),
    )


def curl(secret: str, scopes: list[str]) -> str:
    """A line that asks a first question; %ORIGIN% is filled in by the browser, which knows how it reached us.

    Secrets hold no quote, so single quotes are safe in any shell.
    """
    path = next((path for scope, path in FIRST_QUESTIONS.items() if scope in scopes), "/me")
    return f"curl -H 'Authorization: Bearer {secret}' %ORIGIN%/api/v1{path}"


class Tokens(Reach, Console):
    """The organisation's tokens, and the one that was just issued."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("secret", "command")

    ready: bool = False
    problem: str = ""
    said: str = ""
    working: list[TokenLine] = []
    ended: list[TokenLine] = []
    is_issuing: bool = False
    form_problem: str = ""
    secret: str = ""
    secret_name: str = ""
    command: str = ""
    revoking: str = ""  # the token about which it is being asked

    @rx.var
    def groups(self) -> list[RightGroup]:
        """The rights that may be given: nobody gives more than they hold, and some are about all devices."""
        return grouped(each for each in self.scopes if not self.is_limited or each in ABOUT_DEVICES)

    @rx.event
    async def load(self) -> Any:
        """Come to the page. A secret is shown once: whoever comes back does not see it again."""
        self.secret = self.command = self.said = self.revoking = self.form_problem = ""
        self.is_issuing = False
        yield  # first of all: what is not to be seen again is gone
        if (away := await self.enter("tokens:write")) is not None:
            yield away
            return
        await self._show()

    async def _show(self) -> None:
        try:
            found = (await self.ask("tokens"))["tokens"]
        except Refused as refusal:
            self.problem = refusal.words
            return
        await self._name_groups()
        now = datetime.now(UTC)
        lines = [token_line(each, now, self.group_names) for each in found]
        self.working = [each for each in lines if not each.ended_at]
        self.ended = [each for each in lines if each.ended_at]
        self.problem, self.ready = "", True

    @rx.event
    def write(self, is_issuing: bool) -> None:
        """Open or close the form for a new token."""
        self.is_issuing, self.form_problem = is_issuing, ""
        self.is_limited, self.picked = False, []
        if is_issuing:
            self.secret = self.command = self.said = ""

    @rx.event
    async def issue(self, form: dict[str, Any]) -> None:
        """Issue a token and show its secret."""
        name, scopes, days = str(form.get("name", "")).strip(), chosen(form), str(form.get("days", ""))
        if not name or not scopes:
            self.form_problem = "Please say what the token is for, and tick at least one right."
            return
        if self.is_limited and not self.picked:
            self.form_problem = CHOOSE
            return
        limit = {"groupIds": self.picked} if self.is_limited else {}
        ends = (datetime.now(UTC) + timedelta(days=int(days))).isoformat() if days else None
        try:
            data = await self.ask("token_issue", input={"name": name, "scopes": scopes, "expiresAt": ends, **limit})
        except Refused as refusal:
            self.form_problem = refusal.words
            return
        self.secret, self.secret_name = data["tokenIssue"]["secret"], name
        self.command, self.is_issuing, self.form_problem, self.said = curl(self.secret, scopes), False, "", ""
        await self._show()

    @rx.event
    def put_away(self) -> None:
        """The secret was copied; it is not needed here any more."""
        self.secret = self.command = ""

    @rx.event
    def doubt(self, token_id: str) -> None:
        """Ask before a token is revoked; '' lets it be."""
        self.revoking = token_id

    @rx.event
    async def revoke(self, token_id: str) -> None:
        """Make a token worthless."""
        self.said = ""
        try:
            await self.ask("token_revoke", id=token_id)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.revoking, self.said = "", "The token no longer works. Streams that used it are cut."
        await self._show()


def _form() -> rx.Component:
    return card(
        "A new token",
        rx.el.form(
            field(
                "What is it for?",
                rx.el.input(
                    id="token-name",
                    name="name",
                    placeholder="Dashboard in the canteen",
                    max_length=100,
                    required=True,
                    auto_focus=True,
                    class_name="input",
                ),
                for_="token-name",
            ),
            reach(
                Tokens,
                "Which devices may it see?",
                "It has rights that are about devices only, and is refused what is about the whole organisation.",
            ),
            rx.el.div(
                rx.el.p("What may it do?", class_name="label-text"),
                rx.el.p("As little as it needs, and never more than you may do yourself.", class_name="small muted"),
                rights_boxes(Tokens.groups),
            ),
            field(
                "It ends",
                rx.el.select(
                    *(rx.el.option(words, value=days) for days, words in SPANS),
                    id="token-days",
                    name="days",
                    default_value=DEFAULT_SPAN,
                    class_name="select",
                ),
                "A token that ends by itself cannot be forgotten.",
                for_="token-days",
            ),
            answers("Issue the token", Tokens.write(False), Tokens.form_problem),
            on_submit=Tokens.issue,
            class_name="card-body stack",
        ),
    )


def _issued() -> rx.Component:
    return shown_once(
        "The new token",
        (
            rx.el.b("The secret of “", Tokens.secret_name, "” is shown this once."),
            " Copy it now to where it is needed; we keep only a fingerprint of it.",
        ),
        secret(Tokens.secret, "token-secret", "Copy secret", "Whoever holds it may do what the token may do."),
        rx.el.div(
            rx.el.h3("Try it", style={"marginBottom": "6px"}),
            command(text=Tokens.command, hint="Paste it into a terminal: it answers with JSON."),
        ),
        put_away=Tokens.put_away,
    )


def _confirm(token: rx.Var[TokenLine]) -> rx.Component:
    return doubt(
        "Revoke this token?",
        *("Programs that use “", token.name, "” stop working at once. It cannot be taken back."),
        yes=("Revoke it", Tokens.revoke(token.id)),
        no=("Keep it", Tokens.doubt("")),
    )


def _line(token: rx.Var[TokenLine]) -> rx.Component:
    ends = rx.cond(token.expires_at != "", rx.el.span("ends ", when(at=token.expires_at)), rx.el.span("never ends"))
    return rx.el.li(
        line_head(
            rx.el.b(token.name, class_name="wrap"),
            rx.cond(token.sees != "", rx.el.span("some devices", class_name="badge")),
            action=rx.cond(
                token.ended_at != "",
                rx.el.span(token.ended_how, " ", when(at=token.ended_at), class_name="small muted"),
                rx.el.button(
                    "Revoke…",
                    type="button",
                    class_name="btn btn-small btn-danger",
                    on_click=Tokens.doubt(token.id),
                    custom_attrs={"aria-label": "Revoke " + token.name},
                ),
            ),
        ),
        rx.el.p(
            rx.cond(
                token.last_used_at != "",
                rx.el.span("last used ", when(at=token.last_used_at)),
                rx.el.span("never used"),
            ),
            " · ",
            rx.cond(token.ended_at != "", rx.el.span("issued ", when(at=token.created_at)), ends),
            " · begins with ",
            rx.el.code(token.prefix, "…"),
            rx.cond(token.sees != "", rx.fragment(" · ", token.sees)),
            class_name="small muted cap",
        ),
        rights_fold(token.rights),
        rx.cond(Tokens.revoking == token.id, _confirm(token)),
        key=token.id,
    )


def _new() -> rx.Component:
    return rx.el.button(
        rx.icon("plus", size=16),
        "New token",
        type="button",
        class_name="btn btn-primary",
        on_click=Tokens.write(True),
    )


def _lists() -> rx.Component:
    none_yet = empty(
        "key-round",
        "No tokens that work",
        "A program signs in with a token: a dashboard of your own, a script, another system. Issue one for each.",
        _new(),
    )
    return rx.fragment(
        rx.el.section(
            rx.cond(
                Tokens.working.length() > 0,
                rx.el.ul(rx.foreach(Tokens.working, _line), class_name="list"),
                none_yet,
            ),
            class_name="card",
            aria_label="Tokens that work",
        ),
        rx.cond(
            Tokens.ended.length() > 0,
            rx.el.details(
                rx.el.summary(
                    rx.el.h2("Ended"), rx.el.span(Tokens.ended.length().to_string(), class_name="small muted")
                ),
                rx.el.ul(rx.foreach(Tokens.ended, _line), class_name="list"),
                class_name="card fold-card",
            ),
        ),
    )


def tokens() -> rx.Component:
    """The page."""
    return page(
        "API tokens",
        heading(
            "API tokens",
            "Programs sign in with a token. Each has only the rights you give it.",
            rx.cond(Tokens.ready & ~Tokens.is_issuing, _new()),
        ),
        problem(Tokens.problem, Tokens.load),
        done(Tokens.said),
        rx.cond(Tokens.is_issuing, _form()),
        rx.cond(Tokens.secret != "", _issued()),
        rx.cond(Tokens.ready, _lists(), rx.el.div(skeleton_rows(), class_name="card")),
        narrow=True,
        needs="tokens:write",
    )
