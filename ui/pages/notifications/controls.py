"""The small controls of the page: a button in a line, a field to write in."""

from typing import Any

import reflex as rx


def text(id_: str, name: str, placeholder: str = "", **more: Any) -> rx.Component:
    """A field to write in."""
    return rx.el.input(id=id_, name=name, placeholder=placeholder, class_name="input", auto_complete="off", **more)


def small(words: str | rx.Var[str], on_click: Any, label: Any, look: str = "", **more: Any) -> rx.Component:
    """A small button; `label` names what it is about to those who do not see where it stands."""
    return rx.el.button(
        words,
        type="button",
        class_name=f"btn btn-small {look}",
        on_click=on_click,
        custom_attrs={"aria-label": label},
        **more,
    )
