"""By whose clock the times of day in rules go, where neither the rule nor the device says so."""

from typing import Any

import reflex as rx

from ui.client import Refused
from ui.components.help import help_link
from ui.components.pieces import done, field, problem
from ui.console import Console

RIGHT = "profiles:write"


class RuleClock(Console):
    """The organisation's time zone."""

    zone: str = ""
    is_open: bool = False
    said: str = ""
    wrong: str = ""

    @rx.event
    async def load(self) -> Any:
        """Learn it; where that fails, the page itself says what is wrong."""
        self.is_open, self.said, self.wrong = False, "", ""
        try:
            self.zone = (await self.ask("tenant_zone"))["me"]["tenant"]["timeZone"]
        except Refused:
            self.zone = ""

    @rx.event
    def turn(self) -> None:
        """Open the form, or close it."""
        self.is_open, self.said, self.wrong = not self.is_open, "", ""

    @rx.event
    async def save(self, form: dict[str, Any]) -> None:
        """Let times of day go by another clock."""
        try:
            told = await self.ask("tenant_time_zone_set", timeZone=str(form.get("zone", "")).strip())
        except Refused as refusal:
            self.wrong = refusal.words
            return
        self.zone = told["tenantTimeZoneSet"]["timeZone"]
        self.is_open, self.wrong = False, ""
        self.said = f"Times of day in rules go by {self.zone} now."


def rule_clock() -> rx.Component:
    """One line below the rules, with a form for who may change it."""
    return rx.el.section(
        done(RuleClock.said),
        rx.cond(
            RuleClock.zone != "",
            rx.el.p(
                "Times of day go by the time zone that a rule names, else by the device's attribute ",
                rx.el.code("timezone"),
                ", else by ",
                rx.el.b(RuleClock.zone),
                ". ",
                help_link("time-zone"),
                " ",
                rx.cond(
                    RuleClock.scopes.contains(RIGHT) & ~RuleClock.is_open,
                    rx.el.button("Change", type="button", class_name="btn btn-small", on_click=RuleClock.turn),
                ),
                class_name="small muted",
            ),
        ),
        rx.cond(RuleClock.is_open, _form()),
        class_name="stack-tight",
        aria_label="Whose clock rules go by",
    )


def _form() -> rx.Component:
    return rx.el.form(
        problem(RuleClock.wrong),
        field(
            "Your organisation's time zone",
            rx.el.input(
                id="clock-zone",
                name="zone",
                default_value=RuleClock.zone,
                placeholder="Europe/Berlin",
                max_length=64,
                required=True,
                class_name="input",
            ),
            "As the world's time zones are named: Europe/Berlin, America/Sao_Paulo, UTC.",
            for_="clock-zone",
        ),
        rx.el.div(
            rx.el.button("Save the time zone", type="submit", class_name="btn btn-primary"),
            rx.el.button("Cancel", type="button", class_name="btn", on_click=RuleClock.turn),
            class_name="row",
        ),
        on_submit=RuleClock.save,
        class_name="card card-body stack",
    )
