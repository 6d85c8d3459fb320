"""The live chart of one device, and a moment of its past: uPlot over /graphql."""

from typing import Any

import reflex as rx

from ui.client import OPERATIONS
from ui.islands import CHART, LINE_PACKAGES


class Chart(rx.NoSSRComponent):
    """Choose a metric and a span of time; history by query, then live."""

    library = CHART.importable_path
    tag = "Chart"
    lib_dependencies: list[str] = ["uplot@1.6.32", *LINE_PACKAGES]
    device_id: rx.Var[str]
    metrics: rx.Var[list[Any]]
    query: rx.Var[str]
    source_query: rx.Var[str]


class Moment(rx.NoSSRComponent):
    """One metric around the moment an alert was raised, with the moment marked."""

    library = CHART.importable_path
    tag = "Moment"
    lib_dependencies: list[str] = ["uplot@1.6.32", *LINE_PACKAGES]
    device_id: rx.Var[str]
    metric: rx.Var[Any]
    at: rx.Var[str]
    until: rx.Var[str]
    query: rx.Var[str]


def chart(device_id: rx.Var[str], metrics: rx.Var[list[Any]]) -> rx.Component:
    """`metrics`: records with key, label, unit and type."""
    drawn = Chart.create(
        device_id=device_id,
        metrics=metrics,
        query=OPERATIONS["series"],
        source_query=OPERATIONS["reading_source"],
    )
    return rx.el.div(drawn, rx.cond(metrics.length() > 0, chart_room()))


def chart_room() -> rx.Component:
    """The room of a chart that is on its way; it makes way when it comes."""
    return rx.el.div(class_name="card chart-card is-waiting", aria_hidden="true")


def moment(device_id: rx.Var[str], metric: rx.Var[Any], at: rx.Var[str], until: rx.Var[str]) -> rx.Component:
    """`metric`: a record with key, label, unit and type; `until`: when the alert was over, '' while it is not."""
    drawn = Moment.create(device_id=device_id, metric=metric, at=at, until=until, query=OPERATIONS["series_around"])
    return rx.el.div(drawn, class_name="moment")
