"""How far a gateway's point table has come, in words."""

import reflex as rx

from ui.components.points.state import Points, count
from ui.islands.cells import when
from ui.islands.points_text import again

_SHOW_AGAIN_MS, _AWAY_MS = 2_000, 10_000


def _none() -> rx.Component:
    """No table is set here."""
    unheard = rx.el.p(
        rx.el.b("No table is set here. "), "The edge has not been heard yet. A table that is sent now waits for it."
    )
    heard = rx.el.div(
        rx.el.p(
            rx.el.span("Running its own file", class_name="badge badge-ok"),
            " since ",
            when(at=Points.running_since),
            ", ",
            count(Points.running_points),
        ),
        rx.cond(Points.is_local, _local(), _from_file()),
        class_name="stack-tight",
    )
    return rx.cond(Points.said_at != "", heard, unheard)


def _from_file() -> rx.Component:
    """How the table of the file becomes one that is set here."""
    known = (
        "No table is set here: the edge goes by the file on its own disk. Begin with that one to change it from here. "
        "Comments and the names of files on the edge are not in it."
    )
    unknown = rx.fragment(
        "No table is set here: the edge goes by the file on its own disk, and has not told what stands in it (it is "
        "older, or its table longer than 1 MiB). The "
        "first table that is sent from here takes the place of all of it: copy ",
        rx.el.code("connections"),
        " and ",
        rx.el.code("devices"),
        " from that file if they shall stay.",
    )
    return rx.el.p(rx.cond(Points.file_text != "", known, unknown), class_name="small muted")


def _local() -> rx.Component:
    return rx.el.p(
        "The file on the edge says ",
        rx.el.code("points: local"),
        ": its owner lets it take no table from here. Whoever looks after the edge can take that line out.",
        class_name="small",
    )


def _waiting() -> rx.Component:
    return rx.el.div(
        rx.el.p(
            rx.el.span("Waiting for the edge", class_name="badge badge-warn"), " since ", when(at=Points.changed_at)
        ),
        rx.cond(
            Points.is_online,
            rx.el.p("The edge is connected and is given the table now.", class_name="small muted"),
            rx.el.p(
                "The edge is not connected. It gets the table when it is back, however long that takes.",
                class_name="small muted",
            ),
        ),
        _goes_on(),
        _who(),
        class_name="stack-tight",
    )


def _goes_on() -> rx.Component:
    return rx.cond(
        Points.running_points > 0,
        rx.el.p(
            "Until then it goes on with ",
            rx.cond(Points.running_version > 0, "the table before", "the file on its own disk"),
            ": ",
            count(Points.running_points),
            ".",
            class_name="small muted",
        ),
    )


def _who() -> rx.Component:
    return rx.el.p("Set by ", Points.changed_by, " ", when(at=Points.changed_at), class_name="small muted")


def _running() -> rx.Component:
    return rx.el.div(
        rx.el.p(
            rx.el.span("Running", class_name="badge badge-ok"),
            " since ",
            when(at=Points.running_since),
            ", ",
            count(Points.running_points),
        ),
        _who(),
        class_name="stack-tight",
    )


def _refused() -> rx.Component:
    words = rx.cond(
        Points.is_local,
        _local(),
        rx.el.p(
            "The edge cannot use this table. Put right what is named here, then send it again.", class_name="small"
        ),
    )
    why = rx.el.ul(
        rx.foreach(
            Points.refusals,
            lambda each: rx.el.li(
                rx.cond(each.line > 0, rx.el.b("Line ", each.line.to_string(), ": ")), rx.el.span(each.message)
            ),
        ),
        class_name="small",
    )
    return rx.el.div(
        rx.el.p(rx.el.span("Refused by the edge", class_name="badge badge-bad")),
        words,
        rx.cond(~Points.is_local & ~Points.is_open & (Points.refusals.length() > 0), why),
        _goes_on(),
        _who(),
        class_name="stack-tight",
    )


def stands() -> rx.Component:
    """The part of the card; it asks again by itself while the table waits, or the edge is away."""
    return rx.el.div(
        rx.match(
            Points.state,
            ("NONE", _none()),
            ("WAITING", _waiting()),
            ("RUNNING", _running()),
            ("REFUSED", _refused()),
            rx.fragment(),
        ),
        rx.cond(
            ~Points.is_online,
            again(every=_AWAY_MS, on_time=Points.show_again),
            rx.cond(Points.state == "WAITING", again(every=_SHOW_AGAIN_MS, on_time=Points.show_again)),
        ),
        role="status",
    )
