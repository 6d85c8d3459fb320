"""A time of day in a form, in 24 hours whatever clock the browser's language has."""

import reflex as rx

from ui.islands import CLOCK_FIELD


class ClockOfForm(rx.NoSSRComponent):
    """Sends `name`: "22:00", or '' where it is left empty."""

    library = CLOCK_FIELD.importable_path
    tag = "ClockOfForm"
    name: rx.Var[str]
    field_id: rx.Var[str]
    value: rx.Var[str]


clock_of_form = ClockOfForm.create
