"""Alerts: those that are open first, live; acknowledging with a note; the cleared ones below."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, link, page
from ui.components.pieces import empty, problem, severity_badge, skeleton_rows
from ui.console import Console
from ui.islands.cells import when
from ui.words import AlertLine, alert_line

SEVERITY_ORDER = ("critical", "major", "minor", "warning", "info")


def worst_first(alerts: list[AlertLine]) -> list[AlertLine]:
    """By severity, then the newest first."""

    def rank(severity: str) -> int:
        return SEVERITY_ORDER.index(severity) if severity in SEVERITY_ORDER else len(SEVERITY_ORDER)

    newest_first = sorted(alerts, key=lambda each: each.raised_at, reverse=True)
    return sorted(newest_first, key=lambda each: rank(each.severity))


class Alerts(Console):
    """Open, acknowledged and cleared alerts."""

    ready: bool = False
    problem: str = ""
    active: list[AlertLine] = []
    acknowledged: list[AlertLine] = []
    cleared: list[AlertLine] = []
    has_more: bool = False
    answering: str = ""  # the alert whose acknowledgement is being written

    _end: str | None = None

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        if (away := await self.enter()) is not None:
            return away
        self.answering = ""
        await self._show()
        return None

    @rx.event
    async def refresh(self) -> None:
        """Something happened to an alert: ask again."""
        await self._show()

    @rx.event
    async def more(self) -> None:
        """Older cleared alerts."""
        await self._show(after=self._end)

    async def _show(self, after: str | None = None) -> None:
        try:
            data = await self.ask("alerts", after=after)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.active = worst_first([alert_line(each) for each in data["active"]["items"]])
        self.acknowledged = worst_first([alert_line(each) for each in data["acknowledged"]["items"]])
        cleared = [alert_line(each) for each in data["cleared"]["items"]]
        self.cleared = self.cleared + cleared if after else cleared
        self.has_more, self._end = data["cleared"]["pageInfo"]["hasNextPage"], data["cleared"]["pageInfo"]["endCursor"]
        self.open_alerts = len(self.active)
        self.problem, self.ready = "", True

    @rx.event
    def answer(self, alert_id: str) -> None:
        """Open the form that acknowledges this alert; '' closes it."""
        self.answering = alert_id

    @rx.event
    async def acknowledge(self, form: dict[str, Any]) -> None:
        """Say that somebody cares, with a note for the others."""
        note = str(form.get("note", "")).strip() or None
        try:
            await self.ask("alert_acknowledge", id=self.answering, note=note)
        except Refused as refusal:
            self.problem = refusal.words
            return
        self.answering = ""
        await self._show()


def _answer() -> rx.Component:
    return rx.el.form(
        rx.el.input(
            name="note",
            placeholder="A note for the others (optional)",
            max_length=500,
            auto_focus=True,
            class_name="input",
            custom_attrs={"aria-label": "Note"},
        ),
        rx.el.button("Acknowledge", type="submit", class_name="btn btn-primary"),
        rx.el.button("Cancel", type="button", class_name="btn", on_click=Alerts.answer("")),
        on_submit=Alerts.acknowledge,
        class_name="answer",
    )


def _words(alert: rx.Var[AlertLine]) -> rx.Component:
    return rx.el.p(
        link(alert.device, to="/devices/" + alert.device_id),
        rx.el.span(" · ", class_name="muted"),
        link(alert.rule, to="/rules/" + alert.rule_id),
        class_name="small",
    )


def _open(alert: rx.Var[AlertLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            severity_badge(alert.severity),
            rx.cond(
                alert.status == "ACKNOWLEDGED",
                rx.el.span(
                    "acknowledged",
                    rx.cond(alert.acknowledged_by != "", " by " + alert.acknowledged_by, ""),
                    class_name="badge",
                ),
            ),
            rx.el.span(when(at=alert.raised_at, both=True), class_name="small push"),
            class_name="row",
        ),
        rx.el.div(
            rx.el.div(
                rx.el.p(alert.reason, class_name="reason"),
                _words(alert),
                rx.cond(alert.note != "", rx.el.p("“", alert.note, "”", class_name="small muted")),
            ),
            rx.cond(
                (alert.status == "ACTIVE") & (Alerts.answering != alert.id),
                rx.el.button(
                    rx.icon("check", size=15),
                    "Acknowledge…",
                    type="button",
                    class_name="btn",
                    on_click=Alerts.answer(alert.id),
                ),
            ),
            class_name="alert-body",
        ),
        rx.cond(Alerts.answering == alert.id, _answer()),
        class_name=rx.match(
            alert.severity,
            ("critical", "alert-line alert-bad"),
            ("major", "alert-line alert-bad"),
            ("minor", "alert-line alert-warn"),
            "alert-line",
        ),
        key=alert.id,
    )


def _past(alert: rx.Var[AlertLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            severity_badge(alert.severity),
            rx.el.span(alert.reason, class_name="reason-past"),
            rx.el.span("cleared ", when(at=alert.cleared_at), class_name="small muted push"),
            class_name="row",
        ),
        rx.cond(alert.cleared_reason != "", rx.el.p("Ended: ", alert.cleared_reason, class_name="small muted")),
        _words(alert),
        key=alert.id,
    )


def _section(title: str, count: rx.Var[int], inside: rx.Component) -> rx.Component:
    return rx.el.section(
        rx.el.div(rx.el.h2(title), rx.el.span(count.to_string(), class_name="small muted"), class_name="card-head"),
        inside,
        class_name="card",
        aria_label=title,
    )


def alerts() -> rx.Component:
    """The page."""
    all_well = empty(
        "circle-check", "No open alerts", "When a rule finds something, it appears here by itself.", small=True
    )
    nobody = rx.el.p("Nothing has been cleared yet.", class_name="card-body muted")
    sheet = rx.fragment(
        _section(
            "Open",
            Alerts.active.length(),
            rx.cond(
                Alerts.active.length() > 0,
                rx.el.ul(rx.foreach(Alerts.active, _open), class_name="list", aria_live="polite"),
                all_well,
            ),
        ),
        rx.cond(
            Alerts.acknowledged.length() > 0,
            _section(
                "Acknowledged, not over yet",
                Alerts.acknowledged.length(),
                rx.el.ul(rx.foreach(Alerts.acknowledged, _open), class_name="list"),
            ),
        ),
        _section(
            "Cleared",
            Alerts.cleared.length(),
            rx.fragment(
                rx.cond(
                    Alerts.cleared.length() > 0,
                    rx.el.ul(rx.foreach(Alerts.cleared, _past), class_name="list"),
                    nobody,
                ),
                rx.cond(
                    Alerts.has_more,
                    rx.el.div(
                        rx.el.button("Show older", type="button", class_name="btn btn-small", on_click=Alerts.more),
                        class_name="pager",
                    ),
                ),
            ),
        ),
    )
    return page(
        "Alerts",
        heading("Alerts", "What your rules found. New ones appear by themselves."),
        problem(Alerts.problem, Alerts.load),
        rx.cond(Alerts.ready, sheet, rx.el.div(skeleton_rows(), class_name="card")),
        on_alert=Alerts.refresh,
    )
