"""The part about its life: suspended, quarantined, handed over, ended."""

from typing import Any

import reflex as rx

from ui.components.frame import link, may
from ui.components.pieces import field
from ui.pages.device.state import Device


def in_and_out() -> rx.Component:
    """Suspending a device in service, resuming a suspended one, releasing one from quarantine."""
    return rx.match(
        Device.status,
        (
            "ACTIVE",
            rx.el.button(
                rx.icon("pause", size=15),
                "Suspend",
                type="button",
                class_name="btn",
                title="Cut off until you resume it; nothing is lost of what is stored",
                on_click=Device.suspend,
            ),
        ),
        (
            "SUSPENDED",
            rx.el.button(
                rx.icon("play", size=15), "Resume", type="button", class_name="btn btn-primary", on_click=Device.resume
            ),
        ),
        (
            "QUARANTINED",
            rx.el.button(
                rx.icon("shield-check", size=15),
                "Release",
                type="button",
                class_name="btn btn-primary",
                on_click=Device.release,
            ),
        ),
        rx.fragment(),
    )


def _decommission() -> rx.Component:
    return rx.el.form(
        rx.el.p(
            "Decommissioning ends this device's life: its tokens and certificates stop working at once, and it cannot "
            "come back."
        ),
        rx.cond(
            may("devices:erase"),
            rx.el.label(
                rx.el.input(type="checkbox", name="erase"),
                rx.el.span(
                    "Erase all that it has sent as well",
                    rx.el.span("Readings, alerts and messages not accepted. It cannot be undone.", class_name="sub"),
                ),
                class_name="tick",
            ),
        ),
        rx.el.div(
            rx.el.button("Decommission ", Device.name, type="submit", class_name="btn btn-danger-solid"),
            rx.el.button("Keep it", type="button", class_name="btn", auto_focus=True, on_click=Device.end(False)),
            class_name="row",
        ),
        on_submit=Device.decommission,
        class_name="card card-body stack",
        aria_label="Decommission this device?",
    )


def _quarantine() -> rx.Component:
    return rx.el.form(
        rx.el.p("It is cut off at once and gets no new token until somebody releases it. Its data stays."),
        field(
            "What is wrong with it?",
            rx.el.input(
                id="quarantine-reason",
                name="reason",
                max_length=500,
                required=True,
                auto_focus=True,
                placeholder="It sends nonsense since the storm",
                class_name="input",
            ),
            "For those who come after you.",
            for_="quarantine-reason",
        ),
        rx.el.div(
            rx.el.button("Quarantine ", Device.name, type="submit", class_name="btn btn-danger-solid"),
            rx.el.button("Leave it", type="button", class_name="btn", on_click=Device.shut(False)),
            class_name="row",
        ),
        on_submit=Device.quarantine,
        class_name="card card-body stack",
        aria_label="Quarantine this device?",
    )


def ending() -> rx.Component:
    """What shuts a device out: for a while, because something is wrong, or for good."""

    def ask(words: str, on_click: Any) -> rx.Component:
        return rx.el.button(words, type="button", class_name="btn btn-ghost btn-danger", on_click=on_click)

    hand_over = link(
        "Hand over to another organisation…", to="/devices/transfers?device=" + Device.uid, class_name="btn btn-ghost"
    )
    buttons = rx.el.div(
        rx.cond(Device.status != "QUARANTINED", hand_over),
        rx.cond(Device.status != "QUARANTINED", ask("Quarantine this device…", Device.shut(True))),
        ask("Decommission this device…", Device.end(True)),
        class_name="row",
    )
    return rx.cond(
        ~Device.is_over & may("devices:write"),
        rx.el.section(
            rx.cond(Device.is_ending, _decommission(), rx.cond(Device.is_shutting, _quarantine(), buttons)),
            aria_label="End of life",
        ),
    )


def quarantined() -> rx.Component:
    """Why it is in quarantine, and what follows."""
    return rx.cond(
        Device.quarantine_reason != "",
        rx.el.div(
            rx.icon("shield-alert", size=17),
            rx.el.div(
                rx.el.p(rx.el.b("In quarantine: "), Device.quarantine_reason),
                rx.el.p("When it is mended, release it: it gets a new token, and the old ones stay dead."),
            ),
            class_name="note note-warn",
            role="status",
        ),
    )
