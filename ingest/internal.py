"""The internal port of an ingest process, where no device reaches: health and metrics, and what brokers ask."""

from collections.abc import Callable, Sequence

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route


def internal_app(is_ready: Callable[[], bool], more: Sequence[BaseRoute] = ()) -> Starlette:
    """``/health/live`` while the loop runs, ``/health/ready`` while devices may come in, ``/metrics``, and ``more``."""

    async def live(_: Request) -> Response:
        return JSONResponse({"status": "live"})

    async def ready(_: Request) -> Response:
        holds = is_ready()
        return JSONResponse({"status": "ready" if holds else "not ready"}, 200 if holds else 503)

    async def metrics(_: Request) -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    own = [Route("/health/live", live), Route("/health/ready", ready), Route("/metrics", metrics)]
    return Starlette(routes=[*own, *more])
