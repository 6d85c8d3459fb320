"""Small live pieces: a value, a device's presence, a time that ages, a command to copy."""

from typing import Any

import reflex as rx
from reflex.event import no_args_event_spec

from ui.islands import CELLS, LINE_PACKAGES


class _Cell(rx.Component):
    """A piece of cells.jsx; rendered on the server as well, so that nothing jumps when it comes alive."""

    library = CELLS.importable_path
    lib_dependencies: list[str] = LINE_PACKAGES


class When(_Cell):
    """A moment as "3 min ago", or as its hour by the clock; exact on hover, and to screen readers where `spoken`."""

    tag = "When"
    at: rx.Var[str | None]
    none: rx.Var[str]
    both: rx.Var[bool]
    as_hour: rx.Var[bool]
    spoken: rx.Var[bool]


class Told(_Cell):
    """A sentence of the platform's, the times in it by the viewer's own clock; `at`: when it was said."""

    tag = "Told"
    text: rx.Var[str]
    at: rx.Var[str | None]


class Unbroken(_Cell):
    """A sentence of the platform's that says no times; a number keeps its unit beside it at a line's end."""

    tag = "Unbroken"
    text: rx.Var[str]


class OwnZone(_Cell):
    """Says which time zone the times of the page are of."""

    tag = "OwnZone"


class LiveValue(_Cell):
    """A metric's newest value."""

    tag = "LiveValue"
    device_id: rx.Var[str]
    metric: rx.Var[str]
    unit: rx.Var[str]
    value: rx.Var[Any]
    time: rx.Var[str | None]
    quality: rx.Var[str]
    reason: rx.Var[str]


class LiveWhen(_Cell):
    """When a metric, or the device, was last heard of."""

    tag = "LiveWhen"
    device_id: rx.Var[str]
    metric: rx.Var[str]
    time: rx.Var[str | None]
    none: rx.Var[str]


class LivePresence(_Cell):
    """Online, offline or silent, as it changes; `interval` is how often reports are expected, in seconds."""

    tag = "LivePresence"
    device_id: rx.Var[str]
    online: rx.Var[bool]
    since: rx.Var[str | None]
    silent_since: rx.Var[str | None]
    interval: rx.Var[int | None]
    detailed: rx.Var[bool]


class Copy(_Cell):
    """A button that copies a text."""

    tag = "Copy"
    text: rx.Var[str]
    label: rx.Var[str]


class Command(_Cell):
    """A command line (or a link) to copy; %HOST% becomes this page's host, %ORIGIN% its address."""

    tag = "Command"
    text: rx.Var[str]
    hint: rx.Var[str]
    label: rx.Var[str]
    button: rx.Var[str]


class LiveCards(_Cell):
    """All values of one device as cards; `on_new` fires when there is more to know than the page has."""

    tag = "LiveCards"
    device_id: rx.Var[str]
    readings: rx.Var[list[Any]]
    is_new: rx.Var[bool]
    on_new: rx.EventHandler[no_args_event_spec]


class FirstMessage(_Cell):
    """Waits for a new device's first message."""

    tag = "FirstMessage"
    device_id: rx.Var[str]


class LiveLine(_Cell):
    """Says when live updates are interrupted."""

    tag = "LiveLine"


when = When.create
told = Told.create
unbroken = Unbroken.create
own_zone = OwnZone.create
live_value = LiveValue.create
live_when = LiveWhen.create
live_presence = LivePresence.create
copy = Copy.create
command = Command.create
live_cards = LiveCards.create
first_message = FirstMessage.create
live_line = LiveLine.create
