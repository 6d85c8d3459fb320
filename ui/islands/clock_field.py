"""Times of day and days in forms: in 24 hours whatever clock the browser's language has, and in words."""

import reflex as rx
from reflex.event import passthrough_event_spec

from ui.islands import CLOCK_FIELD


class ClockOfForm(rx.NoSSRComponent):
    """Sends `name`: "22:00", or '' where it is left empty."""

    library = CLOCK_FIELD.importable_path
    tag = "ClockOfForm"
    name: rx.Var[str]
    field_id: rx.Var[str]
    value: rx.Var[str]


class DayField(rx.NoSSRComponent):
    """A day of the calendar, said in words too; `on_change` brings "2026-11-22", '' for none."""

    library = CLOCK_FIELD.importable_path
    tag = "DayField"
    label: rx.Var[str]
    on_change: rx.EventHandler[passthrough_event_spec(str)]


day_field = DayField.create
clock_of_form = ClockOfForm.create
