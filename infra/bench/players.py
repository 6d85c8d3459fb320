"""The generator as seen from the bench: started, told what to do, asked what happened, ended."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from infra.bench.generator import PROGRESS, Order
from infra.bench.judge import Sent
from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent


class Progress(NamedTuple):
    """PUBACKs so far, messages sent again, connections lost, and the newest acknowledged time of sending."""

    acked: int
    resent: int
    reconnects: int
    acked_sent: float


class Players:
    """The generator's process; a context manager."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", "infra.bench.generator"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._write(self._order.text())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.close()
            process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait(10)

    def tell(self, **command: Any) -> None:
        """Give a command without waiting for its answer."""
        self._write(json.dumps(command))

    def answer(self, timeout_s: float = 300.0) -> dict[str, Any]:
        """The answer to the oldest unanswered command; raises SetupProblem when the generator has ended."""
        process = self._started()
        assert process.stdout is not None
        watch = threading.Timer(timeout_s, process.kill)
        watch.start()
        line = process.stdout.readline()
        watch.cancel()
        if not line:
            raise SetupProblem("The load generator ended or did not answer in time.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, timeout_s: float = 300.0, **command: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self.tell(**command)
        return self.answer(timeout_s)

    def progress(self) -> Progress:
        """How far the clients are now, without asking them."""
        raw = Path(self._order.progress).read_bytes()
        return Progress(*PROGRESS.unpack(raw)) if len(raw) == PROGRESS.size else Progress(0, 0, 0, 0.0)

    def finish(self) -> tuple[Sent, dict[int, list[float]]]:
        """What the clients know in the end, and when each message of a watched device was due."""
        told = self.ask(do="finish")
        refused = [(device, n, code) for device, n, code in told["refused"]]
        due = {int(device): times for device, times in told["due"].items()}
        return Sent(told["made"], told["unacked"], refused, told["resent"]), due

    def _write(self, line: str) -> None:
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def _started(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process
