"""One profile: its name, what its devices measure, and what happens to a value that it does not name."""

import math
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import link, may, page
from ui.components.pieces import card, done, field, problem, skeleton_rows
from ui.console import Console
from ui.pages.add_device import KEY, propose_key
from ui.pages.profiles import TYPE_WORDS, plain_number
from ui.words import METRIC_KEY

STRICT = "Turn away values that are not named below"
HEADS = ("Name it sends", "Shown as", "Kind", "Unit", "Lowest", "Highest")
STALE = "Somebody else has changed this profile while you had it open. Your changes are not saved yet."


class Unclear(Exception):
    """Something in the form cannot be used; the message says what, in words for the person who filled it in."""


@dataclass(frozen=True)
class MetricDraft:
    """A metric as a row of the form; `row` stays the same while it is edited."""

    row: str
    key: str = ""
    label: str = ""
    type: str = "NUMBER"
    unit: str = ""
    min: str = ""
    max: str = ""


def draft(row: int, metric: dict[str, Any]) -> MetricDraft:
    """A metric of the contract as a row of the form."""
    low, high = ("" if metric[end] is None else plain_number(metric[end]) for end in ("min", "max"))
    return MetricDraft(str(row), metric["key"], metric["label"] or "", metric["type"], metric["unit"] or "", low, high)


def metrics_of(rows: list[MetricDraft], form: dict[str, Any]) -> list[dict[str, Any]]:
    """The form's rows as the contract's metrics; raises Unclear for the first one that cannot be used.

    A row left empty altogether counts as not there.
    """
    found: list[dict[str, Any]] = []
    for row in rows:
        metric = _metric_of(row.row, form)
        if metric is None:
            continue
        if metric["key"] in (each["key"] for each in found):
            raise Unclear(f"“{metric['key']}” is there twice; each value needs a name of its own.")
        found.append(metric)
    return found


def _metric_of(row: str, form: dict[str, Any]) -> dict[str, Any] | None:
    said = {name: str(form.get(f"{name}-{row}", "")).strip() for name in ("key", "label", "type", "unit", "min", "max")}
    if not any(said[name] for name in ("key", "label", "unit", "min", "max")):
        return None
    key, kind = said["key"], said["type"] or "NUMBER"
    if not key:
        raise Unclear("One value has no name yet. Fill in the name that devices send, or remove the row.")
    if not METRIC_KEY.fullmatch(key):
        raise Unclear(f"“{key}” cannot be a name: begin with a letter, then letters, digits, . _ or - (at most 64).")
    is_number = kind == "NUMBER"
    low, high = (_number(key, said[end]) if is_number else None for end in ("min", "max"))
    if low is not None and high is not None and low >= high:
        raise Unclear(f"The lowest value of “{key}” has to be below its highest.")
    unit = (said["unit"] or None) if is_number else None
    return {"key": key, "type": kind, "label": said["label"] or None, "unit": unit, "min": low, "max": high}


def _number(key: str, text: str) -> float | None:
    plain = text.replace(" ", "").replace(",", "." if text.count(",") == 1 and "." not in text else "")
    if not plain:
        return None
    try:
        number = float(plain)
    except ValueError:
        raise Unclear(f"The limits of “{key}” have to be numbers; “{text}” is none.") from None
    if not math.isfinite(number):
        raise Unclear(f"The limits of “{key}” have to be numbers; “{text}” is none.")
    return number


class Profile(Console):
    """The profile of the address, or a new one, and what is being changed about it."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    uid: str = ""
    key: str = ""
    name: str = ""
    is_strict: bool = False
    rows: list[MetricDraft] = []
    is_stale: bool = False
    is_busy: bool = False

    _version: int = 0
    _last_row: int = 0
    _is_own_key: bool = False
    _kept: dict[str, Any] = {}  # what was typed when somebody else's change stood in the way

    @rx.var
    def is_new(self) -> bool:
        """Whether the profile does not exist yet."""
        return self.uid == ""

    @rx.event
    async def load(self) -> Any:
        """Come to the page: /profiles/new or /profiles/{id}."""
        last = self.segment()
        uid = "" if last == "new" else last
        if uid == "" or uid != self.uid:
            self.said = ""
        self.ready, self.is_stale, self.is_busy, self.uid, self.problem = False, False, False, uid, ""
        yield
        if (away := await self.enter()) is not None:
            yield away
            return
        self.uid = uid
        if uid:
            await self._show()
        else:
            self.key = self.name = ""
            self.is_strict, self._is_own_key = False, False
            self.rows = [self._blank()]
            self.ready = True

    async def _show(self) -> None:
        try:
            profile = (await self.ask("profile", id=self.uid))["profile"]
        except Refused as refusal:
            no_such = refusal.code in ("PROFILE_NOT_FOUND", "BAD_REQUEST")
            self.problem = "There is no such profile." if no_such else refusal.words
            return
        self.key, self.name, self.is_strict = profile["key"], profile["name"], profile["isStrict"]
        first = self._last_row + 1
        self.rows = [draft(first + i, metric) for i, metric in enumerate(profile["metrics"])]
        self._last_row += len(self.rows)
        self._version, self._kept = profile["version"], {}
        self.problem, self.is_stale, self.ready = "", False, True

    def _blank(self) -> MetricDraft:
        self._last_row += 1
        return MetricDraft(str(self._last_row))

    @rx.event
    def set_name(self, name: str) -> None:
        """The name; a new profile's key follows until somebody touches it."""
        self.name = name
        if self.is_new and not self._is_own_key:
            self.key = propose_key(name)

    @rx.event
    def set_key(self, key: str) -> None:
        """A key of the user's own."""
        self.key, self._is_own_key = key.strip(), bool(key.strip())

    @rx.event
    def set_strict(self, is_strict: bool) -> None:
        """What happens to values that the profile does not name."""
        self.is_strict = is_strict

    @rx.event
    def add(self) -> Any:
        """One more row; the cursor goes there."""
        self.rows, self.said = [*self.rows, self._blank()], ""
        return rx.call_script(
            f"requestAnimationFrame(() => document.querySelector('[name=\"key-{self._last_row}\"]')?.focus())"
        )

    @rx.event
    def remove(self, row: str) -> Any:
        """Take a row away; what was typed into the others stays, and the cursor goes on from there."""
        self.rows, self.said = [each for each in self.rows if each.row != row], ""
        return rx.call_script("document.getElementById('add-metric')?.focus()")

    @rx.event
    async def save(self, form: dict[str, Any]) -> Any:
        """Create the profile, or change it if nobody else has meanwhile."""
        self.is_busy, self.problem, self.said, self.is_stale = True, "", "", False
        yield
        try:
            metrics = metrics_of(self.rows, form)
            if not self.name.strip() or (self.is_new and not KEY.fullmatch(self.key)):
                raise Unclear("Please give the profile a name, and a key of letters, digits, - and _.")
        except Unclear as unclear:
            self.problem, self.is_busy = str(unclear), False
            return
        wanted = {"name": self.name.strip(), "isStrict": self.is_strict, "metrics": metrics}
        if self.is_new:
            yield await self._create({"key": self.key, **wanted})
        else:
            await self._update(wanted, self._version)
        self.is_busy = False

    async def _create(self, wanted: dict[str, Any]) -> Any:
        try:
            made = (await self.ask("profile_create", input=wanted))["profileCreate"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.uid, self.said = made["id"], f"“{wanted['name']}” is made. Devices can use it now."
        return rx.redirect(f"/profiles/{made['id']}")

    async def _update(self, wanted: dict[str, Any], version: int | None) -> None:
        try:
            await self.ask("profile_update", id=self.uid, input=wanted, version=version)
        except Refused as refusal:
            self.is_stale = refusal.code == "VERSION_STALE"
            self._kept = wanted if self.is_stale else {}
            self.problem = "" if self.is_stale else refusal.words
            return
        await self._show()
        self.said = "Saved. It holds for messages from now on; values already stored stay as they are."

    @rx.event
    async def take_theirs(self) -> None:
        """Show the profile as somebody else left it; what was typed here is let go."""
        await self._show()

    @rx.event
    async def insist(self) -> None:
        """Save what was typed here over the other change."""
        self.is_stale = False
        await self._update(self._kept, None)


def _cell(row: rx.Var[MetricDraft], name: str, label: str, **props: Any) -> rx.Component:
    value = getattr(row, name)
    return rx.el.label(
        rx.el.span(label, class_name="label-text"),
        rx.el.input(
            name=f"{name}-" + row.row, default_value=value, class_name="input " + props.pop("more", ""), **props
        ),
        class_name=f"cell cell-{name}",
    )


def _row(row: rx.Var[MetricDraft]) -> rx.Component:
    return rx.el.li(
        _cell(row, "key", "Name it sends", max_length=64, spell_check=False, placeholder="temperature", more="mono"),
        _cell(row, "label", "Shown as", max_length=100, placeholder="as it is sent"),
        rx.el.label(
            rx.el.span("Kind", class_name="label-text"),
            rx.el.select(
                *(rx.el.option(words, value=kind) for kind, words in TYPE_WORDS.items()),
                name="type-" + row.row,
                default_value=row.type,
                class_name="select",
            ),
            class_name="cell cell-type",
        ),
        _cell(row, "unit", "Unit", max_length=20, placeholder="degC"),
        _cell(row, "min", "Lowest", input_mode="decimal", max_length=24, placeholder="any", more="num"),
        _cell(row, "max", "Highest", input_mode="decimal", max_length=24, placeholder="any", more="num"),
        rx.el.button(
            rx.icon("trash-2", size=16),
            type="button",
            class_name="btn btn-ghost btn-icon cell-remove",
            on_click=Profile.remove(row.row),
            title="Remove this value",
            custom_attrs={"aria-label": rx.cond(row.key != "", "Remove " + row.key, "Remove this row")},
        ),
        class_name="metric-row",
        key=row.row,
    )


def _about() -> rx.Component:
    return card(
        "The profile",
        rx.el.div(
            rx.el.div(
                field(
                    "Name",
                    rx.el.input(
                        id="profile-name",
                        value=Profile.name,
                        on_change=Profile.set_name,
                        placeholder="Cold room sensor",
                        max_length=120,
                        required=True,
                        class_name="input",
                    ),
                    for_="profile-name",
                ),
                field(
                    "Key",
                    rx.el.input(
                        id="profile-key",
                        value=Profile.key,
                        on_change=Profile.set_key,
                        max_length=40,
                        read_only=~Profile.is_new,
                        spell_check=False,
                        class_name="input mono",
                    ),
                    rx.el.span(
                        rx.cond(
                            Profile.is_new,
                            "Rules and programs know the profile by it. Chosen once.",
                            "It never changes.",
                        )
                    ),
                    for_="profile-key",
                ),
                class_name="pair",
            ),
            rx.el.div(
                rx.el.button(
                    type="button",
                    class_name="switch",
                    on_click=Profile.set_strict(~Profile.is_strict),
                    role="switch",
                    custom_attrs={"aria-checked": Profile.is_strict, "aria-label": STRICT},
                ),
                rx.el.div(
                    rx.el.b(STRICT),
                    rx.el.p(
                        rx.cond(
                            Profile.is_strict,
                            "A message with any other value is not accepted and lies in the inbox.",
                            "Any other value is stored as it comes.",
                        ),
                        class_name="small muted",
                    ),
                ),
                class_name="row nowrap-row",
            ),
            class_name="card-body stack",
        ),
    )


def _metrics() -> rx.Component:
    return card(
        "What its devices send",
        rx.cond(
            Profile.rows.length() > 0,
            rx.fragment(
                rx.el.div(*map(rx.el.span, HEADS), class_name="metric-row metric-head", aria_hidden="true"),
                rx.el.ul(rx.foreach(Profile.rows, _row), class_name="list metric-rows"),
            ),
            rx.el.p("Nothing is named: devices may send anything.", class_name="card-body muted"),
        ),
        rx.el.div(
            rx.el.button(
                rx.icon("plus", size=16),
                "Add a value",
                type="button",
                id="add-metric",
                class_name="btn",
                on_click=Profile.add,
            ),
            class_name="pager",
        ),
        words="A value outside its limits, or of another kind, is not believed: its message lies in the inbox.",
    )


def _stale() -> rx.Component:
    return rx.cond(
        Profile.is_stale,
        rx.el.div(
            rx.icon("users", size=17),
            rx.el.div(
                rx.el.p(STALE),
                rx.el.div(
                    rx.el.button(
                        "Show their version", type="button", class_name="btn btn-small", on_click=Profile.take_theirs
                    ),
                    rx.el.button(
                        "Save mine over it", type="button", class_name="btn btn-small", on_click=Profile.insist
                    ),
                    class_name="row",
                    style={"marginTop": "8px"},
                ),
            ),
            class_name="note note-warn",
            role="alert",
        ),
    )


def _foot() -> rx.Component:
    return rx.fragment(
        _stale(),
        rx.cond(Profile.ready, problem(Profile.problem)),
        done(Profile.said),
        rx.cond(
            may("profiles:write"),
            rx.el.div(
                rx.el.button(
                    rx.cond(Profile.is_new, "Make the profile", "Save changes"),
                    type="submit",
                    class_name="btn btn-primary",
                    disabled=Profile.is_busy,
                ),
                link("Cancel", to="/profiles", class_name="btn"),
                rx.cond(Profile.said != "", link("Add a device", to="/devices/add", class_name="btn")),
                class_name="row",
            ),
            rx.el.p("You may look at profiles. To change them, ask an administrator.", class_name="small muted"),
        ),
    )


def profile() -> rx.Component:
    """The page."""
    return page(
        "Profiles",
        rx.el.div(
            link(rx.icon("arrow-left", size=15), "Profiles", to="/profiles", class_name="crumb"),
            rx.el.h1(rx.cond(Profile.is_new, "New profile", rx.cond(Profile.name != "", Profile.name, "Profile"))),
            rx.el.p("What devices of one make have in common. Nothing changes until you save.", class_name="muted"),
        ),
        rx.cond(
            Profile.ready,
            rx.el.form(
                rx.el.fieldset(_about(), _metrics(), disabled=~may("profiles:write"), class_name="bare stack-wide"),
                _foot(),
                on_submit=Profile.save,
                class_name="stack-wide",
            ),
            rx.cond(
                Profile.problem != "",
                problem(Profile.problem, Profile.load),
                rx.el.div(skeleton_rows(), class_name="card"),
            ),
        ),
    )
