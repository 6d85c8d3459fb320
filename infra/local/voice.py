"""What `tidegate up` says on the terminal: its own sentences, and every child's lines behind the child's name."""

import json
import sys
import threading
import time
from typing import TextIO

COLOURS = (36, 32, 33, 35, 34, 96, 92, 95)
WIDTH = 8


class Voice:
    """Writes whole lines, one writer at a time; colour and plain-language logs on a terminal only."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._is_terminal = self._out.isatty()
        self._lock = threading.Lock()
        self._colour_of: dict[str, int] = {}

    def say(self, sentence: str, *, trouble: bool = False) -> None:
        """One sentence of our own."""
        self._write("tidegate", sentence, 31 if trouble else 1)

    def quote(self, name: str, line: str) -> None:
        """One line of a child's output."""
        colour = self._colour_of.setdefault(name, COLOURS[len(self._colour_of) % len(COLOURS)])
        self._write(name, in_words(line) if self._is_terminal else line, colour)

    def phase(self, name: str) -> "Phase":
        """A step that may take a while: said at its beginning, its wall time at its end."""
        return Phase(self, name)

    def _write(self, name: str, text: str, colour: int) -> None:
        head = f"{name:<{WIDTH}} |"
        if self._is_terminal:
            head = f"\x1b[{colour}m{head}\x1b[0m"
        with self._lock:
            try:
                self._out.write(f"{head} {text}\n")
                self._out.flush()
            except (BrokenPipeError, ValueError):
                pass  # whoever read us has gone; the processes go on


class Phase:
    """A context manager that says what is being done and how long it took."""

    def __init__(self, voice: Voice, name: str) -> None:
        self._voice = voice
        self._name = name
        self._began = 0.0

    def __enter__(self) -> None:
        self._began = time.monotonic()
        self._voice.say(f"{self._name} …")

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self._voice.say(f"{self._name}: {time.monotonic() - self._began:.1f} s")


def _as_event(line: str) -> dict[str, object] | None:
    """The line as one of our own JSON log lines, or None."""
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and "event" in event else None


def in_words(line: str) -> str:
    """A JSON log line for a person: time of day, level, event, fields; any other line as it is."""
    event = _as_event(line)
    if event is None:
        return line
    shown = {name: value for name, value in event.items() if name not in ("at", "level", "process", "logger", "event")}
    fields = " ".join(f"{name}={value}" for name, value in shown.items())
    return f"{str(event.get('at', ''))[11:19]} {event.get('level', ''):<7} {event['event']} {fields}".rstrip()
