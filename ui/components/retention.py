"""For how long the organisation's telemetry is kept, with a form for who may change it."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.frame import may
from ui.components.pieces import card, done, field, problem
from ui.console import Console

RIGHT = "profiles:write"


def days_of(form: dict[str, Any], name: str, most: int) -> int:
    """What was filled in, 0 for nothing. Raises ValueError with words to show."""
    text = "".join(str(form.get(name, "")).split())
    if text and not (text.isascii() and text.isdigit() and 1 <= int(text) <= most):
        raise ValueError(f"Days are a whole number from 1 to {most:,}, or nothing for as long as possible.")
    return int(text or 0)


class Retention(Console):
    """How long, and how long at most."""

    ready: bool = False
    days: int = 0
    rollup_days: int = 0
    own: str = ""
    rollup_own: str = ""
    most: int = 0
    rollup_most: int = 0
    number: int = 0
    wrong: str = ""
    said: str = ""

    @rx.event
    async def load(self) -> None:
        """Learn it; where that fails, the page itself says what is wrong."""
        self.wrong = self.said = ""
        try:
            self._show((await self.ask("retention"))["retention"])
        except Refused:
            self.ready = False

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Keep it for so long from now on."""
        self.wrong = self.said = ""
        try:
            wanted = {
                "days": days_of(form, "days", self.most),
                "rollupDays": days_of(form, "rollup_days", self.rollup_most),
            }
            self._show((await self.ask("retention_set", **wanted))["retentionSet"])
        except ValueError as unclear:
            self.wrong = str(unclear)
        except Refused as refusal:
            self.wrong = refusal.words
        else:
            self.said = "Saved. What is older is removed within two hours."

    def _show(self, kept: dict[str, Any]) -> None:
        self.days, self.rollup_days = kept["days"], kept["rollupDays"]
        self.own, self.rollup_own = str(kept["ownDays"] or ""), str(kept["ownRollupDays"] or "")
        self.most, self.rollup_most = kept["mostDays"], kept["mostRollupDays"]
        self.number, self.ready = self.number + 1, True


def retention() -> rx.Component:
    """A card of the page of usage."""
    return rx.cond(
        Retention.ready,
        card(
            "History",
            rx.el.div(
                rx.el.p(
                    "Measured values are kept for ",
                    rx.el.b(Retention.days, " days"),
                    ", the count, average, lowest and highest of each hour and day for ",
                    rx.el.b(Retention.rollup_days, " days"),
                    ". A profile may say otherwise of the values of its devices.",
                ),
                rx.cond(may(RIGHT), _form()),
                class_name="card-body stack",
            ),
        ),
    )


def _form() -> rx.Component:
    return rx.el.form(
        problem(Retention.wrong),
        done(Retention.said),
        rx.el.div(
            _days("days", "Days for values", Retention.own, Retention.most),
            _days("rollup_days", "Days for hours and days", Retention.rollup_own, Retention.rollup_most),
            class_name="pair",
        ),
        rx.el.p(
            "Values that are older go for good. Hours and days are never kept for a shorter time than values.",
            class_name="small muted",
        ),
        rx.el.div(rx.el.button("Save", type="submit", class_name="btn"), class_name="row"),
        on_submit=Retention.save,
        key=Retention.number.to_string(),
        class_name="stack",
        aria_label="For how long telemetry is kept",
    )


def _days(name: str, label: str, own: rx.Var[str], most: rx.Var[int]) -> rx.Component:
    box = rx.el.input(
        id=f"retention-{name}",
        name=name,
        default_value=own,
        input_mode="numeric",
        max_length=5,
        placeholder="as long as possible",
        class_name="input num",
    )
    return field(label, box, rx.el.span("At most ", most, "."), for_=f"retention-{name}")
