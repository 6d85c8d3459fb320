"""Changing a way in: its name and limits, and the rule at its gate, tried before it counts."""

from dataclasses import replace
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.pieces import field, problem
from ui.console import Console
from ui.gate_rules import ASKS, MAX_LINES, THENS, GateLine, TooClever, Verdict, document, lines_of, verdict_words
from ui.ways import Choice, choices, most_of


class Gate(Console):
    """The way in that is being changed, the lines of its rule, and the device it is tried on."""

    uid: str = ""
    name: str = ""
    most: str = ""
    needs_approval: bool = False
    lines: list[GateLine] = []
    otherwise: GateLine = GateLine(0, then="in")
    is_clever: bool = False  # a rule that was not made of lines
    profiles: list[Choice] = []
    groups: list[Choice] = []
    problem: str = ""
    said: str = ""
    try_key: str = ""
    try_label: str = ""
    verdict: Verdict = Verdict("", False)

    _version: int = 0

    @rx.event
    def load(self) -> None:
        """Come to the page."""
        self.uid = self.said = ""

    @rx.event
    async def open(self, way_id: str) -> None:
        """Open the panel of one way in; '' closes it."""
        self.uid = self.problem = self.said = self.try_key = self.try_label = ""
        self.verdict = Verdict("", False)
        if not way_id:
            return
        try:
            found = await self.ask("ways_in")
        except Refused as refusal:
            self.problem = refusal.words
            return
        way = next((each for each in found["provisioners"]["items"] if each["id"] == way_id), None)
        if way is None:
            return
        self.name, self.most = way["name"], str(way["maxUses"] or "")
        self.needs_approval, self._version = way["needsApproval"], way["version"]
        self.profiles = choices(found["profiles"]["items"])
        by_hand = [each for each in found["deviceGroups"]["items"] if each["filter"] is None]
        self.groups = choices(by_hand)
        try:
            self.lines, self.otherwise = lines_of(way["rule"])
            self.is_clever = False
        except TooClever:
            self.lines, self.otherwise, self.is_clever = [], GateLine(0, then="in"), True
        self.uid = way_id

    @rx.event
    def add(self) -> None:
        """One more line."""
        if len(self.lines) < MAX_LINES:
            self.lines = [*self.lines, GateLine(max((each.number for each in self.lines), default=0) + 1)]
        self._outdate()

    @rx.event
    def take_away(self, number: int) -> None:
        """One line less."""
        self.lines = [each for each in self.lines if each.number != number]
        self._outdate()

    @rx.event
    def put(self, number: int, name: str, value: str) -> None:
        """Fill in one thing of a line; line 0 is what happens otherwise."""
        change: dict[str, Any] = {name: value, **({"extra": self._first(value)} if name == "then" else {})}
        before = self.otherwise, self.lines
        if number == 0:
            self.otherwise = replace(self.otherwise, **change)
        else:
            self.lines = [replace(each, **change) if each.number == number else each for each in self.lines]
        if (self.otherwise, self.lines) != before:
            self._outdate()

    def _outdate(self) -> None:
        """The note stays: to press a button leaves the field, and if the note went away then, the button would move."""
        if self.verdict.words:
            self.verdict = Verdict("You have changed the rule since you tried it. Try it again.", False, is_old=True)

    def _first(self, then: str) -> str:
        found = {"profile": self.profiles, "group": self.groups}.get(then, [])
        return found[0].key if found else ""

    @rx.event
    def start_anew(self) -> None:
        """Put lines in place of a rule that cannot be shown as lines."""
        self.is_clever = False

    @rx.event
    def set_try_key(self, key: str) -> None:
        """The key of the device it is tried on."""
        self.try_key = key

    @rx.event
    def set_try_label(self, label: str) -> None:
        """What that device would say of itself."""
        self.try_label = label

    @rx.event
    async def try_it(self) -> None:
        """Ask what the rule, as it stands on the screen, would say to a device."""
        self.problem, self.verdict = "", Verdict("", False)
        name, colon, value = (part.strip() for part in self.try_label.partition(":"))
        if self.try_label.strip() and not (colon and name):
            self.problem = "What it says of itself needs a colon, for example “site: 7”."
            return
        labels = {name: value} if colon else {}
        try:
            rule = document(self.lines, self.otherwise)
            given = {"rule": rule, "device": self.try_key.strip() or "my-new-device", "labels": labels, "subject": ""}
            found = (await self.ask("provisioning_rule_check", **given))["provisioningRuleCheck"]
        except (ValueError, Refused) as refusal:
            self.problem = str(refusal)
            return
        self.verdict = verdict_words(found)

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Save the name, the limits and the rule."""
        self.problem = ""
        try:
            most = most_of(str(form.get("most", "")))
            given: dict[str, Any] = {
                "name": str(form.get("name", "")).strip() or self.name,
                "needsApproval": bool(form.get("approval")),
                **({"maxUses": most} if most else {}),
                **({} if self.is_clever else {"rule": self._rule()}),
            }
            await self.ask("provisioner_update", id=self.uid, input=given, version=self._version)
        except (ValueError, Refused) as refusal:
            self.problem = str(refusal)
            return
        self.uid, self.said = "", f"“{given['name']}” is changed. It counts from the next device on."

    def _rule(self) -> dict[str, Any]:
        if not self.lines and self.otherwise.then == "in":
            return {}  # an empty object takes the rule away
        return document(self.lines, self.otherwise)


def _extra(line: rx.Var[GateLine], label: str) -> rx.Component:
    def pick(found: rx.Var[list[Choice]], name: str) -> rx.Component:
        return rx.el.select(
            rx.foreach(found, lambda each: rx.el.option(each.name, value=each.key)),
            value=line.extra,
            on_change=lambda value: Gate.put(line.number, "extra", value),
            class_name="select",
            custom_attrs={"aria-label": name},
        )

    words = rx.el.input(
        default_value=line.extra,
        on_blur=lambda value: Gate.put(line.number, "extra", value),
        max_length=200,
        placeholder="Not one of ours",
        class_name="input",
        custom_attrs={"aria-label": f"{label}: what the device is told"},
    )
    return rx.match(
        line.then,
        ("refuse", words),
        ("profile", pick(Gate.profiles, f"{label}: the profile")),
        ("group", pick(Gate.groups, f"{label}: the group")),
        rx.fragment(),
    )


def _then(line: rx.Var[GateLine], label: str) -> rx.Component:
    return rx.el.select(
        *(rx.el.option(words, value=value) for value, words in THENS),
        value=line.then,
        on_change=lambda value: Gate.put(line.number, "then", value),
        class_name="select",
        custom_attrs={"aria-label": f"{label}: what follows"},
    )


def _line(line: rx.Var[GateLine]) -> rx.Component:
    def text(name: str, label: str, placeholder: str) -> rx.Component:
        return rx.el.input(
            default_value=getattr(line, name),
            on_blur=lambda value: Gate.put(line.number, name, value),
            max_length=120,
            placeholder=placeholder,
            spell_check=False,
            class_name="input",
            custom_attrs={"aria-label": label},
        )

    is_label = (line.ask == "label_is") | (line.ask == "label_missing")
    return rx.el.li(
        rx.el.span("If ", class_name="gate-word"),
        rx.el.select(
            *(rx.el.option(words, value=value) for value, words, _ in ASKS),
            value=line.ask,
            on_change=lambda value: Gate.put(line.number, "ask", value),
            class_name="select",
            custom_attrs={"aria-label": "What is asked"},
        ),
        rx.cond(is_label, text("label", "Which label", "site")),
        rx.cond(line.ask == "label_is", rx.el.span("is", class_name="gate-word")),
        rx.cond(line.ask != "label_missing", text("value", "What it has to be", "")),
        rx.el.span("then", class_name="gate-word"),
        _then(line, "Then"),
        _extra(line, "Then"),
        rx.el.button(
            rx.icon("x", size=15),
            type="button",
            class_name="btn btn-small btn-ghost btn-icon",
            on_click=Gate.take_away(line.number),
            custom_attrs={"aria-label": "Take this line away"},
        ),
        class_name="gate-line",
        key=line.number.to_string(),
    )


def _try() -> rx.Component:
    def ask(name: str, label: str, placeholder: str, on_blur: Any) -> rx.Component:
        control = rx.el.input(
            id=f"try-{name}", on_blur=on_blur, placeholder=placeholder, spell_check=False, class_name="input"
        )
        return field(label, control, for_=f"try-{name}")

    return rx.el.div(
        rx.el.h3("Try it on a device"),
        rx.el.div(
            ask("key", "that asks for the key", "my-new-device", Gate.set_try_key),
            ask("label", "and says of itself", "site: 7", Gate.set_try_label),
            rx.el.button("Try it", type="button", class_name="btn", on_click=Gate.try_it),
            class_name="row row-end",
        ),
        rx.cond(
            Gate.verdict.words != "",
            rx.el.div(
                rx.cond(
                    Gate.verdict.is_old,
                    rx.icon("history", size=17),
                    rx.cond(Gate.verdict.is_in, rx.icon("door-open", size=17), rx.icon("door-closed", size=17)),
                ),
                rx.el.span(Gate.verdict.words, rx.cond(Gate.verdict.is_old, "", " Nothing was stored.")),
                class_name=rx.cond(
                    Gate.verdict.is_old, "note", rx.cond(Gate.verdict.is_in, "note note-ok", "note note-warn")
                ),
                role="status",
            ),
        ),
        class_name="stack-tight gate-try",
    )


def _rule() -> rx.Component:
    as_lines = rx.fragment(
        rx.cond(
            Gate.lines.length() > 0,
            rx.el.ol(rx.foreach(Gate.lines, _line), class_name="gate-lines"),
            rx.el.p("No questions yet: everybody is treated alike.", class_name="small muted"),
        ),
        rx.el.div(
            rx.el.button(
                rx.icon("plus", size=15), "A question", type="button", class_name="btn btn-small", on_click=Gate.add
            ),
            class_name="row",
        ),
        rx.el.div(
            rx.el.span(rx.cond(Gate.lines.length() > 0, "Otherwise", "Always"), class_name="gate-word"),
            _then(Gate.otherwise, "Otherwise"),
            _extra(Gate.otherwise, "Otherwise"),
            class_name="gate-line",
        ),
        _try(),
    )
    clever = rx.el.div(
        rx.el.p("This rule was written by the API and says more than lines can show. It stays as it is, unless you"),
        rx.el.button("start anew with lines", type="button", class_name="btn btn-small", on_click=Gate.start_anew),
        class_name="note row",
    )
    return rx.el.fieldset(
        rx.el.legend("What is asked at the door", class_name="label-text"),
        rx.el.p(
            "The first question that holds decides. If nobody can say whether it holds, the device is turned away.",
            class_name="small muted",
        ),
        rx.cond(Gate.is_clever, clever, as_lines),
        class_name="bare stack-tight",
    )


def gate(on_saved: Any) -> rx.Component:
    """The panel below a way in; `on_saved`: what follows."""
    return rx.el.form(
        rx.el.div(
            field(
                "Name",
                rx.el.input(
                    id="gate-name",
                    name="name",
                    default_value=Gate.name,
                    max_length=120,
                    required=True,
                    class_name="input",
                ),
                for_="gate-name",
            ),
            field(
                "How many may come in?",
                rx.el.input(
                    id="gate-most",
                    name="most",
                    default_value=Gate.most,
                    input_mode="numeric",
                    placeholder="any number",
                    class_name="input num",
                ),
                "Those that are in count.",
                for_="gate-most",
            ),
            class_name="pair",
        ),
        rx.el.label(
            rx.el.input(type="checkbox", name="approval", default_checked=Gate.needs_approval),
            rx.el.span("Somebody has to say yes to each device"),
            class_name="tick",
        ),
        _rule(),
        problem(Gate.problem),
        rx.el.div(
            rx.el.button("Save", type="submit", class_name="btn btn-primary"),
            rx.el.button("Cancel", type="button", class_name="btn", on_click=Gate.open("")),
            class_name="row",
        ),
        on_submit=[Gate.save, on_saved],
        class_name="stack sheet",
        aria_label="Change this way in",
        key=Gate.uid,
    )
