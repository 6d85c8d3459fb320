"""The page: what the device says now, its history, how it connects, and the end of its life."""

import reflex as rx

from ui.components.certificates import certificates
from ui.components.commands import commands
from ui.components.erasure import erasure
from ui.components.frame import link, may, page
from ui.components.instead import gone
from ui.components.memberships import memberships
from ui.components.oscore_contexts import oscore_contexts
from ui.components.pieces import answers, body, card, done, empty, field, problem, severity_badge, skeleton
from ui.components.points import points
from ui.components.public_keys import public_keys
from ui.islands.cells import live_cards, live_presence, live_when, told, when
from ui.islands.chart import chart, chart_room
from ui.pages.device.life import ending, in_and_out, quarantined
from ui.pages.device.state import Device
from ui.pages.device.tokens import connect, credentials
from ui.words import AlertLine


def _heading() -> rx.Component:
    status = rx.cond(
        Device.is_over | (Device.status == "SUSPENDED") | (Device.status == "QUARANTINED"),
        rx.el.span(Device.status_words, class_name="badge"),
        rx.el.span(
            live_presence(
                device_id=Device.uid,
                online=Device.is_online,
                since=Device.since,
                silent_since=Device.silent_since,
                interval=Device.interval_s,
                detailed=True,
            ),
            rx.cond(
                (Device.status == "PROVISIONED") & (Device.last_seen == ""),
                rx.el.span("Waiting for its first message", class_name="badge badge-accent"),
            ),
            class_name="row",
        ),
    )
    return rx.el.div(
        rx.el.div(
            link(rx.icon("arrow-left", size=15), "Devices", to="/devices", class_name="crumb"),
            rx.el.h1(rx.cond(Device.ready, Device.name, skeleton(28, "220px"))),
            rx.el.div(
                rx.el.code(Device.key),
                rx.el.span("·", class_name="muted"),
                status,
                class_name="row small",
                style={"marginTop": "6px", "minHeight": "26px"},
            ),
        ),
        rx.el.div(
            rx.cond(
                Device.ready & ~Device.is_over & may("devices:write"),
                rx.fragment(
                    in_and_out(),
                    rx.el.button(
                        rx.icon("pencil", size=15),
                        "Edit",
                        type="button",
                        class_name="btn",
                        on_click=Device.edit(True),
                    ),
                ),
            ),
            class_name="actions",
        ),
        class_name="head",
    )


def _looks() -> rx.Component:
    """Where to look further: what it sent that was not accepted, and what people did to it."""
    return rx.el.div(
        rx.cond(may("inbox:read"), link("Messages not accepted", to="/inbox?device=" + Device.uid)),
        rx.cond(may("audit:read"), link("What was done to it", to="/access/audit?target=" + Device.uid)),
        class_name="small stack-tight",
    )


def _edit() -> rx.Component:
    return rx.cond(
        Device.is_editing,
        card(
            "Name and labels",
            rx.el.form(
                field(
                    "Name",
                    rx.el.input(
                        id="name",
                        name="name",
                        default_value=Device.name,
                        max_length=120,
                        class_name="input",
                        required=True,
                    ),
                    for_="name",
                ),
                field(
                    "Labels",
                    rx.el.textarea(
                        id="labels",
                        name="labels",
                        default_value=Device.labels_text,
                        rows=4,
                        class_name="textarea input",
                    ),
                    "One a line, for example “site: Hamburg”. They help you find devices.",
                    for_="labels",
                ),
                answers("Save", Device.edit(False)),
                on_submit=Device.save,
                class_name="card-body stack",
            ),
        ),
    )


def _alerts() -> rx.Component:
    def line(alert: rx.Var[AlertLine]) -> rx.Component:
        return rx.el.div(
            severity_badge(alert.severity),
            link(told(text=alert.reason, at=alert.raised_at), to="/alerts/" + alert.id, class_name="cap reason-link"),
            rx.el.span(
                link(alert.rule, to="/rules/" + alert.rule_id),
                " · ",
                when(at=alert.raised_at),
                class_name="small muted push",
            ),
            class_name="row",
        )

    return rx.cond(
        Device.alerts.length() > 0,
        rx.el.section(
            rx.el.div(rx.foreach(Device.alerts, line), class_name="card-body stack-tight"),
            class_name="card card-alarm",
            aria_label="Open alerts of this device",
        ),
    )


def _about() -> rx.Component:
    return card(
        "About",
        body(
            rx.el.dl(
                rx.el.dt("Profile"),
                rx.el.dd(Device.profile_name),
                rx.el.dt("Groups"),
                rx.el.dd(memberships()),
                rx.el.dt("Last message"),
                rx.el.dd(live_when(device_id=Device.uid, time=Device.last_seen, none="never")),
                rx.el.dt("Added"),
                rx.el.dd(when(at=Device.created_at)),
                rx.cond(
                    (Device.reason != "") & ~Device.is_online,
                    rx.fragment(rx.el.dt("Why offline"), rx.el.dd(told(text=Device.reason, at=None))),
                ),
                rx.cond(
                    Device.labels.length() > 0,
                    rx.fragment(
                        rx.el.dt("Labels"),
                        rx.el.dd(
                            rx.foreach(
                                Device.labels,
                                lambda item: link(
                                    *(item[0], ": ", item[1]), to=Device.label_pages[item[0]], class_name="badge"
                                ),
                            ),
                            class_name="row",
                            style={"gap": "6px"},
                        ),
                    ),
                ),
                class_name="kv",
            ),
            _looks(),
        ),
    )


def _values() -> rx.Component:
    none_yet = empty("radio", "No values yet", "Send a first message with the line below. It appears here by itself.")
    return rx.fragment(
        live_cards(
            device_id=Device.uid,
            readings=Device.readings,
            is_new=Device.last_seen == "",
            on_new=Device.refresh,
        ),
        rx.cond(Device.readings.length() == 0, rx.el.div(none_yet, class_name="card")),
        chart(Device.uid, Device.metrics),
    )


def device() -> rx.Component:
    """The page."""
    parts = rx.fragment(
        points(),  # a gateway's own matter; what it was asked grows below it
        rx.cond(Device.is_over, rx.fragment(), commands()),
        rx.el.div(
            rx.el.div(
                rx.cond(may("devices:write") & ~Device.is_over & (Device.status != "QUARANTINED"), connect()),
                certificates(),
                public_keys(),
                oscore_contexts(),
                rx.cond(Device.is_over, erasure(Device.key)),
            ),
            rx.el.div(_about(), credentials()),
            class_name="grid two",
        ),
        ending(),
    )
    sheet = rx.fragment(
        _edit(),
        _alerts(),
        rx.cond(may("telemetry:read"), _values()),
        rx.cond(Device.is_whole, parts),
    )
    value = rx.el.div(skeleton(17, "60%"), skeleton(29, "70%"), skeleton(15, "40%"), class_name="card value-card")
    waiting = rx.fragment(rx.el.div(*[value] * 4, class_name="cards"), chart_room())
    return page(
        "Devices",
        rx.cond(
            Device.is_gone,
            gone("device", "See all devices", "/devices"),
            rx.fragment(
                _heading(),
                problem(Device.problem, Device.load),
                done(Device.said),
                quarantined(),
                rx.cond(Device.ready, sheet, rx.cond(Device.problem == "", waiting)),
            ),
        ),
        needs="devices:read",
    )
