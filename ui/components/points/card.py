"""The card: how far the point table has come, its text, and each of its points to be tried."""

import reflex as rx

from ui.components.frame import link
from ui.components.pieces import body, card, done, note
from ui.components.points.stands import stands
from ui.components.points.state import Points, may_try
from ui.components.points.text import text
from ui.components.points.versions import versions
from ui.islands.points_text import again
from ui.point_words import PointLine

_ASK_AGAIN_MS = 1_000


def _answer(each: rx.Var[PointLine]) -> rx.Component:
    answer = Points.answers[each.name]
    return rx.cond(
        Points.answers.contains(each.name),
        rx.el.div(
            rx.el.span(answer.words),
            rx.cond(answer.sign != "", rx.el.span(answer.sign, class_name=answer.tone)),
            class_name="row small",
        ),
    )


def _line(each: rx.Var[PointLine]) -> rx.Component:
    is_busy = Points.answers.contains(each.name) & (Points.answers[each.name].command != "")
    device = rx.cond(
        Points.machines.contains(each.device),
        link(each.device, to="/devices/" + Points.machines[each.device]),
        rx.el.span(each.device),
    )
    attempt = rx.el.button(
        rx.cond(is_busy, "Asking…", "Try it now"),
        type="button",
        class_name="btn btn-small",
        disabled=is_busy | ~Points.is_online,
        on_click=Points.try_point(each.device, each.metric),
        custom_attrs={"aria-label": "Try " + each.name + " now"},
    )
    return rx.el.tr(
        rx.el.td(device, custom_attrs={"data-label": "Device"}),
        rx.el.td(rx.el.b(each.metric), custom_attrs={"data-label": "Metric"}),
        rx.el.td(
            rx.el.span(each.address, rx.cond(each.access != "", rx.el.span(" · ", each.access, class_name="muted"))),
            custom_attrs={"data-label": "Address"},
        ),
        rx.el.td(each.unit, custom_attrs={"data-label": "Unit"}),
        rx.el.td(
            rx.el.div(
                rx.cond(each.is_read & may_try(), attempt),
                rx.el.div(_answer(each), aria_live="polite"),
                class_name="row",
            ),
            class_name="cell-wide",
        ),
        key=each.name,
    )


def _list() -> rx.Component:
    heads = ("Device", "Metric", "Address", "Unit")
    more = rx.el.div(
        rx.el.button(
            "Show all ",
            Points.lines.length().to_string(),
            type="button",
            class_name="btn btn-small",
            on_click=Points.show_all,
        ),
        class_name="card-body",
    )
    notes = rx.fragment(
        rx.cond(
            may_try() & ~Points.is_online,
            note("unplug", "The edge is not connected. Its machines can be tried when it is back."),
            rx.cond(
                (Points.state != "RUNNING") & ~Points.runs_file,
                note("info", "The edge does not run this table yet: it can only try what its former one has as well."),
            ),
        ),
        rx.cond(
            Points.strangers.length() > 0,
            note(
                "triangle-alert",
                "Not yet devices of this edge: ",
                rx.el.b(Points.strangers.join(", ")),
                ". Add each under this key, with the label ",
                rx.el.code("gateway: ", Points.key),
                "; what is read of them is not accepted before.",
            ),
        ),
    )
    return rx.cond(
        Points.lines.length() > 0,
        rx.fragment(
            rx.el.div(rx.el.h3("Its points"), notes, class_name="card-body stack"),
            rx.el.div(
                rx.el.table(
                    rx.el.thead(
                        rx.el.tr(
                            *(rx.el.th(words, scope="col") for words in heads),
                            rx.el.th(rx.el.span("Try it", class_name="sr-only"), scope="col"),
                        )
                    ),
                    rx.el.tbody(rx.foreach(Points.shown, _line)),
                    class_name="table points-table",
                ),
                class_name="table-wrap",
            ),
            rx.cond(Points.lines.length() > Points.shown.length(), more),
        ),
    )


def points() -> rx.Component:
    """The card on the device's page; for devices that may be gateways."""
    return rx.cond(
        Points.ready & Points.is_gateway,
        card(
            "Points",
            body(done(Points.said), stands(), text(), versions()),
            rx.cond(Points.is_asking, again(every=_ASK_AGAIN_MS, on_time=Points.hear)),
            _list(),
            words="Which values of which machines this edge reads and writes.",
        ),
    )
