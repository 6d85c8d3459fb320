"""The queue between whoever has written to the journal and the workers: Celery over Valkey, ids only.

What is lost from it is found again by the tick, so it may be wiped at any moment.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from celery import Celery

QUEUE = "tidegate"
DRAIN = "tidegate.drain"
TICK = "tidegate.tick"
STALE_S = 5
"""A wake older than this says nothing that a newer one or the tick has not said."""


class Sender(Protocol):
    """Whoever puts tasks into the queue: a Celery application, or `LateCelery`."""

    def send_task(self, name: str, args: Sequence[Any], *, expires: float, ignore_result: bool, retry: bool) -> object:
        """Send one task by its name; raises kombu's OperationalError or OSError when Valkey is away."""


class LateCelery:
    """A sender that makes its Celery application when it first sends, in the thread that sends.

    Celery takes a fifth of a second of CPU to import: a process that was killed is to accept again before that.
    """

    def __init__(self, valkey_url: str) -> None:
        self._valkey_url = valkey_url
        self._app: Celery | None = None

    def send_task(self, name: str, args: Sequence[Any], *, expires: float, ignore_result: bool, retry: bool) -> object:
        """Send one task by its name; raises kombu's OperationalError or OSError when Valkey is away."""
        if self._app is None:
            self._app = celery_app(self._valkey_url)
        return self._app.send_task(name, args=args, expires=expires, ignore_result=ignore_result, retry=retry)


def celery_app(valkey_url: str) -> "Celery":
    """Celery as we use it: acknowledged late, nothing prefetched, no results, orphans found within seconds."""
    from celery import Celery

    app = Celery("tidegate", broker=valkey_url)
    app.conf.update(
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_hijack_root_logger=False,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options={
            "visibility_timeout": 30,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_connect_timeout": 2,
        },
        enable_utc=True,
        timezone="UTC",
        beat_schedule={"tick": {"task": TICK, "schedule": 1.0, "options": {"expires": 1}}},
        beat_max_loop_interval=1,
    )
    return app
