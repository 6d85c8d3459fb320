"""Unrestricted resource consumption (OWASP API4:2023): whoever sends slowly, endlessly or deeply harms only himself."""

import asyncio
import json
import logging

import pytest

from infra.patience import PatientHttp
from resolvers.limits import MAX_BODY_BYTES
from tests.security.raw import Wire
from tests.support.patience import PATIENCE_S


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's patience, shortened."""
    monkeypatch.setattr(PatientHttp, "HEADERS_WITHIN_S", 0.6)
    monkeypatch.setattr(PatientHttp, "BODY_WITHIN_S", 0.6)


def _request(wire: Wire, *headers: str) -> bytes:
    return "\r\n".join(["POST /graphql HTTP/1.1", f"Host: {wire.host}", *headers, "", ""]).encode()


@pytest.mark.usefixtures("hurried")
async def test_who_drips_headers_is_hung_up_on(wire: Wire) -> None:
    drops = [bytes([byte]) for byte in b"GET /health/live HTTP/1.1\r\n" + b"a" * 4_000]
    answer = await wire.say(*drops, pause_s=0.02)
    assert answer.status == 408


@pytest.mark.usefixtures("hurried")
async def test_who_says_nothing_or_only_empty_lines_is_hung_up_on(wire: Wire) -> None:
    assert (await wire.say(b"")).status == 0
    assert (await wire.say(*[b"\r\n"] * 500, pause_s=0.02)).status in (0, 408)
    live = f"GET /health/live HTTP/1.1\r\nHost: {wire.host}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
    writer.write(live)
    async with asyncio.timeout(PATIENCE_S):
        assert b" 200 " in await reader.readline()
        try:
            while not reader.at_eof():
                writer.write(b"\r\n")
                await reader.read(65_536)
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
    writer.close()


@pytest.mark.usefixtures("hurried")
async def test_who_drips_a_body_is_hung_up_on_and_leaves_no_traceback(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    head = _request(wire, "Content-Type: application/json", "Content-Length: 4000")
    with caplog.at_level(logging.WARNING):
        answer = await wire.say(head, *[b" "] * 4_000, pause_s=0.02)
        await asyncio.sleep(0.1)
    assert answer.status == 0
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.usefixtures("hurried")
async def test_who_goes_on_sending_after_the_answer_is_hung_up_on(wire: Wire) -> None:
    head = _request(wire, "Content-Type: application/json", "Content-Length: 999999999")
    reader, writer = await asyncio.open_connection("127.0.0.1", wire.port)
    writer.write(head)
    async with asyncio.timeout(PATIENCE_S):
        assert b" 413 " in await reader.readline()
        try:
            while not reader.at_eof():
                writer.write(b" " * 1_000)
                await reader.read(65_536)
                await asyncio.sleep(0.02)
        except ConnectionError:
            pass
    writer.close()


async def test_headers_have_an_end(wire: Wire) -> None:
    long = [b"GET /health/live HTTP/1.1\r\n"] + [b"x: " + b"a" * 8_000 + b"\r\n"] * 100
    assert (await wire.say(*long)).status in (0, 431)
    endless = [b"GET /health/live HTTP/1.1\r\nx: "] + [b"a" * 8_000] * 100
    assert (await wire.say(*endless)).status in (0, 431)


async def test_a_body_is_not_read_beyond_its_bound_whether_it_says_its_length_or_not(wire: Wire) -> None:
    json_ = "Content-Type: application/json"
    assert (await wire.say(_request(wire, json_, f"Content-Length: {MAX_BODY_BYTES + 1}"))).status == 413
    chunk = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    assert (await wire.say(_request(wire, json_, "Transfer-Encoding: chunked"), *[chunk] * 40)).status == 413
    assert (await wire.post("/auth/login", b"a" * (MAX_BODY_BYTES + 1))).status in (403, 413)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 30_000,
        b'{"query":"{me{email}}","variables":' + b'{"a":' * 5_000 + b"1" + b"}" * 5_000 + b"}",
        b'{"query":"{me{email}}","variables":{"n":1e999}}',
        b'{"query":"\\ud800"}',
        b'{"query":"{me{email}}\\u0000"}',
        b"\x00" * 1_000,
    ],
)
async def test_json_that_is_deep_or_poisonous_is_a_bad_request(wire: Wire, token: str, body: bytes) -> None:
    answer = await wire.post("/graphql", body, "Content-Type: application/json", f"Authorization: Bearer {token}")
    assert answer.status in (200, 400)
    assert json.loads(answer.body)["errors"][0]["extensions"]["status"] == 400


async def test_operations_are_not_batched(wire: Wire, token: str) -> None:
    batch = json.dumps([{"query": "{ me { email } }"}] * 10).encode()
    answer = await wire.post("/graphql", batch, "Content-Type: application/json", f"Authorization: Bearer {token}")
    assert answer.status == 400
    assert "data" not in answer.body


HOSTILE = {
    "deep": "{" + " devices { items { profile { " * 12 + " id " + " } } }" * 12 + "}",
    "aliases": "{" + " ".join(f"a{n}: me {{ email }}" for n in range(500)) + "}",
    "directives": "{ me { email " + "@skip(if: false) " * 900 + "} }",
    "tokens": "{ me { " + "email " * 5_000 + "} }",
    "introspection": "{ __schema { types { " + "fields { type { " * 8 + " name " + "} }" * 8 + "} } }",
    "cycle": "query { ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
    "comments": "#" * 60_000 + "\n{ me",
    "many operations": " ".join(f"query q{n} {{ me {{ email }} }}" for n in range(300)),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_an_operation_made_to_cost_is_refused_before_it_runs(wire: Wire, token: str, name: str) -> None:
    body = json.dumps({"query": HOSTILE[name]}).encode()
    answer = await wire.post("/graphql", body, "Content-Type: application/json", f"Authorization: Bearer {token}")
    assert json.loads(answer.body).keys() == {"errors"}


@pytest.mark.parametrize("first", [0, -1, 10_000, 2**31, 2**63])
async def test_a_page_cannot_be_asked_to_be_endless(wire: Wire, token: str, first: int) -> None:
    answer = await wire.get(f"/api/v1/devices?first={first}", f"Authorization: Bearer {token}")
    assert answer.status in (400, 422)
    assert len(json.loads(answer.body)["detail"]) < 500
