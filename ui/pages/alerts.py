"""Alerts: what is open, live, one by one or by rule; what is over; silences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.alert_words import minutes_until
from ui.client import Refused
from ui.components.alert_pieces import edge, quiet
from ui.components.alert_silences import silences
from ui.components.frame import heading, link, may, page
from ui.components.pieces import done, empty, problem, severity_badge, skeleton_rows
from ui.console import Console
from ui.islands.cells import told, when
from ui.islands.spans import spans
from ui.words import AlertLine, alert_line

SEVERITY_ORDER = ("critical", "major", "minor", "warning", "info")
AT_ONCE = 200  # as many as the contract changes together
TABS = (("open", "Open"), ("cleared", "Over"), ("silences", "Silences"))
SEVERITIES = (
    ("", "Every severity"),
    ("CRITICAL", "Critical"),
    ("MAJOR", "Major"),
    ("MINOR", "Minor"),
    ("INFO", "Info"),
)
WHOSE = (("all", "Everybody's"), ("mine", "Assigned to me"), ("nobody", "Assigned to nobody"))


@dataclass(frozen=True)
class RuleLine:
    """The open alerts of one rule together."""

    id: str
    name: str
    severity: str
    counted: str
    unseen: str
    oldest_at: str
    newest_at: str


def worst_first(alerts: list[AlertLine]) -> list[AlertLine]:
    """By severity, then the newest first."""

    def rank(severity: str) -> int:
        return SEVERITY_ORDER.index(severity) if severity in SEVERITY_ORDER else len(SEVERITY_ORDER)

    newest_first = sorted(alerts, key=lambda each: each.raised_at, reverse=True)
    return sorted(newest_first, key=lambda each: rank(each.severity))


def rule_line(group: Mapping[str, Any]) -> RuleLine:
    """A rule's open alerts as one line."""
    count, unseen = group["open"], group["unacknowledged"]
    if unseen == 0:
        noted = "somebody has taken note of all"
    elif unseen == count:
        noted = "nobody has taken note"
    else:
        noted = f"nobody has taken note of {unseen:,}"
    return RuleLine(
        id=group["rule"]["id"],
        name=group["rule"]["name"],
        severity=str(group["severity"]).lower(),
        counted="1 alert" if count == 1 else f"{count:,} alerts",
        unseen=noted,
        oldest_at=group["oldestAt"],
        newest_at=group["newestAt"],
    )


class Alerts(Console):
    """Open and past alerts, as chosen, and those that are ticked."""

    ready: bool = False
    problem: str = ""
    said: str = ""
    tab: str = "open"
    severity: str = ""
    whose: str = "all"
    by_rule: bool = False
    rule_id: str = ""
    rule_name: str = ""
    active: list[AlertLine] = []
    acknowledged: list[AlertLine] = []
    cleared: list[AlertLine] = []
    groups: list[RuleLine] = []
    has_more_open: bool = False
    has_more: bool = False
    chosen: list[str] = []
    is_putting_off: bool = False  # those that are ticked
    answering: str = ""  # the alert whose acknowledgement is being written

    _end: str | None = None

    @rx.event
    async def load(self) -> Any:
        """Come to the page; ?tab=…, ?rule=… and a begun silence are in the address."""
        if (away := await self.enter("alerts:read")) is not None:
            return away
        asked = self.router.url.query_parameters
        begun = any(name.startswith("silence_") for name in asked)
        tab = "silences" if begun else asked.get("tab", "open")
        self.tab = tab if tab in dict(TABS) else "open"
        self.rule_id, self.rule_name, self.answering = asked.get("rule", ""), "", ""
        await self._choose_anew()
        return None

    @rx.event
    async def refresh(self) -> None:
        """Something happened to an alert: ask again."""
        await self._show()
        await self._count()

    @rx.event
    async def more(self) -> None:
        """Older cleared alerts."""
        await self._show(after=self._end)

    @rx.event
    async def show_tab(self, tab: str) -> None:
        """Open, over, or silences."""
        self.tab, self.answering = tab, ""
        await self._choose_anew()

    @rx.event
    async def set_severity(self, severity: str) -> None:
        """Only alerts as bad as this; '' for all."""
        self.severity = severity
        await self._choose_anew()

    @rx.event
    async def set_whose(self, whose: str) -> None:
        """Everybody's, mine, or nobody's yet."""
        self.whose = whose
        await self._choose_anew()

    @rx.event
    async def group(self, by_rule: bool) -> None:
        """By rule, or one by one."""
        self.by_rule, self.rule_id = by_rule, ""
        await self._choose_anew()

    @rx.event
    async def only_rule(self, rule_id: str) -> None:
        """The alerts of one rule, one by one; '' for all rules."""
        self.rule_id, self.by_rule = rule_id, False
        await self._choose_anew()

    async def _choose_anew(self) -> None:
        """Another list: nothing of it is ticked, and what was said of the one before is past."""
        self.chosen, self.is_putting_off, self.said = [], False, ""
        await self._show()

    async def _show(self, after: str | None = None) -> None:
        if self.tab == "silences":
            self.ready = True
            return
        try:
            if self.by_rule and self.tab == "open":
                self.groups = [rule_line(each) for each in (await self.ask("alert_groups"))["alertGroups"]]
            elif self.tab == "open":
                await self._show_open()
            else:
                await self._show_cleared(after)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.problem, self.ready = "", True

    async def _fetch(self, is_open: bool, first: int, after: str | None) -> dict[str, Any]:
        data = await self.ask(
            "alerts",
            isOpen=is_open,
            severity=self.severity or None,
            ruleId=self.rule_id or None,
            assignedTo=self.user_id if self.whose == "mine" else None,
            first=first,
            after=after,
        )
        found: dict[str, Any] = data["alerts"]
        return found

    async def _show_open(self) -> None:
        found = await self._fetch(True, AT_ONCE, None)
        lines = self._of_whom(found["items"])
        self.active = worst_first([each for each in lines if each.status == "ACTIVE"])
        self.acknowledged = worst_first([each for each in lines if each.status != "ACTIVE"])
        self.has_more_open = found["pageInfo"]["hasNextPage"]
        still_there = {each.id for each in self.active}
        self.chosen = [each for each in self.chosen if each in still_there]
        self.is_putting_off = self.is_putting_off and bool(self.chosen)
        if self.answering not in still_there:
            self.answering = ""
        self.rule_name = lines[0].rule if self.rule_id and lines else self.rule_name

    async def _show_cleared(self, after: str | None) -> None:
        found = await self._fetch(False, 20, after)
        cleared = self._of_whom(found["items"])
        self.cleared = self.cleared + cleared if after else cleared
        self.has_more, self._end = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]

    def _of_whom(self, alerts: list[dict[str, Any]]) -> list[AlertLine]:
        """The contract can ask for somebody's alerts, not for nobody's: those are picked out here."""
        lines = [alert_line(each) for each in alerts]
        return [each for each in lines if not each.assigned_to] if self.whose == "nobody" else lines

    @rx.event
    def answer(self, alert_id: str) -> None:
        """Open the form that acknowledges this alert; '' closes it."""
        self.answering = alert_id

    @rx.event
    def tick(self, alert_id: str) -> None:
        """Choose an alert, or let it be."""
        without = [each for each in self.chosen if each != alert_id]
        self.chosen = without if alert_id in self.chosen else [*without, alert_id]

    @rx.event
    def tick_all(self, is_ticked: bool) -> None:
        """Choose all that nobody has taken note of, or none."""
        self.chosen = [each.id for each in self.active][:AT_ONCE] if is_ticked else []

    @rx.event
    def put_off(self, is_open: bool) -> None:
        """Open or close the form that puts off those that are ticked."""
        self.is_putting_off = is_open

    @rx.event
    async def acknowledge(self, form: dict[str, Any]) -> None:
        """Say that somebody cares, with a note for the others."""
        await self._do("alerts_acknowledge", [self.answering], "acknowledged", note=_written(form))

    @rx.event
    async def acknowledge_chosen(self, form: dict[str, Any]) -> None:
        """The same for all that are ticked, together."""
        await self._do("alerts_acknowledge", self.chosen, "acknowledged", note=_written(form))

    @rx.event
    async def snooze_chosen(self, form: dict[str, Any]) -> None:
        """Put off all that are ticked, together."""
        try:
            minutes = minutes_until(str(form.get("until_at", "")))
        except ValueError:
            self.problem = "Say until when."
            return
        await self._do("alerts_snooze", self.chosen, "put off", minutes=minutes)

    async def _do(self, operation: str, ids: list[str], done: str, **variables: Any) -> None:
        self.problem = self.said = ""
        try:
            (now,) = (await self.ask(operation, ids=ids, **variables)).values()
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.answering, self.chosen, self.is_putting_off = "", [], False
        await self._show()
        await self._count()
        self.said = become(done, [each["status"] for each in now])


def _written(form: Mapping[str, Any]) -> str | None:
    return str(form.get("note", "")).strip() or None


def become(done: str, stand: list[str]) -> str:
    """What was done with alerts together, by where they stand now: those that had ended meanwhile stay as they are."""
    ended = stand.count("CLEARED")
    did = len(stand) - ended
    said = "" if not did else f"1 alert is {done}." if did == 1 else f"{did} alerts are {done}."
    over = "" if not ended else "1 had ended meanwhile." if ended == 1 else f"{ended} had ended meanwhile."
    return " ".join(filter(None, (said, over)))


def _note() -> rx.Component:
    return rx.el.input(
        name="note",
        placeholder="A note for the others (optional)",
        max_length=1000,
        class_name="input",
        custom_attrs={"aria-label": "Note"},
    )


def _answer() -> rx.Component:
    return rx.el.form(
        _note(),
        rx.el.button("Acknowledge", type="submit", class_name="btn btn-primary"),
        rx.el.button("Cancel", type="button", class_name="btn", on_click=Alerts.answer("")),
        on_submit=Alerts.acknowledge,
        class_name="answer",
    )


def _together() -> rx.Component:
    """What can be done with all that are ticked."""
    counted = rx.el.b(
        rx.cond(Alerts.chosen.length() == 1, "1 alert", Alerts.chosen.length().to_string() + " alerts"),
        class_name="nowrap",
        role="status",
    )
    none = rx.el.button("Choose none", type="button", class_name="btn", on_click=Alerts.tick_all(False))
    later = rx.el.button(
        rx.icon("alarm-clock", size=15), "Put off…", type="button", class_name="btn", on_click=Alerts.put_off(True)
    )
    acknowledge = rx.el.form(
        counted,
        _note(),
        rx.el.button("Acknowledge together", type="submit", class_name="btn btn-primary"),
        later,
        none,
        on_submit=Alerts.acknowledge_chosen,
        class_name="answer together",
        aria_label="With those that are ticked",
    )
    put_off = rx.el.form(
        counted,
        spans(name="snooze", legend="Tell nobody for", offers=["hour", "morning"], has_start=False),
        rx.el.div(
            rx.el.button("Put off together", type="submit", class_name="btn btn-primary"),
            rx.el.button("Cancel", type="button", class_name="btn", on_click=Alerts.put_off(False)),
            class_name="row",
        ),
        on_submit=Alerts.snooze_chosen,
        class_name="answer together",
        aria_label="Put off those that are ticked",
    )
    return rx.cond(Alerts.is_putting_off, put_off, acknowledge)


def _where(alert: rx.Var[AlertLine]) -> rx.Component:
    return link(alert.device, to="/devices/" + alert.device_id, class_name="alert-where")


def _whose(alert: rx.Var[AlertLine], *said: rx.Component) -> rx.Component:
    return rx.el.div(link(alert.rule, to="/rules/" + alert.rule_id), *said, class_name="row small facts")


def _open(alert: rx.Var[AlertLine]) -> rx.Component:
    is_new = alert.status == "ACTIVE"
    tick = rx.el.input(
        type="checkbox",
        checked=Alerts.chosen.contains(alert.id),
        on_change=Alerts.tick(alert.id),
        custom_attrs={"aria-label": "Choose: " + alert.device + ", " + alert.reason},
    )
    acknowledge = rx.el.button(
        rx.icon("check", size=15),
        "Acknowledge…",
        type="button",
        class_name="btn",
        on_click=Alerts.answer(alert.id),
    )
    return rx.el.li(
        rx.el.div(
            rx.cond(is_new & may("alerts:write"), tick),
            severity_badge(alert.severity),
            _where(alert),
            rx.cond(
                ~is_new,
                rx.el.span(
                    "acknowledged",
                    rx.cond(alert.acknowledged_by != "", " by " + alert.acknowledged_by, ""),
                    class_name="badge",
                ),
            ),
            rx.cond(
                alert.assigned_name != "",
                rx.el.span(rx.icon("user-round", size=13), alert.assigned_name, class_name="badge badge-accent"),
            ),
            quiet(alert),
            class_name="row",
        ),
        rx.el.div(
            rx.el.div(
                link(
                    told(text=alert.reason, at=alert.raised_at),
                    to="/alerts/" + alert.id,
                    class_name="reason reason-link",
                ),
                _whose(alert, when(at=alert.raised_at, both=True)),
                rx.cond(alert.note != "", rx.el.p("“", alert.note, "”", class_name="small muted")),
            ),
            rx.cond(is_new & (Alerts.answering != alert.id) & may("alerts:write"), acknowledge),
            class_name="alert-body",
        ),
        rx.cond(Alerts.answering == alert.id, _answer()),
        class_name=edge(alert.severity),
        key=alert.id,
    )


def _past(alert: rx.Var[AlertLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            severity_badge(alert.severity),
            _where(alert),
            class_name="row",
        ),
        rx.el.p(
            link(
                told(text=alert.reason, at=alert.raised_at),
                to="/alerts/" + alert.id,
                class_name="reason-past reason-link",
            ),
        ),
        rx.el.p(
            "Ended ",
            when(at=alert.cleared_at),
            ", after ",
            alert.lasted,
            rx.cond(alert.cleared_reason != "", rx.el.span(": ", told(text=alert.cleared_reason, at=alert.cleared_at))),
            class_name="small muted",
        ),
        _whose(alert),
        key=alert.id,
    )


def _rule(each: rx.Var[RuleLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            severity_badge(each.severity),
            rx.el.b(each.name),
            rx.el.span(each.counted, class_name="badge"),
            rx.el.span("newest ", when(at=each.newest_at), class_name="small muted push"),
            class_name="row",
        ),
        rx.el.div(
            rx.el.p(each.unseen, " · first ", when(at=each.oldest_at), class_name="small cap"),
            rx.el.button(
                "Show them",
                type="button",
                class_name="btn btn-small",
                on_click=Alerts.only_rule(each.id),
                custom_attrs={"aria-label": "Show the alerts of " + each.name},
            ),
            class_name="alert-body",
        ),
        class_name=edge(each.severity),
        key=each.id,
    )


def _section(title: str, count: rx.Var[str], inside: rx.Component, aside: rx.Component | None = None) -> rx.Component:
    return rx.el.section(
        rx.el.div(
            rx.el.div(rx.el.h2(title), rx.el.span(count, class_name="small muted"), class_name="row"),
            aside if aside is not None else rx.fragment(),
            class_name="card-head",
        ),
        inside,
        class_name="card",
        aria_label=title,
    )


def _segment(words: str, on_click: Any, is_on: rx.Var[bool] | bool) -> rx.Component:
    return rx.el.button(words, type="button", on_click=on_click, custom_attrs={"aria-pressed": is_on})


def _tabs() -> rx.Component:
    return rx.el.div(
        *(_segment(words, Alerts.show_tab(key), Alerts.tab == key) for key, words in TABS),
        class_name="segmented",
        role="group",
        aria_label="Which alerts",
    )


def _filters() -> rx.Component:
    whose = rx.el.select(
        *(rx.el.option(words, value=key) for key, words in WHOSE),
        value=Alerts.whose,
        on_change=Alerts.set_whose,
        class_name="select",
        custom_attrs={"aria-label": "Whose"},
    )
    severity = rx.el.select(
        *(rx.el.option(words, value=key) for key, words in SEVERITIES),
        value=Alerts.severity,
        on_change=Alerts.set_severity,
        class_name="select",
        custom_attrs={"aria-label": "Severity"},
    )
    view = rx.el.div(
        _segment("One by one", Alerts.group(False), ~Alerts.by_rule),
        _segment("By rule", Alerts.group(True), Alerts.by_rule),
        class_name="segmented",
        role="group",
        aria_label="How they are listed",
    )
    only = rx.cond(
        Alerts.rule_id != "",
        rx.el.button(
            "Only of “",
            rx.cond(Alerts.rule_name != "", Alerts.rule_name, "one rule"),
            "”",
            rx.icon("x", size=14),
            type="button",
            class_name="btn btn-small",
            on_click=Alerts.only_rule(""),
            custom_attrs={"aria-label": "Show the alerts of all rules again"},
        ),
    )
    is_grouped = Alerts.by_rule & (Alerts.tab == "open")
    return rx.el.div(
        rx.cond(is_grouped, rx.fragment(), rx.fragment(severity, whose)),
        rx.cond(Alerts.tab == "open", view),
        only,
        class_name="toolbar",
    )


def _open_ones() -> rx.Component:
    is_narrowed = (Alerts.severity != "") | (Alerts.whose != "all") | (Alerts.rule_id != "")
    all_well = rx.cond(
        is_narrowed,
        rx.cond(
            (Alerts.whose == "mine") & (Alerts.severity == "") & (Alerts.rule_id == ""),
            empty("user-round-check", "Nothing is left to you", "Whoever opens an alert can assign it.", small=True),
            empty("filter", "None of these", "There is no such alert that nobody has taken note of.", small=True),
        ),
        empty("circle-check", "No open alerts", "When a rule finds something, it appears here by itself.", small=True),
    )
    all_ticked = Alerts.chosen.length() == Alerts.active.length()
    choose_all = rx.cond(
        (Alerts.active.length() > 1) & may("alerts:write"),
        rx.el.label(
            rx.el.input(type="checkbox", checked=all_ticked, on_change=Alerts.tick_all(~all_ticked)),
            rx.el.span("All of them"),
            class_name="row small choose-all",
        ),
    )
    too_many = rx.cond(
        Alerts.has_more_open,
        rx.el.p(f"These are the newest {AT_ONCE}; there are more.", class_name="card-body small muted"),
    )
    return rx.fragment(
        _section(
            "Open",
            Alerts.active.length().to_string(),
            rx.fragment(
                rx.cond(Alerts.chosen.length() > 0, _together()),
                rx.cond(
                    Alerts.active.length() > 0,
                    rx.el.ul(rx.foreach(Alerts.active, _open), class_name="list list-top", aria_live="polite"),
                    all_well,
                ),
                too_many,
            ),
            choose_all,
        ),
        rx.cond(
            Alerts.acknowledged.length() > 0,
            _section(
                "Acknowledged, not over yet",
                Alerts.acknowledged.length().to_string(),
                rx.el.ul(rx.foreach(Alerts.acknowledged, _open), class_name="list list-top"),
            ),
        ),
    )


def _grouped() -> rx.Component:
    return _section(
        "Open, by rule",
        Alerts.groups.length().to_string(),
        rx.cond(
            Alerts.groups.length() > 0,
            rx.el.ul(rx.foreach(Alerts.groups, _rule), class_name="list list-top"),
            empty(
                "circle-check", "No open alerts", "When a rule finds something, it appears here by itself.", small=True
            ),
        ),
    )


def _cleared() -> rx.Component:
    return _section(
        "Over",
        "",  # there may be many; the list ends where the pages end
        rx.fragment(
            rx.cond(
                Alerts.cleared.length() > 0,
                rx.el.ul(rx.foreach(Alerts.cleared, _past), class_name="list list-top"),
                empty("circle-check", "Nothing is over yet", "What was open and has ended is kept here.", small=True),
            ),
            rx.cond(
                Alerts.has_more,
                rx.el.div(
                    rx.el.button("Show older", type="button", class_name="btn btn-small", on_click=Alerts.more),
                    class_name="pager",
                ),
            ),
        ),
    )


def alerts() -> rx.Component:
    """The page."""
    listed = rx.fragment(
        _filters(),
        rx.cond(Alerts.tab == "cleared", _cleared(), rx.cond(Alerts.by_rule, _grouped(), _open_ones())),
    )
    return page(
        "Alerts",
        heading("Alerts", "What your rules found. New ones appear by themselves.", about="alert"),
        _tabs(),
        problem(Alerts.problem, Alerts.load),
        done(Alerts.said),
        rx.cond(
            Alerts.ready,
            rx.cond(Alerts.tab == "silences", silences(), listed),
            rx.cond(Alerts.problem == "", rx.el.div(skeleton_rows(), class_name="card")),
        ),
        on_alert=Alerts.refresh,
        needs="alerts:read",
    )
