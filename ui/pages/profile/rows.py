"""The rows of the form in which values are described: metrics, what a command is told, and settings."""

from typing import Any

import reflex as rx

from ui.pages.profile.drafts import ValueDraft
from ui.pages.profiles import TYPE_WORDS

METRIC_HEADS = ("Name it sends", "Shown as", "Kind", "Unit", "Lowest", "Highest")
_PLAIN = {kind: words for kind, words in TYPE_WORDS.items() if kind != "OBJECT"}


def metric_row(row: rx.Var[ValueDraft], on_remove: Any) -> rx.Component:
    """One thing that devices send."""
    return rx.el.li(
        _cell(row, "key", "Name it sends", max_length=64, spell_check=False, placeholder="temperature", more="mono"),
        _cell(row, "label", "Shown as", max_length=100, placeholder="as it is sent"),
        _kind(row, TYPE_WORDS),
        *_limits(row),
        _remove(row, on_remove),
        class_name="metric-row",
        key=row.row,
    )


def declared_row(row: rx.Var[ValueDraft], on_remove: Any, tick: str, example: str) -> rx.Component:
    """One thing a command is told, or one setting; `tick` says what its box means, `example` what it may be called."""
    return rx.el.li(
        _cell(row, "label", "Shown as", max_length=100, placeholder=example),
        _cell(
            row,
            "key",
            "Name the device knows",
            max_length=120,
            spell_check=False,
            placeholder="made from it",
            more="mono",
        ),
        _kind(row, _PLAIN),
        *_limits(row),
        _cell(row, "choices", "Choices", max_length=1000, placeholder="any text, or: eco, full"),
        rx.el.label(
            rx.el.input(type="checkbox", name="is_ticked-" + row.row, default_checked=row.is_ticked),
            rx.el.span(tick),
            class_name="tick cell-tick",
        ),
        _remove(row, on_remove),
        class_name="metric-row declared-row",
        key=row.row,
    )


def _cell(row: rx.Var[ValueDraft], name: str, label: str, **props: Any) -> rx.Component:
    value = getattr(row, name)
    more = props.pop("more", "")
    return rx.el.label(
        rx.el.span(label, class_name="label-text"),
        rx.el.input(name=f"{name}-" + row.row, default_value=value, class_name=f"input {more}", **props),
        class_name=f"cell cell-{name}",
    )


def _kind(row: rx.Var[ValueDraft], kinds: dict[str, str]) -> rx.Component:
    return rx.el.label(
        rx.el.span("Kind", class_name="label-text"),
        rx.el.select(
            *(rx.el.option(words, value=kind) for kind, words in kinds.items()),
            name="type-" + row.row,
            default_value=row.type,
            class_name="select",
        ),
        class_name="cell cell-type",
    )


def _limits(row: rx.Var[ValueDraft]) -> tuple[rx.Component, ...]:
    number = {"input_mode": "decimal", "max_length": 24, "placeholder": "any", "more": "num"}
    return (
        _cell(row, "unit", "Unit", max_length=20, placeholder="degC"),
        _cell(row, "min", "Lowest", **number),
        _cell(row, "max", "Highest", **number),
    )


def _remove(row: rx.Var[ValueDraft], on_remove: Any) -> rx.Component:
    called = rx.cond(row.label != "", row.label, row.key)
    return rx.el.button(
        rx.icon("trash-2", size=16),
        type="button",
        class_name="btn btn-ghost btn-icon cell-remove",
        on_click=on_remove(row.row),
        title="Remove this row",
        custom_attrs={"aria-label": rx.cond(called != "", "Remove " + called, "Remove this row")},
    )
