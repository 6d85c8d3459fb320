"""How much of each quota is used, as bars."""

import reflex as rx

from ui.quotas import QuotaLine


def quota_bars(quotas: rx.Var[list[QuotaLine]]) -> rx.Component:
    """A line for each quota: what it is, how much there is of how much."""
    return rx.el.ul(rx.foreach(quotas, _line), class_name="list")


def _line(quota: rx.Var[QuotaLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.b(quota.words),
            rx.cond(
                quota.level == "bad",
                rx.el.span("used up", class_name="badge badge-bad"),
                rx.cond(quota.level == "warn", rx.el.span("nearly used up", class_name="badge badge-warn")),
            ),
            rx.el.span(rx.el.b(quota.used), rx.el.span(" of ", quota.limit, class_name="muted"), class_name="push num"),
            class_name="row",
        ),
        rx.el.div(
            rx.el.i(style={"width": quota.percent.to_string() + "%"}),
            class_name="meter meter-" + quota.level,
            aria_hidden="true",
        ),
        rx.el.p(quota.means, class_name="small muted"),
        key=quota.name,
    )
