"""The internal port of web, worker and tick: what they count, for the operator's Prometheus. Ingest has its own."""

import errno
import logging
import os
from collections.abc import Callable, Mapping

from prometheus_client import Counter, start_http_server

from engine.settings import SettingError, Settings, variable

log = logging.getLogger(__name__)

_TRIES = 100


def listen(settings: Settings, environ: Mapping[str, str] = os.environ) -> int:
    """Answer /metrics from a thread of its own for as long as the process lives; returns the port.

    A port that was not set and is taken: the next free one, since several processes may share a machine. Raises
    SettingError when the one that was set, or the address, cannot be had.
    """
    name, first = variable("metrics_port"), settings.metrics_port
    may_move = not environ.get(name, "").strip()
    for port in range(first, min(first + _TRIES, 65_536) if may_move else first + 1):
        try:
            start_http_server(port, settings.internal_host)
        except OSError as error:
            if may_move and error.errno == errno.EADDRINUSE:
                continue
            raise SettingError(f"{name} is {port}, and nobody can listen there: {error.strerror}.") from None
        log.info("metrics.served", extra={"port": port})
        return port
    raise SettingError(f"No port from {first} on is free for metrics: set {name}.")


def tick_counter() -> Callable[..., None]:
    """What to call, in the tick's process only, whenever beat has sent its one entry."""
    sent = Counter("tidegate_tick_sent", "Ticks given to the workers.")

    def count(**_: object) -> None:
        sent.inc()

    return count
