"""A process of a bench's own that obeys: an order first, then a command a line, each answered by a line of JSON."""

import json
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any, Self

from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent

ENDS_WITHIN_S = 10.0


class Obeying:
    """``python -m module``, which gets `order` as its first line; a context manager. It ends with its input."""

    def __init__(self, module: str, order: str) -> None:
        self._module = module
        self._first = order
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", self._module]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._write(self._first)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._started()
        assert process.stdin is not None
        try:
            process.stdin.close()
            process.wait(ENDS_WITHIN_S)
        except (OSError, subprocess.TimeoutExpired):
            process.kill()
            process.wait(ENDS_WITHIN_S)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._started().pid

    def tell(self, **command: Any) -> None:
        """Give a command without waiting for its answer."""
        self._write(json.dumps(command))

    def answer(self, timeout_s: float = 300.0) -> dict[str, Any]:
        """The answer to the oldest unanswered command; raises SetupProblem when there is none, or a problem in it."""
        process = self._started()
        assert process.stdout is not None
        watch = threading.Timer(timeout_s, process.kill)
        watch.start()
        line = process.stdout.readline()
        watch.cancel()
        if not line:
            raise SetupProblem(f"{self._module} ended or did not answer in time.")
        answer: dict[str, Any] = json.loads(line)
        if "problem" in answer:
            raise SetupProblem(f"{self._module} could not do it: {answer['problem']}")
        return answer

    def ask(self, timeout_s: float = 300.0, **command: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self.tell(**command)
        return self.answer(timeout_s)

    def _write(self, line: str) -> None:
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(line + "\n")
        process.stdin.flush()

    def _started(self) -> "subprocess.Popen[str]":
        assert self._process is not None
        return self._process
