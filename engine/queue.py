"""The queue between whoever has written to the journal and the workers: Celery over Valkey, ids only.

What is lost from it is found again by the tick, so it may be wiped at any moment.
"""

from celery import Celery

QUEUE = "tidegate"
DRAIN = "tidegate.drain"
TICK = "tidegate.tick"
STALE_S = 5
"""A wake older than this says nothing that a newer one or the tick has not said."""


def celery_app(valkey_url: str) -> Celery:
    """Celery as we use it: acknowledged late, nothing prefetched, no results, orphans found within seconds."""
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
