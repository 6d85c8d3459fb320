"""What people see when something is wrong with the console itself: no line to it, no such page, a fault of ours."""

import logging

import reflex as rx
from reflex_base.components.memo import memo
from reflex_components_core.core.banner import has_connection_errors

from ui.components.frame import link, mark

log = logging.getLogger(__name__)


def _lost() -> rx.Component:
    return rx.cond(
        has_connection_errors,
        rx.el.div(
            rx.el.span(class_name="dot", aria_hidden="true"),
            "The connection to the platform is interrupted. Reconnecting…",
            class_name="lost lost-server",
            role="status",
        ),
    )


def lost(is_stateful: bool) -> rx.Component | None:
    """In place of Reflex's own notice, which speaks of back ends and web sockets."""
    return rx.fragment(memo(_lost)()) if is_stateful else None


def no_such_page() -> rx.Component:
    """The page for an address that does not exist."""
    return rx.el.main(
        rx.el.div(
            rx.el.div(mark(), rx.el.span("Tidegate"), class_name="brand"),
            rx.el.div(
                rx.el.h1("There is no such page"),
                rx.el.p("The address may be mistyped, or what it showed is gone.", class_name="muted"),
                link("Go to the overview", to="/", class_name="btn btn-primary"),
                rx.el.button(
                    "Back to where you were", type="button", class_name="btn", on_click=rx.call_script("history.back()")
                ),
                class_name="card card-body stack",
            ),
            class_name="door-box",
        ),
        class_name="door",
    )


def fault(exception: Exception) -> rx.event.EventSpec:
    """A mistake in a handler of ours: all of it to the log, plain words to the person."""
    log.error("console.handler_failed", exc_info=exception)
    return rx.toast.error("Something went wrong on our side. Please reload the page and try again.", id="fault")
