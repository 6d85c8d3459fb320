"""The part about what went out, and what became of it."""

import reflex as rx

from ui.channels import DeliveryLine
from ui.components.frame import may
from ui.components.pieces import card, empty, pager
from ui.islands.cells import when
from ui.pages.notifications.controls import small
from ui.pages.notifications.state import WENT_OUT, Notifications


def _delivery(line: rx.Var[DeliveryLine]) -> rx.Component:
    return rx.el.tr(
        rx.el.td(when(at=line.created_at), class_name="muted"),
        rx.el.td(rx.el.b(line.title), rx.el.span(line.where, class_name="sub")),
        rx.el.td(
            rx.el.div(
                rx.el.span(line.state, class_name=line.badge),
                rx.cond(line.trouble != "", rx.el.span(line.trouble, class_name="sub")),
                rx.cond(
                    line.next_at != "",
                    rx.el.span(
                        "Next try ",
                        when(at=line.next_at),
                        rx.cond(line.tries != "", " · " + line.tries, ""),
                        class_name="sub",
                    ),
                ),
            ),
            custom_attrs={"data-label": "State"},
        ),
        rx.el.td(
            rx.cond(
                line.can_retry & may("notifications:write"),
                small("Send again", Notifications.send_again(line.id), "Send again: " + line.title),
            ),
        ),
        id="sent-" + line.id,
        class_name=rx.cond(line.id == Notifications.marked, "is-fresh", ""),
        key=line.id,
    )


def log() -> rx.Component:
    """What went out, the newest first."""
    filters = rx.el.div(
        rx.el.select(
            rx.el.option("Everything", value=""),
            rx.el.option("Arrived", value="DELIVERED"),
            rx.el.option("Will be tried again", value="RETRYING"),
            rx.el.option("Given up", value="GIVEN_UP"),
            value=Notifications.only,
            on_change=Notifications.show_only,
            class_name="select",
            custom_attrs={"aria-label": "What to show of the log"},
        ),
        rx.el.button(
            rx.icon("refresh-cw", size=16),
            rx.el.span("Look again", class_name="sr-only"),
            type="button",
            class_name="btn btn-icon",
            on_click=Notifications.look_again,
        ),
        class_name="inline-choice",
    )
    listed = card(
        "What went out",
        rx.cond(
            Notifications.log.length() > 0,
            rx.fragment(
                rx.el.table(
                    rx.el.thead(
                        rx.el.tr(*(rx.el.th(name, scope="col") for name in ("When", "What and where", "State", ""))),
                    ),
                    rx.el.tbody(rx.foreach(Notifications.log, _delivery)),
                    class_name="table table-log",
                ),
                pager(
                    Notifications.number,
                    Notifications.has_next,
                    Notifications.previous_page,
                    Notifications.next_page,
                    "Pages of what went out",
                ),
            ),
            rx.cond(
                Notifications.only == "",
                empty("send", "Nothing has gone out yet", "Whatever is sent is listed here for 30 days.", small=True),
                empty("filter", "None of these", "Of the last 30 days nothing stands so.", small=True),
            ),
        ),
        aside=filters,
        about="delivery",
        words="What does not arrive is tried again for three days, ever more rarely.",
    )
    return rx.el.div(listed, id=WENT_OUT)
