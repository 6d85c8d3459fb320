"""Looking around behind a connection of an edge: what is found may be added to the text."""

import reflex as rx

from ui.components.pieces import field, problem
from ui.components.points.state import Points, may_try
from ui.point_words import Proposal


def _number(name: str, label: str, start: str, most: int, least: int = 0) -> rx.Component:
    return field(
        label,
        rx.el.input(
            id=f"look-{name}", name=name, type="number", min=least, max=most, default_value=start, class_name="input"
        ),
        for_=f"look-{name}",
    )


def _look_fields() -> rx.Component:
    """What narrows the look, in the protocol's own terms."""
    tables = rx.el.select(
        rx.el.option("holding registers", value="holding"),
        rx.el.option("input registers", value="input"),
        rx.el.option("coils", value="coil"),
        rx.el.option("discrete inputs", value="discrete"),
        id="look-table",
        name="table",
        class_name="select",
    )
    number = _number("most", "At most so many points", "500", 2_000, least=1)
    under = rx.el.input(id="look-under", name="under", max_length=200, placeholder="ns=2;s=Press1", class_name="input")
    modbus = (
        _number("unit", "Unit", "1", 255),
        field("Which", tables, for_="look-table"),
        _number("from", "From address", "0", 65_535),
        _number("to", "To address", "99", 65_535),
    )
    hosts = rx.el.input(
        id="look-hosts", name="hosts", max_length=1_000, placeholder="192.168.20.30", class_name="input"
    )
    bacnet = (
        _number("low", "Devices from number", "0", 4_194_302),
        _number("high", "to number", "4194302", 4_194_302),
        field("At addresses · optional", hosts, "For devices in other networks.", for_="look-hosts"),
        number,
    )
    return rx.match(
        Points.protocol,
        ("opcua", rx.fragment(field("Below which node · optional", under, for_="look-under"), number)),
        ("bacnet", rx.fragment(*bacnet)),
        rx.fragment(*modbus),
    )


def _look_form() -> rx.Component:
    connection = rx.el.select(
        rx.foreach(Points.connections.keys(), lambda name: rx.el.option(name, value=name)),
        id="look-connection",
        value=Points.behind,
        on_change=Points.choose,
        class_name="select",
    )
    return rx.el.form(
        rx.el.div(
            field("Behind which connection", connection, for_="look-connection"),
            _look_fields(),
            class_name="command-fields",
        ),
        problem(Points.look_problem),
        rx.el.div(
            rx.el.button(
                rx.icon("radar", size=15),
                rx.cond(Points.look != "", "Looking, this may take a minute…", "Look around"),
                type="submit",
                class_name="btn btn-primary",
                disabled=(Points.look != "") | ~Points.is_online,
            ),
            rx.el.button("Close", type="button", class_name="btn", on_click=Points.open_look(False)),
            class_name="row",
        ),
        on_submit=Points.look_around,
        class_name="stack",
        key=Points.behind,
    )


def _proposal(each: rx.Var[Proposal]) -> rx.Component:
    return rx.el.label(
        rx.el.input(type="checkbox", name="tick-" + each.number.to_string()),
        rx.el.span(
            rx.el.b(each.device, "/", each.metric),
            rx.cond(each.found != "", rx.el.span(" = ", each.found, " ", each.unit)),
            rx.el.span(each.address, rx.cond(each.words != "", rx.el.span(" · ", each.words)), class_name="sub"),
        ),
        class_name="tick",
        key=each.number.to_string(),
    )


def _proposed() -> rx.Component:
    more = rx.cond(
        Points.found > Points.proposals.length(),
        rx.el.div(
            rx.el.span(
                "The first ",
                Points.proposals.length().to_string(),
                " of ",
                Points.found.to_string(),
                " that it found.",
                class_name="small muted",
            ),
            rx.el.button(
                rx.cond(Points.look != "", "Asking…", "Show more of them"),
                type="button",
                class_name="btn btn-small",
                disabled=(Points.look != "") | ~Points.is_online,
                on_click=Points.look_further,
            ),
            class_name="row",
        ),
    )
    into = field(
        "Into which device · optional",
        rx.el.input(
            id="look-device",
            name="device",
            max_length=40,
            pattern="[A-Za-z0-9_\\-]{1,40}",
            title="Letters, digits, _ and -",
            placeholder="as named above",
            class_name="input",
        ),
        "The key of the device here to which they belong.",
        for_="look-device",
    )
    return rx.el.form(
        rx.el.div(
            rx.foreach(Points.proposals, _proposal),
            class_name="points-proposed",
            role="group",
            tab_index=0,
            aria_label="Points that were found",
        ),
        more,
        into,
        rx.el.div(rx.el.button("Add the ticked ones to the text", type="submit", class_name="btn btn-primary")),
        on_submit=Points.add,
        class_name="stack",
    )


def can_look() -> rx.Var[bool]:
    """Whether there is a connection of the edge behind which whoever looks may look around."""
    runs_it = (Points.state == "RUNNING") | (Points.runs_file & ~Points.is_local)
    return may_try() & runs_it & (Points.connections.length() > 0)


def begin() -> rx.Component:
    """The button that opens the form."""
    return rx.cond(
        can_look() & ~Points.is_looking,
        rx.el.button(
            rx.icon("radar", size=15),
            "Look around for more points…",
            type="button",
            class_name="btn",
            disabled=~Points.is_online,
            on_click=Points.open_look(True),
        ),
    )


def look() -> rx.Component:
    """Looking around behind a connection that the edge has; what is found may be added to the draft."""
    nothing = rx.el.p("Nothing answered there. Look at other addresses, or another unit.", class_name="small muted")
    result = rx.cond(Points.proposals.length() > 0, _proposed(), rx.cond(Points.is_answered, nothing))
    return rx.cond(
        can_look() & Points.is_looking,
        rx.el.section(
            rx.el.div(
                rx.el.h3("Look around"),
                rx.el.p("The edge asks the machines what they have. It only reads.", class_name="small muted"),
                class_name="stack-tight",
            ),
            _look_form(),
            rx.el.div(result, aria_live="polite"),
            class_name="stack",
            aria_label="Look around",
        ),
    )
