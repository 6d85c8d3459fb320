"""Telemetry values inside lists."""

import reflex as rx

from ui.components.frame import may
from ui.islands.cells import live_value
from ui.words import Reading


def value_chips(readings: rx.Var[list[Reading]]) -> rx.Component:
    """The first few newest values of a device on one line; they change as messages arrive."""

    def chip(reading: rx.Var[Reading]) -> rx.Component:
        return rx.el.span(
            rx.el.span(reading.label, class_name="name"),
            live_value(
                device_id=reading.device_id,
                metric=reading.metric,
                unit=reading.unit,
                value=reading.value,
                time=reading.time,
                quality=reading.quality,
                reason=reading.reason,
            ),
            class_name="value-chip",
        )

    return rx.cond(
        readings.length() > 0,
        rx.el.span(rx.foreach(readings, chip), class_name="values"),
        rx.cond(may("telemetry:read"), rx.el.span("no values yet", class_name="muted small")),
    )
