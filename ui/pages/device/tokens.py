"""The part about how it connects: a line to paste, and its tokens."""

import reflex as rx

from ui.components.frame import may
from ui.components.pieces import body, card, empty
from ui.credentials import CredentialLine
from ui.islands.cells import command, copy, when
from ui.pages.device.state import Device


def connect() -> rx.Component:
    """A line to paste that sends a first message, with a token as soon as one is issued."""
    return card(
        "Send a message",
        body(
            rx.cond(
                Device.token != "",
                rx.el.div(
                    rx.icon("key-round", size=17),
                    rx.el.span("This token is shown once. Copy it now: ", rx.el.code(Device.token)),
                    copy(text=Device.token, label="Copy token"),
                    class_name="note note-warn",
                    role="status",
                ),
                rx.el.p(
                    "The device signs in with a token. Issue one, and it is filled into this line.",
                    class_name="muted small",
                ),
            ),
            command(text=Device.command),
            rx.el.div(
                rx.el.button(
                    rx.icon("key-round", size=16),
                    "Issue a token",
                    type="button",
                    class_name="btn",
                    on_click=Device.issue_token,
                )
            ),
        ),
    )


def credentials() -> rx.Component:
    """The tokens by which it signs in, and those that no longer work."""

    def line(each: rx.Var[CredentialLine]) -> rx.Component:
        revoke = rx.el.button(
            "Revoke",
            type="button",
            class_name="btn btn-small btn-danger push",
            on_click=Device.revoke(each.id),
        )
        return rx.el.li(
            rx.el.div(
                rx.el.span(
                    "Issued ",
                    when(at=each.created_at),
                    rx.cond(
                        (each.expires_at != "") & (each.ended_at == ""),
                        rx.el.span(", ends ", when(at=each.expires_at)),
                    ),
                ),
                rx.cond(
                    each.ended_at != "",
                    rx.el.span(each.ended_how, " ", when(at=each.ended_at), class_name="muted push"),
                    rx.cond(may("devices:write"), revoke),
                ),
                class_name="row small",
            ),
            key=each.id,
        )

    none_yet = empty(
        "key-round", "No tokens", "The device needs a token, a certificate or a key to connect.", small=True
    )
    earlier = rx.el.details(
        rx.el.summary(Device.old_credentials.length().to_string(), " that no longer count", class_name="small"),
        rx.el.ul(rx.foreach(Device.old_credentials, line), class_name="list list-flush"),
        class_name="fold card-body",
    )
    return card(
        "Tokens",
        rx.cond(
            Device.credentials.length() > 0,
            rx.el.ul(rx.foreach(Device.credentials, line), class_name="list"),
            none_yet,
        ),
        rx.cond(Device.old_credentials.length() > 0, earlier),
    )
