"""The sections of the profile's form: about it, values, interval, commands, settings, and what changed before."""

from typing import Any

import reflex as rx

from ui.components.frame import may
from ui.components.pieces import card, field
from ui.islands.cells import when
from ui.pages.profile.drafts import UNITS, CommandDraft, ValueDraft
from ui.pages.profile.rows import METRIC_HEADS, declared_row, metric_row
from ui.pages.profile.state import Profile, VersionLine

STRICT = "Turn away values that are not named below"


def about() -> rx.Component:
    """Name, key, and what happens to values that nobody named."""
    return card(
        "The profile",
        rx.el.div(
            rx.el.div(_name(), _key(), class_name="pair"),
            rx.el.div(
                rx.el.button(
                    type="button",
                    class_name="switch",
                    on_click=Profile.set_strict(~Profile.is_strict),
                    role="switch",
                    custom_attrs={"aria-checked": Profile.is_strict, "aria-label": STRICT},
                ),
                rx.el.div(
                    rx.el.b(STRICT),
                    rx.el.p(
                        rx.cond(
                            Profile.is_strict,
                            "Any other value is left out of what is stored and lies in the inbox.",
                            "Any other value is stored as it comes.",
                        ),
                        class_name="small muted",
                    ),
                ),
                class_name="row nowrap-row",
            ),
            class_name="card-body stack",
        ),
    )


def _name() -> rx.Component:
    box = rx.el.input(
        id="profile-name",
        value=Profile.name,
        on_change=Profile.set_name,
        placeholder="Cold room sensor",
        max_length=120,
        required=True,
        class_name="input",
    )
    return field("Name", box, for_="profile-name")


def _key() -> rx.Component:
    box = rx.el.input(
        id="profile-key",
        value=Profile.key,
        on_change=Profile.set_key,
        max_length=40,
        read_only=~Profile.is_new,
        spell_check=False,
        class_name="input mono",
    )
    chosen = "Rules and programs know the profile by it. Chosen once."
    return field("Key", box, rx.el.span(rx.cond(Profile.is_new, chosen, "It never changes.")), for_="profile-key")


def metrics() -> rx.Component:
    """What its devices send."""
    return card(
        "What its devices send",
        rx.cond(
            Profile.rows.length() > 0,
            rx.fragment(
                rx.el.div(*map(rx.el.span, METRIC_HEADS), class_name="metric-row metric-head", aria_hidden="true"),
                rx.el.ul(
                    rx.foreach(Profile.rows, lambda row: metric_row(row, Profile.remove)),
                    class_name="list metric-rows",
                ),
            ),
            rx.el.p("Nothing is named: devices may send anything.", class_name="card-body muted"),
        ),
        _add("Add a value", "add-metric", Profile.add),
        words="A value outside its limits, or of another kind, is not believed: it is left out, and lies in the inbox.",
    )


def interval() -> rx.Component:
    """How often its devices report."""
    return card(
        "How often does it report?",
        rx.el.div(
            rx.el.div(
                rx.el.label("Every", html_for="interval"),
                rx.el.input(
                    id="interval",
                    value=Profile.amount,
                    on_change=Profile.set_amount,
                    input_mode="decimal",
                    max_length=10,
                    placeholder="none",
                    class_name="input num interval-amount",
                    custom_attrs={"aria-describedby": "interval-words"},
                ),
                rx.el.select(
                    *(rx.el.option(unit, value=unit) for unit in UNITS),
                    value=Profile.unit,
                    on_change=Profile.set_unit,
                    class_name="select interval-unit",
                    custom_attrs={"aria-label": "Seconds, minutes, hours or days"},
                ),
                class_name="row nowrap-row interval-row",
            ),
            rx.el.p(Profile.silence_words, class_name="small muted", id="interval-words", aria_live="polite"),
            class_name="card-body stack",
        ),
        words="Then a device that has gone quiet is noticed, even if its connection stays open.",
    )


def kept() -> rx.Component:
    """For how long what they send is kept."""
    return card(
        "For how long is it kept?",
        rx.el.div(
            field(
                "Days",
                rx.el.input(
                    id="kept-days",
                    value=Profile.days,
                    on_change=Profile.set_days,
                    input_mode="numeric",
                    max_length=4,
                    class_name="input num interval-amount",
                ),
                "Empty: as long as all others. What is older is removed within two hours; the average, lowest and "
                "highest of each hour stay longer.",
                for_="kept-days",
            ),
            class_name="card-body",
        ),
    )


def commands() -> rx.Component:
    """What its devices can be told to do."""
    return card(
        "Commands",
        rx.cond(
            Profile.commands.length() > 0,
            rx.el.ul(rx.foreach(Profile.commands, _command), class_name="list"),
            rx.el.p("None: nobody can tell these devices to do anything.", class_name="card-body muted"),
        ),
        _add("Add a command", "add-command", Profile.add_command),
        words="What these devices can be told to do, for example to open a valve. Describing a command sends nothing.",
    )


def _command(block: rx.Var[CommandDraft]) -> rx.Component:
    called = rx.cond(block.label != "", block.label, block.key)
    return rx.el.li(
        rx.el.div(
            _text(block, "label", "Shown as", max_length=100, placeholder="Open the valve"),
            _text(block, "key", "Name the device knows", max_length=64, placeholder="made from it", more="mono"),
            _text(block, "timeout", "Seconds to wait for an answer", input_mode="numeric", max_length=6, more="num"),
            rx.el.button(
                rx.icon("trash-2", size=16),
                type="button",
                class_name="btn btn-ghost btn-icon cell-remove",
                on_click=Profile.remove_command(block.row),
                title="Remove this command",
                custom_attrs={"aria-label": rx.cond(called != "", "Remove " + called, "Remove this command")},
            ),
            class_name="command-row",
        ),
        _text(
            block, "description", "What it does", max_length=500, placeholder="Lets water in until it is closed again."
        ),
        rx.el.div(
            rx.cond(
                block.arguments.length() > 0,
                rx.fragment(
                    rx.el.span("What it is told", class_name="label-text"),
                    rx.el.ul(
                        rx.foreach(
                            block.arguments.to(list[ValueDraft]),
                            lambda row: declared_row(row, Profile.remove_argument, "Needed", "How far"),
                        ),
                        class_name="list list-flush",
                    ),
                ),
            ),
            rx.el.button(
                rx.icon("plus", size=15),
                "Add what it is told",
                type="button",
                id="add-argument-" + block.row,
                class_name="btn btn-small",
                on_click=Profile.add_argument(block.row),
            ),
            class_name="sheet stack",
        ),
        class_name="stack command-block",
        key=block.row,
    )


def settings() -> rx.Component:
    """What can be set on its devices."""
    return card(
        "Settings",
        rx.cond(
            Profile.settings.length() > 0,
            rx.el.ul(
                rx.foreach(
                    Profile.settings,
                    lambda row: declared_row(row, Profile.remove_setting, "May be set", "Target temperature"),
                ),
                class_name="list",
            ),
            rx.el.p("None: these devices have nothing to set.", class_name="card-body muted"),
        ),
        _add("Add a setting", "add-setting", Profile.add_setting),
        words="What a device keeps, for example its target temperature. Tick what people and programs may set; "
        "the rest it only tells.",
    )


def history() -> rx.Component:
    """Who changed what, and when."""
    return rx.cond(
        Profile.versions.length() > 0,
        card(
            "What changed",
            rx.el.ol(rx.foreach(Profile.versions, _version), class_name="list"),
            rx.cond(
                Profile.has_older,
                rx.el.div(
                    rx.el.button("Show older", type="button", class_name="btn", on_click=Profile.show_older),
                    class_name="pager",
                ),
            ),
        ),
    )


def _version(line: rx.Var[VersionLine]) -> rx.Component:
    is_now = line.version == Profile.version
    return rx.el.li(
        rx.el.div(
            rx.el.b("Version ", line.version.to_string()),
            rx.el.span(
                rx.cond(line.by != "", line.by, "somebody before changes were kept"),
                " · ",
                when(at=line.at),
                class_name="small muted",
            ),
            rx.cond(
                is_now,
                rx.el.span("Holds now", class_name="badge badge-ok"),
                rx.cond(
                    may("profiles:write"),
                    rx.el.button(
                        "Bring back",
                        rx.el.span(" version ", line.version.to_string(), class_name="sr-only"),
                        type="button",
                        class_name="btn btn-small push",
                        on_click=Profile.bring_back(line.version),
                    ),
                ),
            ),
            class_name="row",
        ),
        rx.el.ul(rx.foreach(line.changes, rx.el.li), class_name="small changes"),
        key=line.version.to_string(),
    )


def _text(block: rx.Var[CommandDraft], name: str, label: str, **props: Any) -> rx.Component:
    more = props.pop("more", "")
    return rx.el.label(
        rx.el.span(label, class_name="label-text"),
        rx.el.input(
            name=f"{name}-" + block.row,
            default_value=getattr(block, name),
            class_name=f"input {more}",
            spell_check=name != "key",
            **props,
        ),
        class_name=f"cell cell-{name}",
    )


def _add(words: str, id_: str, on_click: Any) -> rx.Component:
    button = rx.el.button(rx.icon("plus", size=16), words, type="button", id=id_, class_name="btn", on_click=on_click)
    return rx.el.div(button, class_name="pager")
