"""The tenant's certificate authorities: the one that signs, those before it, and how one takes over from the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import may
from ui.components.pieces import card, done, doubt, note, problem
from ui.console import Console
from ui.credentials import signs
from ui.islands.cells import when

WARNS_BEFORE = timedelta(days=90)


@dataclass(frozen=True)
class AuthorityLine:
    """An authority as the page lists it; `in_use`: how many certificates and claims of it are good."""

    id: str
    name: str
    sign: str
    state: str
    created_at: str
    expires_at: str
    retired_at: str
    in_use: int
    said: str
    cuts: str
    is_ending: bool


def authority_line(found: Mapping[str, Any], now: datetime) -> AuthorityLine:
    """An authority of the contract in words."""
    authority = found["authority"]
    parts = dict(part.split("=", 1) for part in authority["subject"].split(",") if "=" in part)
    return AuthorityLine(
        authority["id"],
        parts.get("CN", authority["subject"]),
        signs(authority["fingerprint"], 8),
        authority["state"],
        authority["createdAt"],
        authority["expiresAt"],
        authority["retiredAt"] or "",
        found["certificates"] + found["claims"],
        _relies(found),
        _cuts(found),
        datetime.fromisoformat(authority["expiresAt"]) - now < WARNS_BEFORE,
    )


def _relies(found: Mapping[str, Any]) -> str:
    """What relies on it: "12 certificates of 10 devices and 1 claim are good"."""
    told = []
    if found["certificates"]:
        told.append(f"{_many(found['certificates'], 'certificate')} of {_many(found['devices'], 'device')}")
    if found["claims"]:
        told.append(_many(found["claims"], "claim certificate"))
    if not told:
        return "no certificate of it is in use"
    is_one = found["certificates"] + found["claims"] == 1
    return f"{' and '.join(told)} {'is' if is_one else 'are'} good"


def _cuts(found: Mapping[str, Any]) -> str:
    """What retiring it would do, before it is done."""
    if not found["certificates"] and not found["claims"]:
        return "No device has a certificate of it that is good: nobody is cut off."
    told = []
    if found["devices"]:
        told.append(f"{_many(found['devices'], 'device')} can no longer sign in with its certificates.")
        told.append(
            f"{_many(found['stranded'], 'device has', 'devices have')} nothing else to sign in with."
            if found["stranded"]
            else f"{'It has' if found['devices'] == 1 else 'All of them have'} something else to sign in with."
        )
    if found["claims"]:
        told.append(f"{_many(found['claims'], 'way in is', 'ways in are')} closed: its claim certificates.")
    return " ".join(told)


def _many(count: int, one: str, more: str = "") -> str:
    return f"{count:,} {one if count == 1 else more or one + 's'}"


class Authorities(Console):
    """The authorities, and what is about to be done to one."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    lines: list[AuthorityLine] = []
    is_renewing: bool = False
    retiring: str = ""

    _certificates: dict[str, str] = {}

    @rx.event
    async def load(self) -> None:
        """Come to the page."""
        self.ready, self.said = False, ""
        self._ask_nothing()
        await self._show()

    async def _show(self) -> None:
        try:
            found = (await self.ask("certificate_authorities"))["certificateAuthorities"]
        except Refused as refusal:
            self.problem = "" if self.is_limited_to_groups else refusal.words
            return
        now = datetime.now(UTC)
        self.lines = [authority_line(each, now) for each in found]
        self._certificates = {each["authority"]["id"]: each["authority"]["certificate"] for each in found}
        self.problem, self.ready = "", True

    def _ask_nothing(self) -> None:
        self.is_renewing, self.retiring = False, ""

    @rx.event
    def consider(self, is_renewing: bool) -> None:
        """Ask before there is a successor; False lets it be."""
        self._ask_nothing()
        self.is_renewing, self.said = is_renewing, ""

    @rx.event
    async def renew(self) -> None:
        """Give the authority a successor."""
        await self._do(
            "authority_renew",
            "The new authority signs from now on. Certificates of the former one are accepted until it is retired.",
        )

    @rx.event
    async def doubt(self, authority_id: str) -> None:
        """Say what retiring would cut off, as it is now; '' lets it be."""
        self._ask_nothing()
        self.said = ""
        if authority_id:
            await self._show()
            self.retiring = authority_id

    @rx.event
    async def retire(self, authority_id: str) -> None:
        """Take a former authority out of use, if no more relies on it than was said."""
        known = next((each.in_use for each in self.lines if each.id == authority_id), 0)
        said = "It is out of use. Devices connected by a certificate of it are cut off."
        await self._do("authority_retire", said, id=authority_id, inUse=known)

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self._ask_nothing()
            await self._show()
            self.problem = refusal.words
            return
        self._ask_nothing()
        await self._show()
        self.said = said

    @rx.event
    def save_certificate(self, authority_id: str) -> Any:
        """An authority's certificate as a file."""
        return rx.download(data=self._certificates.get(authority_id, ""), filename=self._file(authority_id, "crt"))

    @rx.event
    async def save_revocations(self, authority_id: str) -> Any:
        """The list of what it signed and was taken back, signed now, as a file."""
        try:
            found = (await self.ask("revocations", authorityId=authority_id))["certificateRevocations"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        return rx.download(data=found["pem"], filename=self._file(authority_id, "crl.pem"))

    def _file(self, authority_id: str, ending: str) -> str:
        return f"{self.tenant_key}-authority-{authority_id[-6:]}.{ending}"


def _button(words: str, about: Any, on_click: Any, looks: str = "") -> rx.Component:
    return rx.el.button(
        words,
        type="button",
        class_name=f"btn btn-small {looks}".strip(),
        on_click=on_click,
        custom_attrs={"aria-label": rx.Var.create(f"{words.rstrip('…')}: ") + about},
    )


def _state(line: rx.Var[AuthorityLine]) -> rx.Component:
    return rx.match(
        line.state,
        ("CURRENT", rx.el.span("Signs", class_name="badge badge-ok")),
        ("RETIRING", rx.el.span("Accepted still", class_name="badge badge-warn")),
        rx.el.span("Retired", class_name="badge"),
    )


def _line(line: rx.Var[AuthorityLine]) -> rx.Component:
    retire = rx.cond(
        may("devices:write") & (line.state == "RETIRING"),
        _button("Retire…", line.name, Authorities.doubt(line.id), "btn-danger"),
    )
    buttons = rx.el.span(
        _button("Certificate", line.name, Authorities.save_certificate(line.id)),
        _button("Revocation list", line.name, Authorities.save_revocations(line.id)),
        retire,
        class_name="row push",
    )
    ends = rx.cond(
        line.retired_at != "",
        rx.el.span("retired ", when(at=line.retired_at)),
        rx.el.span("ends ", when(at=line.expires_at)),
    )
    return rx.el.li(
        rx.el.div(rx.el.b(line.name), _state(line), buttons, class_name="row"),
        rx.el.p(
            *("Made ", when(at=line.created_at), " · ", ends),
            rx.cond(line.retired_at == "", rx.el.span(" · ", line.said)),
            class_name="small muted",
        ),
        rx.el.p(rx.el.code(line.sign, class_name="wrap"), class_name="small muted"),
        rx.cond(
            line.is_ending & (line.state == "CURRENT"),
            note(
                "triangle-alert",
                "It ends soon, and every certificate with it. Renew it now, then give the devices new certificates.",
            ),
        ),
        rx.cond(
            Authorities.retiring == line.id,
            doubt(
                "Take this authority out of use?",
                *("“", line.name, "” is accepted no more, at once and for good. ", line.cuts),
                yes=("Retire it", Authorities.retire(line.id)),
                no=("Keep it", Authorities.doubt("")),
            ),
        ),
        key=line.id,
    )


def authorities() -> rx.Component:
    """The card of the page about ways in; nothing before the first certificate was signed."""
    renew = rx.cond(
        may("devices:write") & ~Authorities.is_renewing,
        rx.el.button(
            "Renew…",
            type="button",
            class_name="btn btn-small",
            on_click=Authorities.consider(True),
            custom_attrs={"aria-label": "Renew the certificate authority"},
        ),
    )
    sure = rx.el.div(
        doubt(
            "Renew the certificate authority?",
            "A new authority signs from now on. What this one signed is accepted beside it, so devices change over "
            "one by one. Whoever checks certificates elsewhere needs the new one's certificate too.",
            yes=("Renew it", Authorities.renew),
            no=("Not now", Authorities.consider(False)),
        ),
        class_name="card-body",
    )
    notes = rx.cond(
        (Authorities.problem != "") | (Authorities.said != ""),
        rx.el.div(problem(Authorities.problem, Authorities.load), done(Authorities.said), class_name="card-body"),
    )
    return rx.cond(
        (Authorities.ready & (Authorities.lines.length() > 0)) | (Authorities.problem != ""),
        card(
            "Your certificate authority",
            notes,
            rx.cond(Authorities.is_renewing, sure),
            rx.el.ul(rx.foreach(Authorities.lines, _line), class_name="list"),
            aside=renew,
            words="It signs your organisation's devices and nothing else; its key is sealed and never leaves.",
        ),
    )
