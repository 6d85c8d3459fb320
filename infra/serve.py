"""Runs one process of the platform in the foreground: ingest, worker, tick or web, in production and under `up`."""

import gc
import logging
import resource
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from threading import Thread
from typing import Any

from engine import logs
from engine.settings import Settings
from infra import large_pages, metrics
from infra.forked import be_called, serve_in_children

log = logging.getLogger(__name__)

WORKER_OPTIONS = ("--pool=solo", "--concurrency=1", "--without-gossip", "--without-mingle", "--without-heartbeat")

WEB: Mapping[str, Any] = {
    "http": "infra.patience:PatientHttp",
    "ws": "infra.prompt:PromptWebSocket",
    "ws_per_message_deflate": False,  # it takes 2.4 times the memory (LAB.md)
    "ws_ping_interval": 45.0,  # less than the 60 s after which balancers cut who is silent; uvicorn's 20 cost twice
    "ws_max_size": 1_048_576,  # the console's events; GraphQL's own bound is lower
    "access_log": False,
    "proxy_headers": False,  # who asks is who connects: anybody can write X-Forwarded-For
    "server_header": False,
    "log_config": None,
    "timeout_graceful_shutdown": 5,
}
"""How uvicorn serves the web process."""


def ingest(settings: Settings) -> int:
    """Devices come in and are answered here."""
    from ingest import service

    return service.main(settings, http="infra.patience:DevicesHttp")


def worker(settings: Settings) -> int:
    """Drains the journal: rules, alerts, outbox. One task at a time, one process a core."""
    from celery.exceptions import SecurityWarning

    from engine.worker import app

    metrics.listen(settings)
    # Root is a danger to workers that unpickle what they are sent; ours accept JSON only (Celery's default).
    warnings.filterwarnings("ignore", category=SecurityWarning)
    queue = str(app.conf.task_default_queue)
    app.start(["--quiet", "worker", *WORKER_OPTIONS, "-Q", queue, f"--loglevel={settings.log_level}"])
    return 0


def tick(settings: Settings) -> int:
    """Celery's beat with the one entry a second; it keeps nothing between starts, so no schedule file can be torn."""
    from celery.signals import after_task_publish, setup_logging

    from engine.queue import celery_app  # not the worker's application: the tick needs no task, no rule and no database

    def log_as_we_do(**_: object) -> None:
        logs.configure(settings.log_level, "tick")

    metrics.listen(settings)
    setup_logging.connect(log_as_we_do)
    after_task_publish.connect(metrics.tick_counter(), weak=False)
    celery_app(settings.valkey_url).start(
        ["--quiet", "beat", "--scheduler=engine.beat:Scheduler", "--pidfile=", f"--loglevel={settings.log_level}"]
    )
    return 0


def web(settings: Settings) -> int:
    """The gateway with the console inside."""
    return loaded_web(settings)()


def loaded_web(settings: Settings) -> Callable[[], int]:
    """Everything the web process needs, imported and made, and nothing opened; what serves then."""
    import uvicorn

    from infra.web import create_app

    config = uvicorn.Config(
        create_app(settings), host=settings.host, port=settings.http_port, loop="uvloop", **WEB
    )  # by its name uvicorn would make the application twice
    config.load()
    collect_garbage_seldom()  # again, now that what stays is there

    def serve() -> int:
        # here, since a child made by fork copies what it changes page by page; beside it, since it takes a while
        Thread(target=large_pages.move_in, name="large pages", daemon=True).start()
        metrics.listen(settings)
        server = uvicorn.Server(config)
        with suppress(KeyboardInterrupt):
            server.run()
        return 0 if server.started else 1

    return serve


def allow_many_connections() -> int:
    """Raise this process's limit of open files, one of which each connection is, as far as it may; the new limit.

    The usual soft limit is 1,024, which a thousand devices would exhaust.
    """
    _, highest = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest, highest))
    return highest


def collect_garbage_seldom() -> None:
    """Look for cycles after every 50,000 new objects instead of every 700, and never among what start-up made.

    A batch is thousands of objects that die by their reference counts; walking them took a tenth of ingest's CPU.
    """
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


PROCESSES: Mapping[str, Callable[[Settings], int]] = {"ingest": ingest, "worker": worker, "tick": tick, "web": web}

LOADED: Mapping[str, Callable[[Settings], Callable[[], int]]] = {"web": loaded_web}
"""Those that can stand by: it takes them seconds to load what they need."""


def stand_by(process: str, settings: Settings) -> int:
    """Load what the named process needs, wait until a line comes in, and have children serve then; the exit code."""
    _make_ready(process, settings)
    serve = LOADED[process](settings)
    be_called(f"{process} spare")
    log.info("process.stands_by")
    if not sys.stdin.readline():
        return 0  # whoever would have sent it is gone
    be_called(f"{process} loaded")

    def serve_in_child() -> int:
        be_called(process)
        return serve()

    return serve_in_children(serve_in_child)


def run(process: str, settings: Settings) -> int:
    """Run the named process until it is told to stop; the exit code."""
    _make_ready(process, settings)
    return PROCESSES[process](settings)


def _make_ready(process: str, settings: Settings) -> None:
    logs.configure(settings.log_level, process)
    allow_many_connections()
    collect_garbage_seldom()
