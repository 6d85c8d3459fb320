"""Keeps the processes of `tidegate up` alive: starts them in order, restarts what dies, stops all in reverse order.

One thread decides everything (the kernel ties a child's life to the thread that started it); one more per process
copies its output, line by line, behind the service's name, and one asks whether it lives.
"""

import math
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType

from infra.local.errors import SetupProblem
from infra.local.pulse import EVERY_S, Pulse
from infra.local.running import Running
from infra.local.voice import Voice, in_words

LOOK_EVERY_S = 0.02


def _nothing() -> None:
    """The step after readiness of a service that has none."""


def _at_any_time() -> bool:
    """A service that need not wait for what the one before it has left behind."""
    return True


@dataclass(frozen=True)
class Service:
    """One process to keep: how to start it, how to know that it works, how to stop it.

    `is_ready` says once that others may build on it. `is_alive` is asked for as long as it runs: one that no longer
    answers is killed and started again. One that `stands_by` loads what it needs and begins when it reads a line; of
    such a one a spare can be kept, which is loaded `spare_after_s` after everything is ready, and whenever the one in
    use answers and there is none (ADR 75).
    """

    name: str
    argv: Callable[[], Sequence[str]]
    is_ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    on_first_ready: Callable[[], None] = _nothing
    holds_up_the_next: bool = True
    may_start: Callable[[], bool] = _at_any_time
    is_alive: Callable[[], bool] | None = None
    asked_every_s: float = EVERY_S
    ready_within_s: float = 60.0
    tries_to_start: int = 6
    stop_signal: signal.Signals = signal.SIGTERM
    grace_s: float = 10.0
    stands_by: bool = False
    has_spare: bool = False
    spare_after_s: float = 5.0


class Restarts:
    """How soon a process that ended may be started again: at once, five times, and one time more every three seconds.

    So one that works and is killed is back without a pause, and one that ends again and again does not keep a core busy
    but is still tried often enough to be back within the five seconds that are promised (DESIGN D9).
    """

    AT_ONCE = 5
    EVERY_S = 3.0
    BREATH_S = 0.2
    """What ended as soon as it began would end the same way now: it gets a moment."""

    def __init__(self) -> None:
        self._left = float(self.AT_ONCE)
        self._counted = 0.0

    def pause_s(self, began: float, now: float) -> float:
        """How long to wait with the next start of a process that ran from `began` to `now` (seconds, monotonic)."""
        earned = (now - self._counted) / self.EVERY_S
        self._left, self._counted = min(self._left + earned, self.AT_ONCE) - 1, now
        breath_s = self.BREATH_S if now - began < self.BREATH_S else 0.0
        return max(-self._left * self.EVERY_S, breath_s)


class Child:
    """A service's present process, if it has one, and when the next is due if it has not; and its spare."""

    SPARE_AGAIN_S = 15.0
    """A spare that died is followed by another after so long: what cannot be loaded must not keep a core busy."""

    def __init__(self, service: Service, voice: Voice) -> None:
        self.service = service
        self.failures = 0
        self.last_line = ""
        self.was_ready = False
        self._voice = voice
        self._running: Running | None = None
        self._began = 0.0
        self._due = 0.0
        self._spare: Running | None = None
        self._spare_due = math.inf
        self._restarts = Restarts()
        self._pulse = (
            Pulse(service.is_alive, service.ready_within_s, service.asked_every_s) if service.is_alive else None
        )

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.process.poll() is None

    def tend(self) -> None:
        """Start the process when it is due; note when it has ended and when the next one is due."""
        now = time.monotonic()
        if self._running is None:
            if now >= self._due and self.service.may_start():
                self._start(now)
        elif self._running.has_ended:
            self._note_end(self._running.process.returncode, now)
        elif self._pulse is not None and self._pulse.is_gone and self.is_running:
            self._voice.say(f"{self.service.name} runs but no longer answers: it is killed", trouble=True)
            self._running.kill()
        if self._spare is not None and self._spare.has_ended:
            self._note_spares_end(self._spare.process.returncode, now)
        elif self._spare is None and now >= self._spare_due and self._answers():
            self._spare = self._launch()

    def settle(self) -> None:
        """Everything is ready: a spare may be loaded soon."""
        if self.service.has_spare:
            self._spare_due = time.monotonic() + self.service.spare_after_s

    def stop(self, hurry: Callable[[], bool]) -> None:
        """Ask the process to end, wait for its grace (not when in a hurry), then kill it."""
        if self._spare is not None:
            self._spare.kill()  # it has opened nothing
        if self._running is None or not self.is_running:
            return
        process = self._running.process
        process.send_signal(self.service.stop_signal)
        deadline = time.monotonic() + self.service.grace_s
        while process.poll() is None and time.monotonic() < deadline and not hurry():
            time.sleep(LOOK_EVERY_S)
        if process.poll() is None:
            self._voice.say(f"{self.service.name} did not stop by itself and is killed", trouble=True)
            process.kill()
        process.wait()

    def _start(self, now: float) -> None:
        self._running, self._spare = self._spare or self._launch(), None
        if self.service.stands_by:
            self._running.go()
        self._began = now
        if self._pulse is not None:
            self._pulse.began()

    def _launch(self) -> Running:
        service = self.service
        return Running(service.argv(), service.env, self._hear, stands_by=service.stands_by)

    def _answers(self) -> bool:
        """Whether the process in use does: until then it has the machine for itself."""
        return self.is_running and (self._pulse is None or self._pulse.has_answered)

    def _note_end(self, code: int, now: float) -> None:
        self._running = None
        self.failures += 1
        pause_s = self._restarts.pause_s(self._began, now)
        self._due = now + pause_s
        what = "its spare takes over" if self._spare else "starting it again"
        when = f"in {pause_s:.1f} s" if pause_s else "at once"
        self._voice.say(f"{self.service.name} {_how_it_ended(code)}; {what} {when}", trouble=True)

    def _note_spares_end(self, code: int, now: float) -> None:
        self._spare, self._spare_due = None, now + self.SPARE_AGAIN_S
        how = f"the spare of {self.service.name} {_how_it_ended(code)}"
        self._voice.say(f"{how}; loading another in {self.SPARE_AGAIN_S:.0f} s", trouble=True)

    def _hear(self, text: str) -> None:
        self.last_line = in_words(text)
        self._voice.quote(self.service.name, text)


class Supervisor:
    """Runs a list of services until it is told to stop."""

    def __init__(self, services: Sequence[Service], voice: Voice) -> None:
        self._children = [Child(service, voice) for service in services]
        self._started: list[Child] = []
        self._voice = voice
        self._stop_asked = 0

    def run(self, when_ready: Callable[[], None]) -> None:
        """Start all, call `when_ready`, tend them until SIGINT, SIGTERM, SIGHUP or `stop()`; then stop all.

        Raises `SetupProblem` when a service cannot be brought up the first time; everything is stopped then too.
        """
        before = {number: signal.signal(number, self._on_signal) for number in STOPPING}
        try:
            for child in self._children:
                self._started.append(child)
                if child.service.holds_up_the_next:
                    self._bring_up(child)
            for child in self._children:
                self._bring_up(child)
            if not self._stop_asked:
                when_ready()
            for child in self._children:
                child.settle()
            while not self._stop_asked:
                self._tend()
                time.sleep(LOOK_EVERY_S)
        finally:
            self._stop_all()
            for number, handler in before.items():
                signal.signal(number, handler)

    def stop(self) -> None:
        """Ask for the stop, from a signal handler or another thread."""
        self._stop_asked += 1

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.stop()

    def _tend(self) -> None:
        for child in self._started:
            child.tend()

    def _bring_up(self, child: Child) -> None:
        deadline = time.monotonic() + child.service.ready_within_s
        while not child.was_ready and not self._stop_asked:
            self._tend()
            if child.failures >= child.service.tries_to_start:
                raise SetupProblem(f"{child.service.name} ended {child.failures} times at its start: {child.last_line}")
            if time.monotonic() > deadline:
                waited = f"{child.service.ready_within_s:.0f} s"
                raise SetupProblem(f"{child.service.name} is not ready after {waited}; last line: {child.last_line}")
            if child.is_running and child.service.is_ready():
                child.was_ready = True
                child.service.on_first_ready()
            else:
                time.sleep(LOOK_EVERY_S)

    def _stop_all(self) -> None:
        asked = self._stop_asked
        for child in reversed(self._started):
            child.stop(hurry=lambda: self._stop_asked > max(asked, 1))


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was ended by signal {signal.Signals(-code).name}"
    return f"ended with exit code {code}"
