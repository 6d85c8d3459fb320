"""Devices as a table with live values; on narrow screens a list of blocks."""

from collections.abc import Callable

import reflex as rx

from ui.components.frame import link
from ui.components.pieces import empty
from ui.components.values import value_chips
from ui.islands.cells import live_presence, live_when
from ui.words import DeviceLine

COLUMNS = ("Device", "Status", "Last message", "Newest values")


Action = Callable[[rx.Var[DeviceLine]], rx.Component]


def no_devices() -> rx.Component:
    """What stands where the devices will be, for somebody who cannot add one."""
    return empty("cpu", "No devices yet", "They appear here as soon as somebody has added one for you to see.")


def device_table(devices: rx.Var[list[DeviceLine]], action: Action | None = None) -> rx.Component:
    """One line per device; the whole line leads to the device, beside an `action` at its end if there is one."""
    heads = [rx.el.th(name, scope="col") for name in COLUMNS]
    if action is not None:
        heads.append(rx.el.th(rx.el.span("What can be done", class_name="sr-only"), scope="col"))
    return rx.el.table(
        rx.el.thead(rx.el.tr(*heads)),
        rx.el.tbody(rx.foreach(devices, lambda device: _line(device, action))),
        class_name="table device-table",
    )


def _line(device: rx.Var[DeviceLine], action: Action | None) -> rx.Component:
    works = (device.status == "ACTIVE") | (device.status == "PROVISIONED")
    return rx.el.tr(
        rx.el.td(
            link(device.name, to="/devices/" + device.id, class_name="row-link"),
            rx.el.span(rx.el.span(device.key, class_name="mono"), " · ", device.profile, class_name="sub"),
        ),
        rx.el.td(
            rx.cond(
                works,
                live_presence(
                    device_id=device.id, online=device.is_online, since=device.since, silent_since=device.silent_since
                ),
                rx.el.span(device.status_words, class_name="badge"),
            ),
        ),
        rx.el.td(live_when(device_id=device.id, time=device.last_seen, none="never"), class_name="muted small"),
        rx.el.td(value_chips(device.readings)),
        rx.fragment() if action is None else rx.el.td(action(device), class_name="cell-action"),
        class_name="is-link",
        key=device.id,
    )
