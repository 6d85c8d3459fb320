"""Silences: nobody is told of some alerts for a while. What there is, making one, ending one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import ALL_DEVICES, may
from ui.components.pieces import answers, card, done, empty, field, line_head, problem, skeleton_rows
from ui.console import Console
from ui.islands.cells import when
from ui.islands.spans import spans
from ui.names import with_names

ABOUT = (
    ("rule", "one rule"),
    ("device", "one device"),
    ("group", "one group of devices"),
    ("all", "everything"),
)
FOUND = 20


@dataclass(frozen=True)
class Choice:
    """Something a silence can be about."""

    id: str
    name: str


@dataclass(frozen=True)
class SilenceLine:
    """A silence as one line: "Nobody is told of … until …"."""

    id: str
    about: str
    reason: str
    from_at: str
    until_at: str
    ended_at: str
    is_over: bool
    is_coming: bool
    by: str


def about(silence: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """What a silence is about, in words; `names` by id."""
    parts = []
    if rule := silence["ruleId"]:
        parts.append(f"“{names.get(rule, 'a deleted rule')}”")
    if device := silence["deviceId"]:
        parts.append(f"{'on ' if parts else ''}{names.get(device, 'a removed device')}")
    if group := silence["groupId"]:
        parts.append(f"{'on ' if parts else ''}the devices of “{names.get(group, 'a deleted group')}”")
    return " ".join(parts) or "any alert"


def silence_line(silence: Mapping[str, Any], names: Mapping[str, str], now: datetime) -> SilenceLine:
    """A silence of the contract as the page shows it."""
    is_over = bool(silence["endedAt"]) or datetime.fromisoformat(silence["untilAt"]) <= now
    return SilenceLine(
        id=silence["id"],
        about=about(silence, names),
        reason=silence["reason"],
        from_at=silence["fromAt"],
        until_at=silence["untilAt"],
        ended_at=silence["endedAt"] or "",
        is_over=is_over,
        is_coming=not is_over and datetime.fromisoformat(silence["fromAt"]) > now,
        by=silence["createdBy"],
    )


class Silences(Console):
    """The silences, and the one that is being made."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    open: list[SilenceLine] = []
    over: list[SilenceLine] = []
    has_more: bool = False
    is_making: bool = False
    what: str = "rule"
    chosen: str = ""  # the id of what it is about
    choices: list[Choice] = []

    _end: str | None = None
    _names: dict[str, str] = {}

    @rx.event
    async def load(self) -> Any:
        """Come to the page; ?rule=… or ?device=… begins a silence about it."""
        self.is_making, self.problem, self.said = False, "", ""
        await self._show()
        asked = self.router.url.query_parameters
        for what in ("rule", "device"):
            if chosen := str(asked.get(f"silence_{what}", "")):
                await self._open(what, chosen)

    async def _show(self, after: str | None = None) -> None:
        try:
            past = (await self.ask("silences", isOpen=False, after=after))["silences"]
            now_on = (await self.ask("silences", isOpen=True, after=None))["silences"]["items"]
            names = await self._named([*now_on, *past["items"]])
        except Refused as refusal:
            self.problem = refusal.words
            return
        now = datetime.now(UTC)
        over = [silence_line(each, names, now) for each in past["items"]]
        self.open = [silence_line(each, names, now) for each in now_on]
        self.over = self.over + over if after else over
        self.has_more, self._end = past["pageInfo"]["hasNextPage"], past["pageInfo"]["endCursor"]
        self.ready = True

    async def _named(self, silences: list[dict[str, Any]]) -> dict[str, str]:
        """The names of all that these are about."""
        names = dict(self._names)
        if any(each["ruleId"] for each in silences):
            names |= {each["id"]: each["name"] for each in (await self.ask("rule_names"))["rules"]["items"]}
        if any(each["groupId"] for each in silences):
            names |= {each["id"]: each["name"] for each in (await self.ask("group_names"))["deviceGroups"]["items"]}
        self._names = await with_names(self, names, [each["deviceId"] for each in silences if each["deviceId"]])
        return self._names

    @rx.event
    async def more(self) -> None:
        """Older ones."""
        await self._show(after=self._end)

    @rx.event
    async def make(self, is_making: bool) -> None:
        """Open or close the form."""
        self.is_making, self.problem, self.said = is_making, "", ""
        if is_making:
            await self._open("rule", "")

    async def _open(self, what: str, chosen: str) -> None:
        self.is_making, self.what = True, what
        await self._offer("")
        if chosen and all(each.id != chosen for each in self.choices):
            name = (await with_names(self, self._names, [chosen])).get(chosen, "")
            self.choices = [Choice(chosen, name), *self.choices]
        self.chosen = chosen or (self.choices[0].id if self.choices else "")

    @rx.event
    async def set_what(self, what: str) -> Any:
        """A rule, a device, a group, or everything."""
        self.what, self.choices, self.chosen = what, [], ""
        yield
        await self._offer("")
        self.chosen = self.choices[0].id if self.choices else ""

    @rx.event
    async def search(self, text: str) -> None:
        """Devices whose name or key has this in it."""
        await self._offer(text.strip())
        self.chosen = self.choices[0].id if self.choices else ""

    @rx.event
    def choose(self, chosen: str) -> None:
        """What it is about."""
        self.chosen = chosen

    async def _offer(self, search: str) -> None:
        try:
            found = await self._found(search)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.choices = [Choice(each["id"], each["name"] or each["key"]) for each in found]

    async def _found(self, search: str) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = []
        if self.what == "rule":
            items = (await self.ask("rule_names"))["rules"]["items"]
        elif self.what == "group":
            items = (await self.ask("group_names"))["deviceGroups"]["items"]
        elif self.what == "device":
            items = (await self.ask("devices", search=search or None, first=FOUND))["devices"]["items"]
        return items

    @rx.event
    async def create(self, form: dict[str, Any]) -> None:
        """Make it."""
        self.problem = self.said = ""
        if self.what != "all" and not self.chosen:
            self.problem = "Choose what it is about."
            return
        silence = {
            "reason": str(form.get("reason", "")).strip(),
            "untilAt": form.get("until_at") or None,
            "fromAt": form.get("from_at") or None,
        }
        if self.what != "all":
            silence[f"{self.what}Id"] = self.chosen
        if silence["untilAt"] is None:
            self.problem = "Say until when."
            return
        try:
            await self.ask("silence_create", input=silence)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.is_making = False
        await self._show()
        self.said = "Done. Alerts are still raised and listed; only nobody is told of them."

    @rx.event
    async def end(self, silence_id: str) -> None:
        """End it now."""
        self.problem = self.said = ""
        try:
            await self.ask("silence_end", id=silence_id)
        except Refused as refusal:
            self.problem = refusal.words
            return
        await self._show()
        self.said = "It is over. Whoever should know of what is still open is told now."


def _form() -> rx.Component:
    what = rx.el.fieldset(
        rx.el.legend("Nobody is told of alerts of", class_name="label-text"),
        rx.el.div(
            *(
                rx.el.label(
                    rx.el.input(
                        type="radio",
                        name="what",
                        value=key,
                        checked=Silences.what == key,
                        on_change=Silences.set_what(key),
                    ),
                    rx.el.span(words),
                    class_name="span-offer",
                )
                for key, words in ABOUT
            ),
            class_name="span-offers",
        ),
        class_name="spans",
    )
    search = rx.cond(
        Silences.what == "device",
        field(
            "Find the device",
            rx.el.input(
                id="silence-search",
                type="search",
                placeholder="Its name or key",
                default_value="",
                class_name="input",
                on_change=Silences.search.debounce(250),
            ),
            for_="silence-search",
        ),
    )
    which = rx.cond(
        Silences.what != "all",
        rx.cond(
            Silences.choices.length() > 0,
            field(
                "Which one",
                rx.el.select(
                    rx.foreach(Silences.choices, lambda each: rx.el.option(each.name, value=each.id)),
                    id="silence-which",
                    value=Silences.chosen,
                    on_change=Silences.choose,
                    class_name="select",
                ),
                for_="silence-which",
            ),
            rx.el.p("There is none.", class_name="muted small"),
        ),
    )
    return card(
        "New silence",
        rx.el.form(
            what,
            rx.cond(Silences.what != "all", rx.el.div(search, which, class_name="pair")),
            spans(name="silence", legend="For how long", offers=["hour", "night", "weekend", "week"], has_start=True),
            field(
                "Why",
                rx.el.input(
                    id="silence-reason",
                    name="reason",
                    required=True,
                    max_length=500,
                    placeholder="The cold room is being cleaned",
                    class_name="input",
                ),
                "For those who wonder why nobody told them. It stands in the history of each alert.",
                for_="silence-reason",
            ),
            answers("Tell nobody", Silences.make(False)),
            on_submit=Silences.create,
            class_name="card-body stack",
        ),
    )


def _line(each: rx.Var[SilenceLine]) -> rx.Component:
    times = rx.cond(
        each.is_coming,
        rx.el.span("begins ", when(at=each.from_at, both=True), " and ends ", when(at=each.until_at, both=True)),
        rx.el.span("ends ", when(at=each.until_at, both=True)),
    )
    ended = rx.cond(
        each.ended_at != "",
        rx.el.span("ended ", when(at=each.ended_at)),
        rx.el.span("ended by itself ", when(at=each.until_at)),
    )
    end = rx.el.button(
        rx.cond(each.is_coming, "Drop it", "End it now"),
        type="button",
        class_name="btn btn-small",
        on_click=Silences.end(each.id),
        custom_attrs={"aria-label": "End now: " + each.about},
    )
    return rx.el.li(
        line_head(
            rx.el.p(
                rx.cond(
                    each.is_over,
                    rx.el.span("Nobody was told of ", rx.el.b(each.about), ", ", ended, "."),
                    rx.cond(
                        each.is_coming,
                        rx.el.span("Nobody will be told of ", rx.el.b(each.about), "; it ", times, "."),
                        rx.el.span("Nobody is told of ", rx.el.b(each.about), "; it ", times, "."),
                    ),
                )
            ),
            action=rx.cond(~each.is_over & may("alerts:write") & may(ALL_DEVICES), end),
        ),
        rx.el.p("“", each.reason, "” · ", each.by, class_name="small muted"),
        key=each.id,
    )


def silences() -> rx.Component:
    """The tab."""
    none_now = empty(
        "bell",
        "Everybody is told of everything",
        "While something is being mended or cleaned, make a silence: alerts are raised, and nobody is woken.",
        small=True,
    )
    new = rx.cond(
        ~Silences.is_making & may("alerts:write") & may(ALL_DEVICES),
        rx.el.button(
            rx.icon("bell-off", size=16),
            "New silence",
            type="button",
            class_name="btn btn-primary",
            on_click=Silences.make(True),
        ),
        rx.fragment(),
    )
    past = rx.cond(
        Silences.over.length() > 0,
        rx.el.details(
            rx.el.summary("Earlier silences"),
            rx.el.ul(rx.foreach(Silences.over, _line), class_name="list"),
            rx.cond(
                Silences.has_more,
                rx.el.div(
                    rx.el.button("Show older", type="button", class_name="btn btn-small", on_click=Silences.more),
                    class_name="pager",
                ),
            ),
            class_name="card fold-card",
        ),
    )
    return rx.fragment(
        problem(Silences.problem),
        done(Silences.said),
        rx.cond(Silences.is_making & may("alerts:write") & may(ALL_DEVICES), _form()),
        rx.cond(
            Silences.ready,
            rx.fragment(
                card(
                    "Silences",
                    rx.cond(
                        Silences.open.length() > 0,
                        rx.el.ul(rx.foreach(Silences.open, _line), class_name="list list-top"),
                        none_now,
                    ),
                    aside=new,
                    about="silence",
                ),
                past,
            ),
            rx.el.div(skeleton_rows(3), class_name="card"),
        ),
    )
