"""Ways in: how devices register by themselves, and those that wait until somebody says yes."""

from datetime import UTC, datetime
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.authorities import authorities
from ui.components.frame import heading, link, may, page
from ui.components.gate import Gate, gate
from ui.components.new_way import NewWay, new_way
from ui.components.pieces import card, done, doubt, empty, field, line_head, problem, skeleton_rows
from ui.console import ALL_DEVICES, Console
from ui.islands.cells import when
from ui.ways import TURNED, Choice, DecidedLine, WaitingLine, WayLine, choices, decided_line, waiting_line, way_line


class WaysIn(Console):
    """The ways in, who waits, and who was decided lately."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    open: list[WayLine] = []
    ended: list[WayLine] = []
    waiting: list[WaitingLine] = []
    decided: list[DecidedLine] = []
    revoking: str = ""
    refusing: str = ""
    placing: str = ""
    profiles: list[Choice] = []
    groups: list[Choice] = []

    _certificates: dict[str, str] = {}

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        self.said = ""
        self._ask_nothing()
        if (away := await self.enter(ALL_DEVICES)) is not None:
            return away
        return await self._show()

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
        profiles = {each["id"]: each["name"] for each in found["profiles"]["items"]}
        groups = {each["id"]: each["name"] for each in found["deviceGroups"]["items"]}
        by_hand = [each for each in found["deviceGroups"]["items"] if each["filter"] is None]
        self.profiles, self.groups = choices(found["profiles"]["items"]), choices(by_hand)
        lines = [way_line(each, profiles, now) for each in ways]
        self.open = [each for each in lines if not each.ended_at]
        self.ended = [each for each in lines if each.ended_at]
        names = {each["id"]: each["name"] for each in ways}
        self.waiting = [waiting_line(each, names, profiles | groups) for each in found["waiting"]["items"]]
        lately = [each for each in found["lately"]["items"] if each["status"] in TURNED]
        self.decided = [decided_line(each) for each in lately]
        self._certificates = {each["id"]: each["certificate"] or "" for each in ways}
        self.problem, self.ready = "", True

    @rx.event
    def doubt(self, way_id: str) -> None:
        """Ask before a way in is closed; '' lets it be."""
        self._ask_nothing()
        self.revoking, self.said = way_id, ""

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
    def place(self, enrolment_id: str) -> None:
        """Ask what a device is and where it is put before it is let in; '' lets it wait."""
        self._ask_nothing()
        self.placing, self.said = enrolment_id, ""

    @rx.event
    async def approve_placed(self, form: dict[str, Any]) -> None:
        """Let a waiting device in as what was chosen now, instead of what the way in or its rule chose."""
        key, profile, group = self._key_of(self.placing), str(form.get("profile", "")), str(form.get("group", ""))
        chosen = {"profileId": profile or None, "groupIds": [group] if group else None}
        said = f"{key} may come in as chosen. It is told when it asks again."
        await self._do("enrolment_approve", said, id=self.placing, input=chosen)

    @rx.event
    def consider(self, enrolment_id: str) -> None:
        """Ask for the reason before a device is turned away; '' lets it wait."""
        self._ask_nothing()
        self.refusing, self.said = enrolment_id, ""

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
        self._ask_nothing()
        await self._show()
        self.said = said

    def _ask_nothing(self) -> None:
        self.revoking = self.refusing = self.placing = ""

    @rx.event
    def save_certificate(self, way_id: str) -> Any:
        """The certificate of a claim or an authority as a file."""
        return rx.download(data=self._certificates.get(way_id, ""), filename="certificate.crt")


def _placed() -> rx.Component:
    """What a waiting device is and where it is put, where that is not left as it was chosen."""

    def pick(name: str, label: str, found: rx.Var[list[Choice]]) -> rx.Component:
        every = rx.foreach(found, lambda each: rx.el.option(each.name, value=each.id))
        as_chosen = rx.el.option("As the way in says", value="")
        control = rx.el.select(as_chosen, every, id=f"place-{name}", name=name, class_name="select")
        return field(label, control, for_=f"place-{name}")

    return rx.el.form(
        pick("profile", "What is it?", WaysIn.profiles),
        rx.cond(WaysIn.groups.length() > 0, pick("group", "Into which group?", WaysIn.groups)),
        rx.el.div(
            rx.el.button("Let it in", type="submit", class_name="btn btn-primary"),
            rx.el.button("Let it wait", type="button", class_name="btn", on_click=WaysIn.place("")),
            class_name="row",
        ),
        on_submit=WaysIn.approve_placed,
        class_name="stack sheet",
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
            "Let in as…",
            type="button",
            class_name="btn btn-small",
            on_click=WaysIn.place(line.id),
            custom_attrs={"aria-label": "Choose what " + line.key + " is and let it in"},
        ),
        rx.el.button(
            "Turn away…",
            type="button",
            class_name="btn btn-small btn-danger",
            on_click=WaysIn.consider(line.id),
            custom_attrs={"aria-label": "Turn away " + line.key},
        ),
        class_name="row",
    )
    return rx.el.li(
        line_head(
            rx.el.b(rx.cond(line.name != "", line.name, line.key), class_name="wrap"),
            rx.cond((line.name != "") & (line.name != line.key), rx.el.code(line.key)),
            rx.foreach(line.labels, lambda label: rx.el.span(label, class_name="badge")),
            action=rx.cond(may("devices:write"), buttons),
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
            rx.cond(line.place != "", rx.el.span(" · becomes ", rx.el.b(line.place))),
            class_name="small muted",
        ),
        rx.cond(WaysIn.refusing == line.id, refuse),
        rx.cond(WaysIn.placing == line.id, _placed()),
        key=line.id,
    )


def _confirm(way: rx.Var[WayLine]) -> rx.Component:
    return doubt(
        "Close this way in?",
        *("No new device comes in by “", way.name, "” any more. Those that did stay. This is for good."),
        yes=("Close it", WaysIn.revoke(way.id)),
        no=("Keep it", WaysIn.doubt("")),
    )


def _way(way: rx.Var[WayLine]) -> rx.Component:
    def button(words: str, verb: str, on_click: Any, looks: str = "") -> rx.Component:
        return rx.el.button(
            words,
            type="button",
            class_name=f"btn btn-small {looks}".strip(),
            on_click=on_click,
            custom_attrs={"aria-label": rx.Var.create(f"{verb} ") + way.name},
        )

    buttons = rx.el.span(
        rx.cond(
            way.has_certificate,
            button("Certificate", "Save the certificate of", WaysIn.save_certificate(way.id)),
        ),
        button("Change…", "Change", Gate.open(way.id)),
        button("Close…", "Close", WaysIn.doubt(way.id), "btn-danger"),
        class_name="row",
    )
    return rx.el.li(
        line_head(
            rx.el.b(way.name, class_name="wrap"),
            rx.el.span(way.kind, class_name="badge"),
            action=rx.cond(
                way.ended_at != "",
                rx.el.span(way.ended_how, " ", when(at=way.ended_at), class_name="small muted"),
                rx.cond(may("devices:write"), buttons),
            ),
        ),
        rx.el.p(
            way.words,
            " · ",
            way.uses,
            rx.cond((way.expires_at != "") & (way.ended_at == ""), rx.el.span(" · closes ", when(at=way.expires_at))),
            class_name="small muted cap",
        ),
        rx.cond(WaysIn.revoking == way.id, _confirm(way)),
        rx.cond(Gate.uid == way.id, gate(on_saved=WaysIn.look_again)),
        key=way.id,
    )


def _decided(line: rx.Var[DecidedLine]) -> rx.Component:
    key = rx.cond(
        line.device_id != "", link(line.key, to="/devices/" + line.device_id, class_name="strong"), rx.el.b(line.key)
    )
    return rx.el.li(
        line_head(
            key,
            rx.el.span(line.said, class_name="badge"),
            action=rx.el.span(when(at=line.at), class_name="small muted"),
        ),
        rx.el.p(
            rx.cond(line.by != "", rx.el.span("By ", line.by)),
            rx.cond(line.reason != "", rx.el.span(" · told: “", line.reason, "”")),
            class_name="small muted",
        ),
        key=line.id,
    )


def _fold(title: str, lines: rx.Var[list[Any]], line: Any) -> rx.Component:
    return rx.cond(
        lines.length() > 0,
        rx.el.details(
            rx.el.summary(rx.el.h2(title), rx.el.span(lines.length().to_string(), class_name="small muted")),
            rx.el.ul(rx.foreach(lines, line), class_name="list"),
            class_name="card fold-card",
        ),
    )


def _new() -> rx.Component:
    return rx.cond(
        may("devices:write") & ~NewWay.is_making,
        rx.el.button(
            rx.icon("plus", size=16),
            "New way in",
            type="button",
            class_name="btn btn-primary",
            on_click=NewWay.begin,
        ),
    )


def _lists() -> rx.Component:
    none_yet = empty(
        "door-open",
        "Every device is added by hand",
        "Let devices register themselves: by a key in their software, or by certificates. You say how many may come.",
        _new(),
    )
    again = rx.el.button("Look again", type="button", class_name="btn btn-small", on_click=WaysIn.look_again)
    return rx.fragment(
        card(
            "Waiting for your yes",
            rx.cond(
                WaysIn.waiting.length() > 0,
                rx.el.ul(rx.foreach(WaysIn.waiting, _waiting), class_name="list"),
                rx.el.p(
                    "No device waits. Those that ask to come in, where somebody has to say yes, are listed here.",
                    class_name="card-body muted",
                ),
            ),
            aside=again,
        ),
        rx.el.section(
            rx.cond(WaysIn.open.length() > 0, rx.el.ul(rx.foreach(WaysIn.open, _way), class_name="list"), none_yet),
            class_name="card",
            aria_label="Open ways in",
        ),
        authorities(),
        _fold("Decided lately", WaysIn.decided, _decided),
        _fold("Closed", WaysIn.ended, _way),
    )


def ways_in() -> rx.Component:
    """The page."""
    return page(
        "Ways in",
        heading("Ways in", "How devices register by themselves, and those that wait until somebody says yes.", _new()),
        problem(WaysIn.problem, WaysIn.load),
        done(WaysIn.said),
        done(Gate.said),
        rx.cond(Gate.uid == "", problem(Gate.problem)),
        new_way(on_made=WaysIn.look_again),
        rx.cond(WaysIn.ready, _lists(), rx.el.div(skeleton_rows(), class_name="card")),
        needs=ALL_DEVICES,
    )
