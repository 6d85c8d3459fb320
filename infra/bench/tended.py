"""A process beside the platform that is started again whenever it ends, as the machine that it is on would do it."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent

LOOK_EVERY_S = 0.02
BREATH_S = 0.2
"""What has ended is started again after so long; systemd waits for 0.1 s."""
STOP_WITHIN_S = 30.0


class Tended:
    """Runs `argv` until the block ends, and again after each death; its words go to `log`. A context manager."""

    def __init__(self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        self._argv = list(argv)
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._tend, daemon=True)
        self.starts = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def kill(self) -> float:
        """Kill -9 it; the moment at which that happened (monotonic)."""
        until = time.monotonic() + STOP_WITHIN_S
        while (process := self._process) is None or process.poll() is not None:
            if time.monotonic() > until:
                raise SetupProblem(f"{self._argv[0]} does not start. Its last words:\n{self.log_tail()}")
            time.sleep(LOOK_EVERY_S)
        at = time.monotonic()
        process.send_signal(signal.SIGKILL)
        return at

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and wait for that; it is started no more."""
        self._is_over.set()
        self._thread.join(STOP_WITHIN_S + 10)

    def log_tail(self, lines: int = 10) -> str:
        """The last lines it said."""
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _tend(self) -> None:
        """In a thread of its own, to whose life the kernel ties the process's."""
        while not self._is_over.is_set():
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(
                    dying_with_parent(self._argv), env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log
                )
            self.starts += 1
            while self._process.poll() is None and not self._is_over.wait(LOOK_EVERY_S):
                continue
            if not self._is_over.is_set():
                self._is_over.wait(BREATH_S)
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(10)
