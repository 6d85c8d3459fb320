"""Asks a process again and again whether it lives: one that hangs has not ended, and nobody would start it again."""

import threading
import time
from collections.abc import Callable

EVERY_S = 5.0
SOON_S = 0.25
"""And so often one that has not answered yet."""
TRIES = 4
"""So many questions in a row without an answer, and a process counts as hung. Counted, not timed: a supervisor that
was itself stopped for a while must not find everybody silent when it goes on."""


class Pulse:
    """Asks in a thread of its own. `began` with each start of the process; `is_gone` when it no longer answers.

    A process that has not answered yet is still starting, for which it may take `start_within_s`.
    """

    def __init__(self, answers: Callable[[], bool], start_within_s: float, every_s: float = EVERY_S) -> None:
        self._answers = answers
        self._start_within_s = start_within_s
        self._every_s = every_s
        self._unanswered = 0
        self.has_answered = False
        self._began = 0.0
        self._has_begun = threading.Event()
        self._asking: threading.Thread | None = None

    def began(self) -> None:
        """The process has just been started."""
        self._unanswered, self.has_answered, self._began = 0, False, time.monotonic()
        self._has_begun.set()
        if self._asking is None:
            self._asking = threading.Thread(target=self._ask, daemon=True)
            self._asking.start()

    @property
    def is_gone(self) -> bool:
        """Whether it has been asked in vain often enough."""
        is_starting = not self.has_answered and time.monotonic() - self._began < self._start_within_s
        return self._unanswered >= TRIES and not is_starting

    def _ask(self) -> None:
        while True:
            self._has_begun.wait(self._every_s if self.has_answered else min(SOON_S, self._every_s))
            self._has_begun.clear()
            of, answered = self._began, self._answers()
            if of != self._began:
                continue  # that was said of a process that is no more
            if answered:
                self._unanswered, self.has_answered = 0, True
            else:
                self._unanswered += 1
