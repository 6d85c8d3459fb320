"""Usage: what the organisation may use of the platform, and what it has used hour by hour."""

from dataclasses import dataclass
from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import heading, page
from ui.components.pieces import card, empty, problem, skeleton_rows
from ui.components.quotas import quota_bars
from ui.components.retention import Retention, retention
from ui.console import Console
from ui.islands.cells import when
from ui.quotas import QuotaLine, quota_line

HEADS = ("Hour", "Messages", "Values", "Refused", "Streams", "API work")


@dataclass(frozen=True)
class HourLine:
    """What was used in one hour; `percent`: of the busiest hour shown."""

    hour: str
    messages: str
    readings: str
    refused: str
    is_refused: bool
    streams: str
    api: str
    percent: int


def hour_lines(hours: list[dict[str, Any]]) -> list[HourLine]:
    """Hours of the contract, the newest first."""
    most = max((each["messages"] for each in hours), default=0)
    return [
        HourLine(
            each["hour"],
            f"{each['messages']:,}",
            f"{each['values']:,}",
            f"{each['refused'] + each['apiRefused']:,}",
            each["refused"] + each["apiRefused"] > 0,
            f"{each['streamsPeak']:,}",
            f"{each['apiCost']:,}",
            round(100 * each["messages"] / most) if most else 0,
        )
        for each in reversed(hours)
    ]


class Usage(Console):
    """The quotas, and the last day."""

    ready: bool = False
    problem: str = ""
    quotas: list[QuotaLine] = []
    hours: list[HourLine] = []

    @rx.event
    async def load(self) -> Any:
        """Come to the page."""
        if (away := await self.enter("tenant:read")) is not None:
            return away
        try:
            found = (await self.ask("usage"))["usage"]
        except Refused as refusal:
            self.problem = refusal.words
            return None
        self.quotas = [quota_line(each) for each in found["quotas"]]
        self.hours = hour_lines(found["hours"])
        self.problem, self.ready = "", True
        return Retention.load


def _hour(line: rx.Var[HourLine]) -> rx.Component:
    return rx.el.tr(
        rx.el.td(when(at=line.hour, as_hour=True), class_name="muted"),
        rx.el.td(
            rx.el.span(line.messages, class_name="num"),
            rx.el.span(
                rx.el.i(style={"width": line.percent.to_string() + "%"}), class_name="meter", aria_hidden="true"
            ),
            custom_attrs={"data-label": "Messages"},
        ),
        rx.el.td(line.readings, class_name="num", custom_attrs={"data-label": "Values"}),
        rx.el.td(
            rx.cond(line.is_refused, rx.el.span(line.refused, class_name="badge badge-bad"), "0"),
            class_name="num",
            custom_attrs={"data-label": "Refused"},
        ),
        rx.el.td(line.streams, class_name="num", custom_attrs={"data-label": "Streams at once"}),
        rx.el.td(line.api, class_name="num", custom_attrs={"data-label": "API work"}),
        key=line.hour,
    )


def usage() -> rx.Component:
    """The page."""
    hours = rx.el.table(
        rx.el.thead(rx.el.tr(*(rx.el.th(name, scope="col") for name in HEADS))),
        rx.el.tbody(rx.foreach(Usage.hours, _hour)),
        class_name="table table-hours",
    )
    return page(
        "Usage",
        heading("Usage", "How much of the platform your organisation uses, and how much it may."),
        problem(Usage.problem, Usage.load),
        rx.cond(
            Usage.ready,
            rx.fragment(
                card("Now", quota_bars(Usage.quotas), words="Do you need more? Ask whoever runs the platform."),
                retention(),
                card(
                    "The last day, hour by hour",
                    rx.cond(
                        Usage.hours.length() > 0,
                        hours,
                        empty("gauge", "Nothing counted yet", "The first figures are here within minutes.", small=True),
                    ),
                ),
            ),
            rx.cond(Usage.problem == "", rx.el.div(skeleton_rows(6), class_name="card")),
        ),
        needs="tenant:read",
    )
