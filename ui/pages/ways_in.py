"""Ways in: how devices register by themselves, and those that wait until somebody says yes."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, may, page
from ui.components.pieces import card, done, empty, field, problem, skeleton_rows
from ui.console import Console
from ui.islands.cells import command, copy, when

KINDS = {"KEY": "provisioning key", "CLAIM": "claim certificate", "AUTHORITY": "authority of your own"}
SPANS = (("7", "in 7 days"), ("30", "in 30 days"), ("90", "in 90 days"), ("365", "in a year"), ("", "never"))
DEFAULT_SPAN = "30"


@dataclass(frozen=True)
class WayLine:
    """A way in for new devices."""

    id: str
    name: str
    kind: str
    words: str
    uses: str
    created_by: str
    created_at: str
    expires_at: str
    ended_at: str
    ended_how: str


@dataclass(frozen=True)
class WaitingLine:
    """A device that waits for approval."""

    id: str
    key: str
    name: str
    labels: list[str]
    way: str
    address: str
    asked_at: str
    expires_at: str


@dataclass(frozen=True)
class Choice:
    """A profile to choose."""

    id: str
    name: str


def way_line(way: dict[str, Any], profiles: dict[str, str], now: datetime) -> WayLine:
    """A provisioner of the contract as the page shows it."""
    expires, revoked = way["expiresAt"] or "", way["revokedAt"] or ""
    is_over = bool(expires) and datetime.fromisoformat(expires) <= now
    profile = profiles.get(way["profileId"] or "", "")
    makes = f"makes devices of {profile or 'a profile'}" if way["mode"] == "CREATE" else "lets registered devices in"
    approval = ", each after somebody's yes" if way["needsApproval"] else ""
    most = f" of at most {way['maxUses']:,}" if way["maxUses"] else ""
    return WayLine(
        way["id"],
        way["name"],
        KINDS.get(way["kind"], way["kind"].lower()),
        makes + approval,
        f"{way['uses']:,}{most} came in",
        way["createdBy"],
        way["createdAt"],
        expires,
        revoked or (expires if is_over else ""),
        "revoked" if revoked else "ended",
    )


def waiting_line(asked: dict[str, Any], ways: dict[str, str]) -> WaitingLine:
    """An enrolment of the contract as the page shows it."""
    return WaitingLine(
        asked["id"],
        asked["deviceKey"] or "",
        asked["name"] or "",
        [f"{name}: {value}" for name, value in asked["labels"].items()],
        ways.get(asked["provisionerId"], "a way in that is gone"),
        asked["address"],
        asked["askedAt"],
        asked["expiresAt"],
    )


def curl(key: str) -> str:
    """The line with which a device asks to come in; keys hold no quote, so single quotes are safe in any shell."""
    body = f'{{"key":"{key}","device":"my-new-device"}}'
    return f"curl -H 'Content-Type: application/json' -d '{body}' %ORIGIN%/ingest/v1/provision"


class WaysIn(Console):
    """The ways in, who waits, and the key that was just made."""

    SHOWN_ONCE: ClassVar[tuple[str, ...]] = ("key", "command")

    ready: bool = False
    problem: str = ""
    said: str = ""
    open: list[WayLine] = []
    ended: list[WayLine] = []
    waiting: list[WaitingLine] = []
    profiles: list[Choice] = []
    is_making: bool = False
    form_problem: str = ""
    key: str = ""
    key_name: str = ""
    command: str = ""
    revoking: str = ""
    refusing: str = ""

    @rx.event
    async def load(self) -> Any:
        """Come to the page. A key is shown once: whoever comes back does not see it again."""
        self.key = self.command = self.said = self.revoking = self.refusing = self.form_problem = ""
        self.is_making = False
        yield  # first of all: what is not to be seen again is gone
        if (away := await self.enter()) is not None:
            yield away
            return
        await self._show()

    @rx.event
    async def look_again(self) -> None:
        """Ask who waits now."""
        self.said = ""
        await self._show()

    async def _show(self) -> None:
        try:
            found = await self.ask("ways_in")
        except Refused as refusal:
            self.problem = refusal.words
            return
        now, ways = datetime.now(UTC), found["provisioners"]["items"]
        self.profiles = [Choice(each["id"], each["name"]) for each in found["profiles"]["items"]]
        lines = [way_line(each, {each.id: each.name for each in self.profiles}, now) for each in ways]
        self.open = [each for each in lines if not each.ended_at]
        self.ended = [each for each in lines if each.ended_at]
        names = {each["id"]: each["name"] for each in ways}
        self.waiting = [waiting_line(each, names) for each in found["enrolments"]["items"]]
        self.problem, self.ready = "", True

    @rx.event
    def write(self, is_making: bool) -> None:
        """Open or close the form for a new key."""
        self.is_making, self.form_problem, self.said = is_making, "", ""
        if is_making:
            self.key = self.command = ""

    @rx.event
    async def make(self, form: dict[str, Any]) -> None:
        """Make a key and show it."""
        self.form_problem = ""
        try:
            wanted = key_of(form)
            made = (await self.ask("provisioning_key_create", input=wanted))["provisioningKeyCreate"]
        except (ValueError, Refused) as refusal:
            self.form_problem = str(refusal)
            return
        self.key, self.key_name, self.is_making = made["key"], wanted["name"], False
        self.command = curl(self.key)
        await self._show()

    @rx.event
    def put_away(self) -> None:
        """The key was copied; it is not needed here any more."""
        self.key = self.command = ""

    @rx.event
    def doubt(self, way_id: str) -> None:
        """Ask before a way in is closed; '' lets it be."""
        self.revoking, self.refusing, self.said = way_id, "", ""

    @rx.event
    async def revoke(self, way_id: str) -> None:
        """Close a way in; devices that came in by it stay."""
        await self._do("provisioner_revoke", "That way in is closed. Devices that came in by it stay.", id=way_id)

    @rx.event
    async def approve(self, enrolment_id: str) -> None:
        """Let a waiting device in."""
        key = self._key_of(enrolment_id)
        await self._do("enrolment_approve", f"{key} may come in. It is told when it asks again.", id=enrolment_id)

    @rx.event
    def consider(self, enrolment_id: str) -> None:
        """Ask for the reason before a device is turned away; '' lets it wait."""
        self.refusing, self.revoking, self.said = enrolment_id, "", ""

    @rx.event
    async def refuse(self, form: dict[str, Any]) -> None:
        """Turn a waiting device away."""
        said, reason = f"{self._key_of(self.refusing)} is turned away.", str(form.get("reason", "")).strip()
        await self._do("enrolment_refuse", said, id=self.refusing, reason=reason)

    def _key_of(self, enrolment_id: str) -> str:
        return next((each.key for each in self.waiting if each.id == enrolment_id), "") or "The device"

    async def _do(self, operation: str, said: str, **variables: Any) -> None:
        self.said = ""
        try:
            await self.ask(operation, **variables)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.revoking = self.refusing = ""
        await self._show()
        self.said = said


def key_of(form: dict[str, Any]) -> dict[str, Any]:
    """What a form asks for as the contract's input; raises ValueError with words to show."""
    name, most, days = (str(form.get(word, "")).strip() for word in ("name", "most", "days"))
    if not name:
        raise ValueError("Please give the key a name: for example the batch it is for.")
    if most and not (most.isascii() and most.isdigit() and int(most) > 0):
        raise ValueError("How many may come in has to be a whole number above 0, or empty for any number.")
    creates = form.get("mode") != "PREREGISTERED"
    return {
        "name": name,
        "mode": "CREATE" if creates else "PREREGISTERED",
        "profileId": (str(form.get("profile", "")) or None) if creates else None,
        "needsApproval": bool(form.get("approval")),
        "maxUses": int(most) if most else None,
        "expiresAt": (datetime.now(UTC) + timedelta(days=int(days))).isoformat() if days else None,
    }


def _mode(value: str, title: str, words: str) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="radio", name="mode", value=value, default_checked=value == "CREATE"),
        rx.el.span(rx.el.b(title), rx.el.span(" ", words, class_name="muted")),
        class_name="tick",
    )


def _form() -> rx.Component:
    return card(
        "A new provisioning key",
        rx.el.form(
            field(
                "What is it for?",
                rx.el.input(
                    id="way-name",
                    name="name",
                    placeholder="Fans, delivery of May",
                    max_length=120,
                    required=True,
                    auto_focus=True,
                    class_name="input",
                ),
                for_="way-name",
            ),
            rx.el.fieldset(
                rx.el.legend("What may a device do that shows it?", class_name="label-text"),
                _mode("CREATE", "Register itself", "under a key that it names and that nobody has yet"),
                _mode("PREREGISTERED", "Fetch its token", "if you have added it before, for example by import"),
                class_name="bare rights-group",
            ),
            rx.el.div(
                field(
                    "New devices are of this profile",
                    rx.el.select(
                        rx.foreach(WaysIn.profiles, lambda each: rx.el.option(each.name, value=each.id)),
                        id="way-profile",
                        name="profile",
                        class_name="select",
                    ),
                    "For devices that register themselves.",
                    for_="way-profile",
                ),
                field(
                    "How many may come in?",
                    rx.el.input(
                        id="way-most",
                        name="most",
                        input_mode="numeric",
                        placeholder="any number",
                        class_name="input num",
                    ),
                    "The number of the batch is best.",
                    for_="way-most",
                ),
                field(
                    "It closes",
                    rx.el.select(
                        *(rx.el.option(words, value=days) for days, words in SPANS),
                        id="way-days",
                        name="days",
                        default_value=DEFAULT_SPAN,
                        class_name="select",
                    ),
                    for_="way-days",
                ),
                rx.el.label(
                    rx.el.input(type="checkbox", name="approval"),
                    rx.el.span(
                        "Somebody has to say yes to each device",
                        rx.el.span("They wait on this page.", class_name="sub"),
                    ),
                    class_name="tick",
                ),
                class_name="pair",
            ),
            problem(WaysIn.form_problem),
            rx.el.div(
                rx.el.button("Make the key", type="submit", class_name="btn btn-primary"),
                rx.el.button("Cancel", type="button", class_name="btn", on_click=WaysIn.write(False)),
                class_name="row",
            ),
            on_submit=WaysIn.make,
            class_name="card-body stack",
        ),
        words="One key for many devices: it goes into their software, and each gets a token of its own with it.",
    )


def _made() -> rx.Component:
    return rx.el.section(
        rx.el.div(
            rx.el.div(
                rx.icon("key-round", size=17),
                rx.el.span(
                    rx.el.b("The key of “", WaysIn.key_name, "” is shown this once."),
                    " Copy it now to where the devices get it from; we keep only a fingerprint of it.",
                ),
                class_name="note note-warn",
                role="status",
            ),
            rx.el.div(
                rx.el.div(WaysIn.key, class_name="code", id="way-key"),
                rx.el.div(
                    rx.el.span("Whoever holds it may bring devices in.", class_name="small muted"),
                    copy(text=WaysIn.key, label="Copy key"),
                    class_name="code-foot",
                ),
            ),
            rx.el.div(
                rx.el.h3("What a device does with it", style={"marginBottom": "6px"}),
                command(
                    text=WaysIn.command,
                    label="Command that brings a device in",
                    hint="It answers with the device's username and token, or with a ticket while it waits for a yes.",
                ),
            ),
            rx.el.div(
                rx.el.button("I have copied it", type="button", class_name="btn btn-primary", on_click=WaysIn.put_away)
            ),
            class_name="card-body stack",
        ),
        class_name="card",
        aria_label="The new key",
    )


def _waiting(line: rx.Var[WaitingLine]) -> rx.Component:
    refuse = rx.el.form(
        field(
            "What is the device told?",
            rx.el.input(
                id="refuse-reason",
                name="reason",
                max_length=200,
                required=True,
                auto_focus=True,
                placeholder="Not one of ours",
                class_name="input",
            ),
            for_="refuse-reason",
        ),
        rx.el.div(
            rx.el.button("Turn it away", type="submit", class_name="btn btn-danger-solid"),
            rx.el.button("Let it wait", type="button", class_name="btn", on_click=WaysIn.consider("")),
            class_name="row",
        ),
        on_submit=WaysIn.refuse,
        class_name="stack sheet",
    )
    buttons = rx.el.span(
        rx.el.button(
            "Let it in",
            type="button",
            class_name="btn btn-small btn-primary",
            on_click=WaysIn.approve(line.id),
            custom_attrs={"aria-label": "Let in " + line.key},
        ),
        rx.el.button(
            "Turn away…",
            type="button",
            class_name="btn btn-small btn-danger",
            on_click=WaysIn.consider(line.id),
            custom_attrs={"aria-label": "Turn away " + line.key},
        ),
        class_name="row push",
    )
    return rx.el.li(
        rx.el.div(
            rx.el.b(rx.cond(line.name != "", line.name, line.key)),
            rx.cond((line.name != "") & (line.name != line.key), rx.el.code(line.key)),
            rx.foreach(line.labels, lambda label: rx.el.span(label, class_name="badge")),
            rx.cond(may("devices:write"), buttons),
            class_name="row",
        ),
        rx.el.p(
            "Asked ",
            when(at=line.asked_at),
            " by “",
            line.way,
            "”",
            rx.cond(line.address != "", rx.el.span(" from ", line.address)),
            " · ends ",
            when(at=line.expires_at),
            class_name="small muted",
        ),
        rx.cond(WaysIn.refusing == line.id, refuse),
        key=line.id,
    )


def _confirm(way: rx.Var[WayLine]) -> rx.Component:
    return rx.el.div(
        rx.el.p("No new device comes in by “", way.name, "” any more. Those that did stay. This is for good."),
        rx.el.div(
            rx.el.button("Close it", type="button", class_name="btn btn-danger-solid", on_click=WaysIn.revoke(way.id)),
            rx.el.button("Keep it", type="button", class_name="btn", auto_focus=True, on_click=WaysIn.doubt("")),
            class_name="row",
        ),
        class_name="note note-warn confirm",
        role="group",
        aria_label="Close this way in?",
    )


def _way(way: rx.Var[WayLine]) -> rx.Component:
    close = rx.el.button(
        "Close…",
        type="button",
        class_name="btn btn-small btn-danger push",
        on_click=WaysIn.doubt(way.id),
        custom_attrs={"aria-label": "Close " + way.name},
    )
    return rx.el.li(
        rx.el.div(
            rx.el.b(way.name),
            rx.el.span(way.kind, class_name="badge"),
            rx.cond(
                way.ended_at != "",
                rx.el.span(way.ended_how, " ", when(at=way.ended_at), class_name="small muted push"),
                rx.cond(may("devices:write"), close),
            ),
            class_name="row",
        ),
        rx.el.p(
            way.words,
            " · ",
            way.uses,
            rx.cond((way.expires_at != "") & (way.ended_at == ""), rx.el.span(" · closes ", when(at=way.expires_at))),
            class_name="small muted cap",
        ),
        rx.cond(WaysIn.revoking == way.id, _confirm(way)),
        key=way.id,
    )


def _new() -> rx.Component:
    return rx.cond(
        may("devices:write") & ~WaysIn.is_making,
        rx.el.button(
            rx.icon("plus", size=16),
            "New key",
            type="button",
            class_name="btn btn-primary",
            on_click=WaysIn.write(True),
        ),
    )


def _lists() -> rx.Component:
    none_yet = empty(
        "door-open",
        "Every device is added by hand",
        "With a provisioning key devices register themselves: put it into their software, and say how many may come.",
        _new(),
    )
    again = rx.el.button("Look again", type="button", class_name="btn btn-small", on_click=WaysIn.look_again)
    return rx.fragment(
        card(
            "Waiting for your yes",
            rx.cond(
                WaysIn.waiting.length() > 0,
                rx.el.ul(rx.foreach(WaysIn.waiting, _waiting), class_name="list"),
                rx.el.p("Nobody waits.", class_name="card-body muted"),
            ),
            aside=again,
        ),
        rx.el.section(
            rx.cond(WaysIn.open.length() > 0, rx.el.ul(rx.foreach(WaysIn.open, _way), class_name="list"), none_yet),
            class_name="card",
            aria_label="Open ways in",
        ),
        rx.cond(
            WaysIn.ended.length() > 0,
            rx.el.details(
                rx.el.summary(
                    rx.el.h2("Closed"), rx.el.span(WaysIn.ended.length().to_string(), class_name="small muted")
                ),
                rx.el.ul(rx.foreach(WaysIn.ended, _way), class_name="list"),
                class_name="card fold-card",
            ),
        ),
    )


def ways_in() -> rx.Component:
    """The page."""
    return page(
        "Ways in",
        heading("Ways in", "How devices register by themselves, and those that wait until somebody says yes.", _new()),
        problem(WaysIn.problem, WaysIn.load),
        done(WaysIn.said),
        rx.cond(WaysIn.is_making, _form()),
        rx.cond(WaysIn.key != "", _made()),
        rx.cond(WaysIn.ready, _lists(), rx.el.div(skeleton_rows(), class_name="card")),
    )
