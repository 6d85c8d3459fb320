"""What is shown this once: a secret to copy, and the card that goes away when somebody says that they have it."""

from typing import Any

import reflex as rx

from ui.components.pieces import note
from ui.islands.cells import copy


def secret(text: rx.Var[str], id_: str, button: str, words: str, long: bool = False) -> rx.Component:
    """The secret, a button that copies it, and what to mind; a `long` one scrolls in its box."""
    box = {"tab_index": 0} if long else {}
    return rx.el.div(
        rx.el.div(text, class_name="code code-long" if long else "code", id=id_, **box),
        rx.el.div(
            rx.el.span(words, class_name="small muted"),
            copy(text=text, label=button),
            class_name="code-foot",
        ),
    )


def shown_once(name: str, told: tuple[Any, ...], *inside: rx.Component, put_away: Any) -> rx.Component:
    """The card: that it is shown this once, `inside` the secret with what it is good for, and the way to close it."""
    return rx.el.section(
        rx.el.div(
            note("key-round", *told),
            *inside,
            rx.el.div(rx.el.button("I have copied it", type="button", class_name="btn btn-primary", on_click=put_away)),
            class_name="card-body stack",
        ),
        class_name="card",
        aria_label=name,
    )
