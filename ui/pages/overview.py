"""The first page: how the fleet is, what is wrong, and what arrives."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.devices import device_table, no_devices
from ui.components.frame import heading, link, may, page
from ui.components.pieces import body, card, empty, problem, severity_badge, skeleton, skeleton_rows
from ui.console import NEW_DEVICES, Console
from ui.islands.cells import told, when
from ui.islands.news import status_news
from ui.islands.pulse import pulse
from ui.pages.alerts import worst_first
from ui.words import AlertLine, DeviceLine, alert_line, device_line


class Overview(Console):
    """The figures and short lists of the first page."""

    ready: bool = False
    problem: str = ""
    total: int = 0
    online: int = 0
    silent: int = 0
    alerts: list[AlertLine] = []
    devices: list[DeviceLine] = []

    @rx.var
    def online_percent(self) -> int:
        """How much of the fleet is connected, for the bar."""
        return round(100 * self.online / self.total) if self.total else 0

    @rx.event
    async def load(self) -> Any:
        """Ask for everything the page shows, in one question."""
        if (away := await self.enter()) is not None:
            return away
        if self.scopes and "devices:read" not in self.scopes:  # the platform's operator, a role of one's own
            return rx.redirect("/platform" if "platform:read" in self.scopes else "/account")
        return await self.refresh()

    @rx.event
    async def refresh(self) -> Any:
        """Ask again, without signing in anew."""
        try:
            data = await self.ask("overview")
        except Refused as refusal:
            self.problem = refusal.words
            return
        count = data["deviceCount"]
        self.total, self.online, self.silent = count["total"], count["online"], count["silent"]
        self.devices = [device_line(each, values=2) for each in data["devices"]["items"]]
        alerts = data.get("alerts", {"items": []})["items"]  # left out without the right to them
        self.alerts, self.open_alerts = worst_first([alert_line(each) for each in alerts])[:5], len(alerts)
        self.problem, self.ready = "", True


def _figure(value: rx.Component | rx.Var[Any]) -> rx.Component:
    return rx.cond(Overview.ready, rx.el.span(value), skeleton(30, "80px"))


def _sees(scope: str) -> rx.Var[bool]:
    """Nearly everybody does: the place is kept until it is known who has come."""
    return (Console.scopes.length() == 0) | may(scope)


def _open_alerts() -> rx.Component:
    return link(
        rx.el.span("Open alerts", class_name="label"),
        rx.el.span(
            _figure(rx.cond(Overview.open_alerts > 99, "99+", Overview.open_alerts.to_string())), class_name="figure"
        ),
        rx.el.span(rx.cond(Overview.open_alerts > 0, "Waiting for somebody", "All is well"), class_name="note-line"),
        to="/alerts",
        class_name=rx.cond(Overview.open_alerts > 0, "card stat is-bad", "card stat"),
    )


def _stats() -> rx.Component:
    offline = Overview.total - Overview.online
    return rx.el.div(
        link(
            rx.el.span("Devices online", class_name="label"),
            rx.el.span(
                _figure(rx.fragment(Overview.online.to_string(), rx.el.small(" of ", Overview.total.to_string()))),
                class_name="figure",
            ),
            rx.el.span(rx.el.i(style={"width": Overview.online_percent.to_string() + "%"}), class_name="meter"),
            to="/devices",
            class_name="card stat",
        ),
        link(
            rx.el.span("Devices offline", class_name="label"),
            rx.el.span(_figure(offline.to_string()), class_name="figure"),
            rx.el.span(rx.cond(offline > 0, "Look at who is missing", "Everybody is here"), class_name="note-line"),
            to="/devices?show=offline",
            class_name="card stat",
        ),
        rx.cond(
            Overview.silent > 0,
            link(
                rx.el.span("Devices silent", class_name="label"),
                rx.el.span(_figure(Overview.silent.to_string()), class_name="figure"),
                rx.el.span("Their readings are missing", class_name="note-line"),
                to="/devices?show=silent",
                class_name="card stat",
            ),
        ),
        rx.cond(_sees("alerts:read"), _open_alerts()),
        class_name=rx.cond(Overview.silent > 0, "grid stats", "grid stats stats-three"),
    )


def _get_started() -> rx.Component:
    return card(
        "Connect your first device",
        body(
            rx.el.ol(
                rx.el.li(
                    rx.el.div(
                        rx.el.h3("Add the device"),
                        rx.el.p("Give it a name. You get a token: its password, shown once.", class_name="muted"),
                    )
                ),
                rx.el.li(
                    rx.el.div(
                        rx.el.h3("Send a first message"),
                        rx.el.p("The next page gives you one line to paste into a terminal.", class_name="muted"),
                    )
                ),
                rx.el.li(
                    rx.el.div(
                        rx.el.h3("Watch it arrive"),
                        rx.el.p(
                            "The value appears here by itself; then let a rule watch it for you.", class_name="muted"
                        ),
                    )
                ),
                class_name="steps",
            ),
            rx.el.div(link(rx.icon("plus", size=16), "Add a device", to="/devices/add", class_name="btn btn-primary")),
        ),
    )


def _alert(alert: rx.Var[AlertLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            severity_badge(alert.severity),
            link(alert.device, to="/devices/" + alert.device_id, class_name="alert-where"),
            class_name="row",
        ),
        rx.el.p(
            link(told(text=alert.reason, at=alert.raised_at), to="/alerts/" + alert.id, class_name="cap reason-link"),
            style={"marginTop": "5px"},
        ),
        rx.el.p(rx.el.span(alert.rule), when(at=alert.raised_at), class_name="row small muted facts"),
    )


def _newest_alerts() -> rx.Component:
    none = empty("circle-check", "No open alerts", "When a rule finds something, it appears here at once.", small=True)
    listed = rx.el.ul(rx.foreach(Overview.alerts, _alert), class_name="list")
    return card(
        "Open alerts",
        rx.cond(Overview.ready, rx.cond(Overview.alerts.length() > 0, listed, none), skeleton_rows(3)),
        aside=link("All alerts", to="/alerts", class_name="small"),
    )


def overview() -> rx.Component:
    """The page."""
    nothing = Overview.ready & (Overview.total == 0)
    return page(
        "Overview",
        heading(
            "Overview",
            "Your fleet at this moment.",
            rx.cond(
                may(NEW_DEVICES),
                link(rx.icon("plus", size=16), "Add a device", to="/devices/add", class_name="btn"),
            ),
        ),
        problem(Overview.problem, Overview.load),
        _stats(),
        status_news(Overview.refresh),
        rx.el.div(
            rx.el.div(
                rx.cond(
                    nothing & may(NEW_DEVICES),
                    _get_started(),
                    card(
                        "Devices",
                        rx.cond(
                            Overview.ready,
                            rx.cond(nothing, no_devices(), device_table(Overview.devices)),
                            skeleton_rows(),
                        ),
                        aside=link("All devices", to="/devices", class_name="small"),
                    ),
                ),
            ),
            rx.el.div(
                rx.cond(_sees("alerts:read"), _newest_alerts()),
                rx.cond(_sees("telemetry:read"), pulse(rx.cond(may("inbox:read"), "/inbox", ""))),
            ),
            class_name="grid two alerts-first",
        ),
        on_alert=Overview.refresh,
    )
