"""The subscriber as seen from the bench, and the time from a message's moment on the schedule to its arrival there."""

import json
import subprocess
import sys
import threading
from array import array
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from infra.bench.generator import percentiles
from infra.local.errors import SetupProblem
from infra.local.ground import dying_with_parent

ANSWERS_WITHIN_S = 20.0


class Watching:
    """The subscriber's process while it watches these devices; a context manager."""

    def __init__(self, http_port: int, token: str, device_ids: Sequence[UUID]) -> None:
        url = f"ws://127.0.0.1:{http_port}/graphql"
        self._order = {"url": url, "token": token, "devices": [str(device_id) for device_id in device_ids]}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            dying_with_parent([sys.executable, "-m", "infra.bench.subscriber"]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(self._order) + "\n")
        self._process.stdin.flush()
        line = self._line()
        if line.strip() != "ready":
            raise SetupProblem(f"The subscriber could not subscribe: {line.strip()}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait(10)

    def end(self) -> dict[str, Any]:
        """Stop watching and tell what arrived."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        told: dict[str, Any] = json.loads(self._line() or '{"arrived": [], "skipped": 0, "errors": ["it ended"]}')
        return told

    def _line(self) -> str:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        watch = threading.Timer(ANSWERS_WITHIN_S, process.kill)
        watch.start()
        line = process.stdout.readline()
        watch.cancel()
        return line


def delays(told: Mapping[str, Any], due: Mapping[int, Sequence[float]], since: float) -> dict[str, Any]:
    """How long after their moment messages due from `since` (monotonic) on reached the subscriber, and how many did."""
    arrived = {(device, n): at for device, n, at in told["arrived"]}
    expected = [(device, n, at) for device, times in due.items() for n, at in enumerate(times) if at >= since]
    late = array("d", [arrived[device, n] - at for device, n, at in expected if (device, n) in arrived])
    return {
        "expected": len(expected),
        "arrived": len(late),
        "skipped": told["skipped"],
        "errors": told["errors"],
        "latency_ms": percentiles(late),
    }
