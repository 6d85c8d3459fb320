"""The rules in plain words, each with what it is to do; and the page of the editor."""

from dataclasses import dataclass, replace
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, may, only, page
from ui.components.instead import gone
from ui.components.pieces import done, empty, problem, search_box, severity_badge, skeleton_rows
from ui.components.rule_clock import rule_clock
from ui.components.rule_notices import rule_notices
from ui.console import Console
from ui.islands.cells import unbroken, when
from ui.islands.rule_editor import rule_editor

SEARCHED_FROM = 6  # of fewer rules one sees all at a glance
MODES = (("ON", "Acts"), ("SHADOW", "Only watches"), ("OFF", "Rests"))
ORDERS = (("CHANGED", "Newest change first"), ("FIRED", "Last fired first"), ("NAME", "By name"))
AT_ONCE, MOST = 50, 200  # rules of a page, and as many as the contract gives together


@dataclass(frozen=True)
class RuleLine:
    """A rule as one line of the list. `severity` is empty where nothing that it does depends on it."""

    id: str
    name: str
    sentence: str
    severity: str
    mode: str
    open_alerts: int
    is_readable: bool = True
    last_fired_at: str = ""  # empty: never yet


# An alert is that bad; people are told of that bad a thing, and endpoints too. Other acts have nothing to do with it.
BEARING = {"alert", "notify", "webhook"}


def rule_line(rule: dict[str, Any]) -> RuleLine:
    """A rule of the contract as the list shows it."""
    return RuleLine(
        rule["id"],
        rule["name"],
        rule["sentence"],
        str(rule["severity"]).lower() if rule["isReadable"] and BEARING & set(rule["actions"]) else "",
        rule["mode"],
        rule.get("openAlerts", 0),
        rule["isReadable"],
        rule["lastFiredAt"] or "",
    )


class Rules(Console):
    """The tenant's rules."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    rules: list[RuleLine] = []
    has_more: bool = False
    search: str = ""
    order: str = ORDERS[0][0]
    fresh: str = ""  # the rule that was published just now
    rule_id: str = ""
    is_open: bool = False  # whether rule_id is the address's: before that the editor must not show
    is_gone: bool = False  # or never was

    _end: str | None = None
    _is_news: bool = False  # whether what is said is of just now

    @rx.event
    async def load(self) -> Any:
        """Come to the list. What was just saved is said once, and the rule marked."""
        if (away := await self.enter("rules:read")) is not None:
            return away
        if not self._is_news:
            self.said = self.fresh = ""
        self.search, self._is_news = "", False
        await self._show()
        return None

    @rx.event
    async def set_search(self, text: str) -> None:
        """Show only rules whose names have these letters; '' shows all."""
        self.search = text.strip()
        await self._show()

    @rx.event
    async def set_order(self, order: str) -> None:
        """What stands first."""
        self.order = order
        await self._show()

    @rx.event
    async def refresh(self) -> None:
        """Something happened to an alert: what is open, and when each rule last fired. No line moves."""
        await self._count()
        if not self.ready:
            return
        try:
            found = await self._ask(min(max(len(self.rules), AT_ONCE), MOST), None)
        except Refused:
            return  # what is shown was so a moment ago
        now = {each["id"]: rule_line(each) for each in found["items"]}
        self.rules = [
            replace(each, open_alerts=now[each.id].open_alerts, last_fired_at=now[each.id].last_fired_at)
            if each.id in now
            else each
            for each in self.rules
        ]

    @rx.event
    async def more(self) -> None:
        """The next rules below those shown."""
        await self._show(after=self._end)

    async def _ask(self, first: int, after: str | None) -> dict[str, Any]:
        asked = await self.ask("rules", search=self.search or None, order=self.order, first=first, after=after)
        found: dict[str, Any] = asked["rules"]
        return found

    async def _show(self, after: str | None = None) -> None:
        try:
            found = await self._ask(AT_ONCE, after)
        except Refused as refusal:
            self.problem = refusal.words
            return
        new = [rule_line(each) for each in found["items"]]
        self.rules = self.rules + new if after else new
        self.has_more, self._end = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
        self.problem, self.ready = "", True

    @rx.event
    async def let(self, rule_id: str, mode: str) -> Any:
        """Let a rule act, only watch, or rest; shown at once, taken back when the platform refuses."""
        before, self.said = self.rules, ""
        self.rules = [replace(each, mode=mode) if each.id == rule_id else each for each in before]
        yield
        try:
            await self.ask("rule_set_mode", id=rule_id, mode=mode)
        except Refused as refusal:
            self.rules, self.problem = before, refusal.words

    @rx.event
    async def open_editor(self) -> Any:
        """Come to the editor: /rules/new or /rules/{id}."""
        self.is_open = self.is_gone = False
        yield
        if (away := await self.enter("rules:read")) is not None:
            yield away
            return
        last = self.segment()
        self.rule_id, self.said = "" if last == "new" else last, ""
        self.is_open = True

    @rx.event
    def missed(self) -> None:
        """The editor has found no such rule."""
        self.is_gone = True

    @rx.event
    def edited(self, words: str, rule_id: str) -> Any:
        """The editor is done: back to the list, which says what happened and marks the rule, if there is one."""
        self.said, self.fresh, self._is_news = words, rule_id, True
        return rx.redirect("/rules")


def _line(rule: rx.Var[RuleLine]) -> rx.Component:
    choose = rx.el.select(
        *(rx.el.option(words, value=mode) for mode, words in MODES),
        value=rule.mode,
        on_change=Rules.let(rule.id),
        class_name=rx.match(rule.mode, ("ON", "mode mode-on"), ("SHADOW", "mode mode-watch"), "mode"),
        custom_attrs={"aria-label": "What “" + rule.name + "” does"},
    )
    return rx.el.li(
        rx.el.div(
            rx.el.div(
                link(rule.name, to="/rules/" + rule.id, class_name="row-link"),
                rx.cond(rule.id == Rules.fresh, rx.el.span("just published", class_name="badge badge-accent")),
                rx.cond(~rule.is_readable, rx.el.span("cannot be read", class_name="badge badge-bad")),
                rx.cond(rule.severity != "", severity_badge(rule.severity)),
                rx.cond(
                    rule.open_alerts > 0,
                    link(
                        rx.cond(rule.open_alerts == 1, "1 open alert", rule.open_alerts.to_string() + " open alerts"),
                        to="/alerts?rule=" + rule.id,
                        class_name="badge badge-bad above",
                    ),
                ),
                class_name="row",
            ),
            rx.el.p(unbroken(text=rule.sentence), class_name="muted", style={"marginTop": "3px"}),
            class_name="rule-words",
        ),
        rx.el.p(
            rx.cond(
                rule.last_fired_at != "",
                rx.fragment("Fired ", when(at=rule.last_fired_at, spoken=True)),
                "Never fired yet",
            ),
            class_name="rule-fired small muted above",
        ),
        rx.el.div(
            rx.cond(
                rule.is_readable,
                rx.cond(may("rules:write"), choose, rx.match(rule.mode, *MODES[:-1], MODES[-1][1])),
                link("What to do", to="/rules/" + rule.id, class_name="btn btn-small"),
            ),
            class_name="row above nowrap",
        ),
        class_name=rx.cond(rule.mode == "OFF", "rule-line is-link is-off", "rule-line is-link")
        + rx.cond(rule.id == Rules.fresh, " is-fresh", ""),
        key=rule.id,
    )


def _new() -> rx.Component:
    new = link(rx.icon("plus", size=16), "New rule", to="/rules/new", class_name="btn btn-primary")
    return rx.cond(may("rules:write"), new)


def _order() -> rx.Component:
    return rx.el.select(
        *(rx.el.option(words, value=key) for key, words in ORDERS),
        value=Rules.order,
        on_change=Rules.set_order,
        class_name="select",
        custom_attrs={"aria-label": "Order"},
    )


def _none() -> rx.Component:
    """In place of the list, where nothing is in it."""
    return rx.cond(
        Rules.search != "",
        empty("search-x", "No rule is called that", "Try other letters of its name, or show all rules."),
        empty(
            "workflow",
            "No rules yet",
            "A rule is one sentence: when a value is out of line for some time, raise an alert. "
            "Begin with one of the templates: it is tried on what your devices have sent before it acts.",
            _new(),
        ),
    )


def rules() -> rx.Component:
    """The list."""
    return page(
        "Rules",
        heading("Rules", "What the platform watches for you, day and night.", _new(), about="rule"),
        done(Rules.said),
        problem(Rules.problem, Rules.load),
        rule_notices(),
        rx.cond(
            Rules.ready & ((Rules.rules.length() > 1) | (Rules.search != "")),
            rx.el.div(
                rx.cond(
                    (Rules.rules.length() >= SEARCHED_FROM) | (Rules.search != ""),
                    search_box("Search rules by name", Rules.set_search, placeholder="Search by name"),
                ),
                _order(),
                class_name="toolbar rules-bar",
            ),
        ),
        rx.el.section(
            rx.cond(
                Rules.ready,
                rx.cond(
                    Rules.rules.length() > 0,
                    rx.fragment(
                        rx.el.ul(rx.foreach(Rules.rules, _line), class_name="list"),
                        rx.cond(
                            Rules.has_more,
                            rx.el.div(
                                rx.el.button(
                                    "Show more", type="button", class_name="btn btn-small", on_click=Rules.more
                                ),
                                class_name="pager",
                            ),
                        ),
                    ),
                    _none(),
                ),
                skeleton_rows(),
            ),
            class_name="card",
            aria_label="Rules",
        ),
        rule_clock(),
        on_alert=Rules.refresh,
        needs="rules:read",
    )


def rule() -> rx.Component:
    """The editor of one rule, or of a new one."""
    is_new = Rules.rule_id == ""
    may_write = may("rules:write")
    words = rx.cond(
        is_new,
        "Choose what you want to be told of, then make it your own. Nothing is in force until you publish.",
        rx.cond(may_write, "Nothing changes until you publish.", "You may look at it and try it, and not change it."),
    )
    island = rule_editor(Rules.rule_id, may_write=may_write, on_done=Rules.edited, on_absent=Rules.missed)
    editor = rx.el.div(island, class_name="island")  # grey while it is on its way
    return page(
        "Rules",
        rx.cond(
            Rules.is_gone,
            gone("rule", "See all rules", "/rules"),
            only(
                "rules:write",
                rx.el.div(
                    link(rx.icon("arrow-left", size=15), "Rules", to="/rules", class_name="crumb"),
                    rx.el.h1(rx.cond(is_new, "New rule", rx.cond(may_write, "Edit rule", "Rule"))),
                    rx.el.p(words, class_name="muted"),
                ),
                rule_notices(),
                rx.cond(Rules.is_open, editor, rx.el.div(skeleton_rows(), class_name="card")),
                where=is_new & Rules.is_open,
            ),
        ),
        needs="rules:read",
    )
