"""Who may come in by the browser's ways: Host, Origin, cookies; and requests bent so that two readers differ."""

import json

import httpx
import pytest
import websockets
from starlette.types import Receive, Scope, Send

from engine.settings import Settings
from engine.store.pool import Store
from infra.local.postgres import Postgres
from resolvers.auth import Origins, set_cookie
from resolvers.gateway import Gate
from tests.security.raw import Wire
from tests.support.tenant import Tenant, found_tenant

QUERY = json.dumps({"query": "{ me { email } }"}).encode()
JSON = "Content-Type: application/json"


FORM = "Content-Type: application/x-www-form-urlencoded"
OURS = "Sec-Fetch-Site: same-origin"


class Visitor:
    """Somebody who is signed in, by what the browser keeps."""

    def __init__(self, tenant: Tenant, set_cookie: str) -> None:
        self.email = tenant.email
        self.set_cookie = set_cookie
        self.cookie = "Cookie: " + set_cookie.partition(";")[0]


@pytest.fixture(scope="module")
async def visitor(wire: Wire, postgres: Postgres, store: Store) -> Visitor:
    """One visitor for all: nobody here ends the session."""
    tenant = await found_tenant(postgres, store)
    body = f"email={tenant.email}&password={tenant.password}".encode()
    answer = await wire.post("/auth/login", body, FORM, "X-Forwarded-For: 203.0.113.9", "Forwarded: for=203.0.113.9")
    assert answer.status == 303
    [cookie] = [line[12:] for line in answer.head.split("\r\n") if line.lower().startswith("set-cookie: ")]
    return Visitor(tenant, cookie)


@pytest.mark.parametrize(
    "lines",
    [
        ["Host: evil.example"],
        ["Host: 127.0.0.1.evil.example"],
        ["Host: evil.example:8000"],
        ["Host: 127.0.0.1@evil.example"],
        ["Host: localhost:8000:evil"],
        ["Host: "],
        [],
        ["Host: 127.0.0.1", "Host: evil.example"],
        ["Host: evil.example", "X-Forwarded-Host: 127.0.0.1", "Forwarded: host=127.0.0.1"],
    ],
)
@pytest.mark.parametrize("target", ["/graphql", "/health/../graphql", "/health/x", "/auth/accept", "/api/v1/devices"])
async def test_a_name_that_is_not_ours_is_not_served(wire: Wire, lines: list[str], target: str) -> None:
    answer = await wire.say("\r\n".join([f"GET {target} HTTP/1.1", *lines, "Connection: close", "", ""]).encode())
    assert answer.status in (400, 421)


@pytest.mark.parametrize(
    "target", ["http://evil.example/graphql", "//evil.example/graphql", "/graphql/", "/GraphQL", "/%2e%2e/graphql"]
)
async def test_a_bent_path_leads_nowhere(wire: Wire, token: str, target: str) -> None:
    answer = await wire.post(target, QUERY, JSON, f"Authorization: Bearer {token}")
    assert answer.status in (307, 400, 404, 421) or target.startswith("http:")
    assert "evil.example" not in answer.head


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/../../../../etc/passwd",
        "/api/v1/%2e%2e/%2e%2e/etc/passwd",
        "/api/v1/devices/..%2f..%2fetc%2fpasswd",
        "/api/v1/devices/%00",
        "/api/v1/devices/%0d%0aSet-Cookie:%20a=b",
        "/api/v1/devices;x=1",
        "/api/v1//devices",
        "/api/v1/devices/..;/users",
        "/api/v1/devices/%c0%ae%c0%ae",
    ],
)
async def test_a_path_that_climbs_or_breaks_lines_is_refused_as_a_problem(wire: Wire, token: str, target: str) -> None:
    answer = await wire.get(target, f"Authorization: Bearer {token}")
    assert answer.status in (400, 404, 422)
    assert "root:" not in answer.body
    assert "set-cookie" not in answer.head.lower()


BODY = f"POST /graphql HTTP/1.1\r\nHost: 127.0.0.1\r\n{JSON}\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: +5\r\n",
        "Content-Length: 5, 5\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "X: a\r\n Transfer-Encoding: chunked\r\n",
        "X: a\nTransfer-Encoding: chunked\r\n",
    ],
)
async def test_a_request_whose_length_two_readers_could_read_differently_is_refused(wire: Wire, headers: str) -> None:
    smuggled = b"GET /auth/accept?token=x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    answer = await wire.say(f"{BODY}{headers}\r\n".encode() + b"0\r\n\r\n" + smuggled)
    assert answer.status == 400


def test_a_sessions_cookie_cannot_be_read_or_sent_by_other_sites(visitor: Visitor) -> None:
    parts = visitor.set_cookie.split("; ")[1:]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(parts)
    assert not [part for part in parts if part.startswith("Domain")]
    assert "Secure" in set_cookie("x", is_secure=True, max_age_s=1).split("; ")


FOREIGN = [
    ["Sec-Fetch-Site: cross-site"],
    ["Sec-Fetch-Site: same-site"],
    ["Sec-Fetch-Site: none"],
    ["Origin: https://evil.example"],
    ["Origin: null"],
    ["Origin: http://127.0.0.1.evil.example"],
    ["Sec-Fetch-Site: cross-site", "Origin: http://127.0.0.1"],
    [],
]


@pytest.mark.parametrize("said", FOREIGN)
async def test_another_sites_page_cannot_use_a_visitors_cookie(wire: Wire, visitor: Visitor, said: list[str]) -> None:
    answer = await wire.post("/graphql", QUERY, JSON, visitor.cookie, *said)
    assert visitor.email not in answer.body
    assert "access-control-allow-origin" not in answer.head.lower()
    for path in ("/auth/logout", "/auth/switch"):
        assert (await wire.post(path, b"", visitor.cookie, *said)).status == 403
    mine = await wire.post("/graphql", QUERY, JSON, visitor.cookie, OURS)
    assert visitor.email in mine.body, "the session still lives, and our own page may use it"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_what_a_form_of_another_site_can_send_is_no_operation(wire: Wire, token: str, kind: str) -> None:
    answer = await wire.post("/graphql", QUERY, f"Content-Type: {kind}", f"Authorization: Bearer {token}")
    assert answer.status == 415


async def test_a_cookie_counts_neither_for_rest_nor_for_get(wire: Wire, visitor: Visitor) -> None:
    assert (await wire.get("/api/v1/me", visitor.cookie, OURS)).status == 401
    query = await wire.get("/graphql?query=%7Bme%7Bemail%7D%7D", visitor.cookie, OURS)
    assert visitor.email not in query.body
    assert "UNAUTHENTICATED" in query.body


async def test_a_preflight_of_another_site_is_granted_nothing(wire: Wire) -> None:
    lines = ["OPTIONS /graphql HTTP/1.1", f"Host: {wire.host}", "Origin: https://evil.example"]
    lines += ["Access-Control-Request-Method: POST", "Connection: close", "", ""]
    answer = await wire.say("\r\n".join(lines).encode())
    assert "access-control" not in answer.head.lower()


async def test_another_sites_page_cannot_open_a_socket_with_a_visitors_cookie(wire: Wire, visitor: Visitor) -> None:
    secret = visitor.cookie.removeprefix("Cookie: ")
    url, kind = f"ws://{wire.host}/graphql", [websockets.Subprotocol("graphql-transport-ws")]
    for headers, origin in [({"Cookie": secret}, "https://evil.example"), ({"Host": "evil.example"}, None)]:
        with pytest.raises(websockets.InvalidStatus) as refusal:
            async with websockets.connect(
                url, subprotocols=kind, additional_headers=headers, origin=origin, proxy=None
            ):
                pass
        assert refusal.value.response.status_code == 403


@pytest.mark.parametrize(
    "path",
    ["//evil.example", "/\\evil.example", "https://evil.example", "/x\r\nSet-Cookie: a=b", "javascript:alert(1)"],
)
async def test_where_signing_in_leads_is_never_another_site_nor_a_header(wire: Wire, tenant: Tenant, path: str) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in path.encode())
    body = f"email={tenant.email}&password={tenant.password}&next={quoted}".encode()
    answer = await wire.post("/auth/login", body, FORM)
    assert answer.status == 303
    location = next(line[10:] for line in answer.head.split("\r\n") if line.lower().startswith("location: "))
    assert location.startswith("/")
    assert not location.startswith(("//", "/\\"))
    assert answer.head.lower().count("set-cookie:") == 1


async def test_answers_forbid_frames_sniffing_and_foreign_bases_and_do_not_say_what_we_run(wire: Wire) -> None:
    head = (await wire.get("/openapi.json")).head.lower() + (await wire.get("/nowhere")).head.lower()
    for line in ("x-content-type-options: nosniff", "x-frame-options: deny", "frame-ancestors 'none'"):
        assert head.count(line) == 2
    assert "server:" not in head
    assert "x-powered-by" not in head


async def test_who_asks_is_who_connects_whatever_headers_say(wire: Wire, visitor: Visitor) -> None:
    query = json.dumps({"query": "{ sessions { address } }"}).encode()
    answer = await wire.post("/graphql", query, JSON, visitor.cookie, OURS)
    assert json.loads(answer.body)["data"]["sessions"] == [{"address": "127.0.0.1"}]


async def test_of_a_known_and_of_an_unknown_person_a_wrong_password_tells_the_same(
    wire: Wire, visitor: Visitor
) -> None:
    bodies = [f"email={email}&password=wrong-for-sure".encode() for email in (visitor.email, "nobody@nowhere.example")]
    known, unknown = [await wire.post("/auth/login", body, FORM, "Accept: application/json") for body in bodies]
    assert known.status == unknown.status == 401
    assert known.body == unknown.body


async def test_where_the_site_is_https_browsers_are_told_to_stay_there() -> None:
    async def page(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    for url, is_told in [("https://gate.example", True), ("http://gate.example", False)]:
        app = Gate(page, Origins(Settings(public_url=url)))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=url) as client:
            assert ("strict-transport-security" in (await client.get("/")).headers) is is_told
