"""A gateway's point table as text: to begin with, to check, and to send."""

import reflex as rx

from ui.components.frame import may
from ui.components.pieces import done, doubt, problem
from ui.components.points.look import begin, look
from ui.components.points.state import Points, count
from ui.components.points.versions import open_versions
from ui.islands.points_text import points_text
from ui.point_words import EXAMPLES


def _examples() -> rx.Component:
    words = rx.cond(Points.file_text != "", "Or begin anew with a short example:", "Begin with a short example:")
    return rx.el.div(
        rx.el.p(words, class_name="small"),
        rx.el.div(
            *(
                rx.el.button(words, type="button", class_name="btn btn-small", on_click=Points.begin(protocol))
                for protocol, (words, _) in EXAMPLES.items()
            ),
            class_name="row",
        ),
        class_name="stack-tight",
    )


def _take_over() -> rx.Component:
    return rx.el.div(
        rx.el.button(
            rx.icon("download", size=15),
            "Begin with the file's table…",
            type="button",
            class_name="btn btn-primary",
            on_click=Points.take_over,
        ),
        begin(),
        class_name="row",
    )


def _confirm() -> rx.Component:
    return doubt(
        "Send this table to the edge?",
        "This changes what is read from the machines, and what commands and rules may write to them: ",
        count(Points.sending),
        ". What is not in this table is no longer read.",
        rx.cond(
            Points.sending == 0, " When the edge runs it, you can look around behind its connections for points.", ""
        ),
        yes=("Send it", Points.send),
        no=("Not yet", Points.keep),
    )


def _editor() -> rx.Component:
    buttons = rx.el.div(
        rx.el.button(
            rx.icon("list-checks", size=15),
            rx.cond(Points.is_checking, "Checking…", "Check"),
            type="button",
            class_name="btn",
            disabled=Points.is_checking,
            on_click=Points.check,
        ),
        rx.el.button(
            rx.icon("send", size=15),
            "Send to the edge…",
            type="button",
            class_name="btn btn-primary",
            disabled=Points.is_checking,
            on_click=Points.ask_to_send,
        ),
        rx.el.button("Cancel", type="button", class_name="btn", on_click=Points.open(False)),
        begin(),
        done(Points.check_said),
        class_name="row",
    )
    newer = rx.el.button(
        "Show the newer table, and drop what is written here",
        type="button",
        class_name="btn btn-small",
        on_click=Points.renew,
    )
    return rx.el.div(
        rx.cond(Points.version == 0, _examples()),
        points_text(
            rx.cond(Points.sending >= 0, _confirm(), buttons),
            text=Points.draft,
            number=Points.draft_number,
            problems=Points.unsent,
            are_old=Points.are_old,
            is_read_only=False,
            label="Point table",
            on_write=Points.write,
        ),
        problem(Points.send_problem),
        rx.cond(Points.is_stale, newer),
        class_name="stack",
    )


def text() -> rx.Component:
    """The part of the card."""
    may_send = may("devices:write") & may("commands:write") & ~Points.is_over
    change = rx.el.div(
        rx.el.button(
            rx.icon("pencil", size=15),
            "Change the table…",
            type="button",
            class_name="btn",
            on_click=Points.open(True),
        ),
        begin(),
        open_versions(),
        class_name="row",
    )
    shown = rx.el.details(
        rx.el.summary("Show the table as text", class_name="small"),
        points_text(
            text=Points.text,
            number=Points.version,
            problems=Points.refusals,
            is_read_only=True,
            label="Point table",
        ),
        class_name="fold",
    )
    none_yet = rx.fragment(rx.cond(Points.file_text != "", _take_over()), _examples())
    closed = rx.cond(Points.version == 0, none_yet, change)
    return rx.cond(
        may_send & ~Points.is_local,
        rx.fragment(rx.cond(Points.is_open, _editor(), closed), look()),
        rx.cond(Points.version > 0, rx.fragment(shown, rx.el.div(open_versions()))),
    )
