"""What a web process counts: each answer once, under labels that a caller cannot multiply."""

from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route

from resolvers.errors import problem
from resolvers.metrics import Measured, face
from schema.errors import Refusal


def counted(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def _fine(_: Request) -> Response:
    return PlainTextResponse("fine")


async def _broken(_: Request) -> Response:
    raise RuntimeError("a mistake of ours")


async def _events(_: Request) -> Response:
    async def once() -> Any:
        yield f"data: {counted('tidegate_web_streams', face='rest')}\n\n"

    return StreamingResponse(once(), media_type="text/event-stream")


@pytest.fixture
async def client() -> Any:
    routes = [Route("/graphql", _fine, methods=["POST"]), Route("/broken", _broken), Route("/api/v1/stream", _events)]
    app = Measured(Starlette(routes=[*routes, Mount("/", PlainTextResponse("console"))]))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        yield client


async def test_every_answer_is_counted_once_with_its_face_and_kind_of_status(client: httpx.AsyncClient) -> None:
    fine = {"face": "graphql", "method": "POST", "status": "2xx"}
    broken = {"face": "console", "method": "GET", "status": "5xx"}
    before = counted("tidegate_web_requests_total", **fine), counted("tidegate_web_requests_total", **broken)
    seconds = counted("tidegate_web_request_seconds_count", face="graphql")
    await client.post("/graphql")
    assert (await client.get("/broken")).status_code == 500
    assert counted("tidegate_web_requests_total", **fine) == before[0] + 1
    assert counted("tidegate_web_requests_total", **broken) == before[1] + 1
    assert counted("tidegate_web_request_seconds_count", face="graphql") == seconds + 1


async def test_a_stream_counts_as_open_while_it_lasts(client: httpx.AsyncClient) -> None:
    before = counted("tidegate_web_streams", face="rest")
    answer = await client.get("/api/v1/stream")
    assert answer.text == f"data: {before + 1}\n\n"
    assert counted("tidegate_web_streams", face="rest") == before


async def test_what_a_caller_makes_up_is_no_label_of_its_own(client: httpx.AsyncClient) -> None:
    await client.request("INVENTED", "/api/v1/devices/3f0c")
    labels = [sample.labels for metric in REGISTRY.collect() for sample in metric.samples]
    assert not any("INVENTED" in label.values() for label in labels)
    assert not any("3f0c" in value for label in labels for value in label.values())
    assert counted("tidegate_web_requests_total", face="rest", method="other", status="2xx") >= 1


def test_each_path_belongs_to_a_face() -> None:
    paths = ["/graphql", "/api/v1/devices", "/auth/login", "/health/ready", "/devices/7", "/_event"]
    assert [face(path) for path in paths] == ["graphql", "rest", "auth", "health", "console", "console"]


def test_an_error_that_goes_out_is_counted_by_its_code() -> None:
    before = counted("tidegate_web_refusals_total", code="OF_A_TEST")
    problem(Refusal(400, "OF_A_TEST", "No.", {}))
    assert counted("tidegate_web_refusals_total", code="OF_A_TEST") == before + 1
