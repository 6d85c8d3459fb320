"""The part about policies: who is told at once, who next, and when nobody is to be woken."""

from typing import Any

import reflex as rx

from ui.channels import (
    MAX_STEPS,
    REPEATS,
    SEVERITIES,
    WAITS,
    LaterStep,
    PolicyLine,
)
from ui.components.frame import may
from ui.components.help import help_link
from ui.components.pieces import answers, card, doubt, empty, field
from ui.islands.clock_field import clock_of_form
from ui.pages.notifications.controls import small, text
from ui.pages.notifications.state import Notifications


def _tick(prefix: Any, value: Any, words: Any, is_on: Any) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", name=prefix + value, default_checked=is_on), rx.el.span(words), class_name="tick"
    )


def _ticks(prefix: Any, chosen: rx.Var[list[str]]) -> rx.Component:
    return rx.el.div(
        rx.foreach(Notifications.channels, lambda each: _tick(prefix, each.id, each.name, chosen.contains(each.id))),
        class_name="ticks",
    )


def _later(step: rx.Var[LaterStep]) -> rx.Component:
    return rx.el.fieldset(
        rx.el.legend(
            rx.cond(step.number == "2", "And who, if nobody has acknowledged the alert?", "And then?"),
            " ",
            help_link("escalation"),
            class_name="label-text",
        ),
        rx.el.div(
            rx.el.label("After ", html_for="p-wait" + step.number),
            rx.el.select(
                *(rx.el.option(words, value=value) for value, words in WAITS),
                rx.cond(step.odd != "", rx.el.option(step.odd, value=step.wait)),
                id="p-wait" + step.number,
                name="wait" + step.number,
                default_value=step.wait,
                class_name="select",
            ),
            class_name="inline-choice",
        ),
        _ticks("later" + step.number + ":", step.chosen),
        class_name="bare",
        key=step.number,
    )


def plan() -> rx.Component:
    """The form for a policy."""
    mine = Notifications.policy
    return rx.el.section(
        rx.el.div(rx.el.h2(rx.cond(mine, "Change the policy", "New policy")), class_name="card-head"),
        rx.el.form(
            field(
                "Name",
                text("p-name", "name", "On call", auto_focus=True, max_length=60, default_value=mine.name),
                for_="p-name",
            ),
            rx.el.fieldset(
                rx.el.legend("Which alerts?", class_name="label-text"),
                rx.el.div(
                    *(
                        _tick("severity:", key, name, rx.cond(mine, mine.chosen.contains(key), key != "INFO"))
                        for key, name in SEVERITIES
                    ),
                    class_name="ticks",
                ),
                class_name="bare",
            ),
            rx.el.fieldset(
                rx.el.legend("Who is told at once?", class_name="label-text"),
                _ticks("now:", mine.first),
                class_name="bare",
            ),
            rx.foreach(Notifications.laters, _later),
            rx.el.span(
                "Times count from the alert. Tick nobody in a step that is not needed.", class_name="small muted"
            ),
            rx.cond(
                Notifications.laters.length() < MAX_STEPS - 1,
                rx.el.div(small("And after that…", Notifications.add_step, "Add another step")),
            ),
            field(
                "And if still nobody has acknowledged it",
                rx.el.select(
                    *(rx.el.option(words, value=value) for value, words in REPEATS),
                    rx.cond(
                        mine
                        & (mine.repeats != "")
                        & ~rx.Var.create([value for value, _ in REPEATS]).contains(mine.repeat),
                        rx.el.option("again every " + mine.repeat + " minutes", value=mine.repeat),
                    ),
                    id="p-repeat",
                    name="repeat",
                    default_value=rx.cond(mine, mine.repeat, "0"),
                    class_name="select",
                ),
                "Only the last step comes again.",
                for_="p-repeat",
            ),
            rx.el.fieldset(
                rx.el.legend("Quiet hours", class_name="label-text"),
                rx.el.div(
                    field(
                        "From",
                        clock_of_form(field_id="p-start", name="quiet_start", value=mine.quiet_start),
                        for_="p-start",
                    ),
                    field("To", clock_of_form(field_id="p-end", name="quiet_end", value=mine.quiet_end), for_="p-end"),
                    field(
                        "Time zone",
                        text("p-zone", "zone", "Europe/Berlin", default_value=mine.zone),
                        for_="p-zone",
                    ),
                    class_name="trio",
                ),
                rx.el.span(
                    "Only critical alerts come through then; the others come when it is over. Empty: never quiet.",
                    class_name="small muted",
                ),
                class_name="bare",
            ),
            answers("Save the policy", Notifications.leave_plan, Notifications.form_problem),
            key=rx.cond(mine, mine.id, "new"),
            on_submit=Notifications.save_plan,
            class_name="card-body stack card-form",
        ),
        class_name="card",
        aria_label="Notification policy",
    )


def _policy(line: rx.Var[PolicyLine]) -> rx.Component:
    return rx.el.li(
        rx.el.div(
            rx.el.span(
                rx.el.b(line.name),
                rx.el.span(
                    line.severities,
                    rx.cond(line.quiet != "", " · " + line.quiet, ""),
                    " · ",
                    rx.el.code(line.key),
                    class_name="sub",
                ),
                rx.el.ul(
                    rx.foreach(line.steps, lambda step: rx.el.li(step)),
                    rx.cond(line.repeats != "", rx.el.li(line.repeats)),
                    class_name="told small",
                ),
            ),
            rx.cond(
                may("notifications:write"),
                rx.el.span(
                    small("Change…", Notifications.plan(line.id), "Change " + line.name),
                    small("Remove…", Notifications.doubt(line.id), "Remove " + line.name, "btn-danger"),
                    class_name="row push",
                ),
            ),
            class_name="row row-top",
        ),
        rx.cond(
            Notifications.removing == line.id,
            doubt(
                "Remove this policy?",
                "Rules that name it tell nobody from then on.",
                yes=("Remove it", Notifications.remove_policy(line.id)),
                no=("Keep it", Notifications.doubt("")),
            ),
        ),
        key=line.id,
    )


def policies() -> rx.Component:
    """The policies there are."""
    add = rx.cond(
        may("notifications:write") & (Notifications.channels.length() > 0),
        rx.el.button(
            rx.icon("plus", size=16), "New policy", type="button", class_name="btn", on_click=Notifications.plan("")
        ),
    )
    return card(
        "Policies",
        rx.cond(
            Notifications.policies.length() > 0,
            rx.el.ul(rx.foreach(Notifications.policies, _policy), class_name="list"),
            empty(
                "list-ordered",
                "No policy yet",
                rx.cond(
                    Notifications.channels.length() > 0,
                    "Say who is told at once, and who if nobody answers.",
                    "Add a channel first.",
                ),
                small=True,
            ),
        ),
        aside=add,
        about="policy",
        words="Who is told of what, and who is next if nobody answers. Rules name a policy.",
    )
