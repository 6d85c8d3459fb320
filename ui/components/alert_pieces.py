"""What the pages about alerts share: when nobody is told of one, and the colour of its edge."""

import reflex as rx

from ui.islands.cells import when
from ui.words import AlertLine


def quiet(alert: rx.Var[AlertLine]) -> rx.Component:
    """Until when nobody is told, because somebody put it off or made a silence; nothing if neither."""
    return rx.fragment(
        rx.cond(
            alert.snoozed_until != "",
            rx.el.span(
                rx.icon("alarm-clock", size=13),
                "put off until ",
                when(at=alert.snoozed_until, as_hour=True),
                class_name="badge",
            ),
        ),
        rx.cond(
            alert.silenced_until != "",
            rx.el.span(
                rx.icon("bell-off", size=13),
                "silent until ",
                when(at=alert.silenced_until, as_hour=True),
                class_name="badge",
            ),
        ),
    )


def edge(severity: rx.Var[str]) -> rx.Var[str]:
    """The class of an alert's line."""
    return rx.match(
        severity,
        ("critical", "alert-line alert-bad"),
        ("major", "alert-line alert-bad"),
        ("minor", "alert-line alert-warn"),
        "alert-line",
    )
