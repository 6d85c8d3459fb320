"""A process of a service that runs or stands by, and its output, line by line."""

import os
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress


class Running:
    """Starts `argv` with `env` besides our own environment; `hear` gets each line that it says.

    One that `stands_by` begins its work when it is told to `go`. It may have children of its own, which die with it.
    """

    def __init__(
        self, argv: Sequence[str], env: Mapping[str, str], hear: Callable[[str], None], *, stands_by: bool
    ) -> None:
        self.process = subprocess.Popen(
            list(argv),
            env={**os.environ, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.PIPE if stands_by else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C in the terminal is for us alone: we stop them in order
        )
        self._hear = hear
        self._stands_by = stands_by
        self._copying = threading.Thread(target=self._copy, daemon=True)
        self._copying.start()

    @property
    def has_ended(self) -> bool:
        """Whether it has. One that stood by has not before its children have: they hold its output, and its ports."""
        return self.process.poll() is not None and not (self._stands_by and self._copying.is_alive())

    def go(self) -> None:
        """Tell one that stands by to begin. If it has just died that will be found soon enough."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError), self.process.stdin as ear:
            ear.write(b"go\n")

    def kill(self) -> None:
        """End it without asking."""
        self.process.kill()
        self.process.wait()

    def _copy(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as output:
            for line in output:
                text = line.decode(errors="replace").rstrip()
                if text:
                    self._hear(text)
