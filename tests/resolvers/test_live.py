"""Live streams over real sockets: what is told, resumed, conflated, and cut."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import psycopg
import pytest
import websockets

from engine import clock
from engine.alerts import service as alerts
from engine.alerts.model import Raised
from engine.devices.model import Device
from engine.drain import Drain
from engine.rules import service as rules
from engine.store.pool import Store
from engine.tenancy import Role, system
from engine.tenants import service as tenants
from infra.local.postgres import Postgres
from ingest.adapters.base import Verdict
from resolvers.context import RequestContext
from resolvers.gateway import Gateway
from schema.rules import EXAMPLE
from tests.support.api import Api
from tests.support.journal import journal, tell
from tests.support.line import running_line
from tests.support.patience import PATIENCE_S, TOLD_S
from tests.support.sockets import Line, dialled, line
from tests.support.tenant import Tenant

TELEMETRY = (
    "subscription($d: [ID!]!, $m: [String!], $after: String) "
    "{ telemetry(deviceIds: $d, metrics: $m, after: $after) { cursor deviceId time values quality skipped } }"
)
STATUS = "subscription($after: String) { deviceStatus(after: $after) { cursor deviceId isOnline reason } }"


async def _following(gateway: Gateway, tenant: Tenant) -> None:
    """Wait until the gateway follows the tenant's journal."""
    for _ in range(6_000):
        tail = gateway.services.live.tails.get(tenant.id)
        if tail and tail.has_listeners:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody follows")


async def test_readings_arrive_as_they_are_stored(
    served: str, gateway: Gateway, postgres: Postgres, tenant: Tenant
) -> None:
    device, other = await tenant.device(), await tenant.device()
    async with line(served, await tenant.api_token(Role.VIEWER)) as live:
        await live.subscribe(TELEMETRY, d=[str(device.id)])
        await _following(gateway, tenant)
        now = clock.now_ms()
        tell(
            postgres,
            tenant.id,
            [(other.id, now, {"temperature": 1}), (device.id, now, {"temperature": 5.5, "mode": "auto"})],
            doubted={"1": {"mode": "uncertain", "door": "bad"}},
        )
        gateway.bus.publish([tenant.id])
        event = await live.next("telemetry")
        assert event["deviceId"] == str(device.id)
        assert event["values"] == {"temperature": 5.5, "mode": "auto"}
        assert event["quality"] == {"mode": "uncertain", "door": "bad"}
        assert event["skipped"] == 0


async def test_of_a_reading_of_which_a_part_was_left_out_a_reader_sees_the_rest_and_which_part_is_bad(
    served: str, gateway: Gateway, postgres: Postgres, tenant: Tenant
) -> None:
    device, now, secret = await tenant.device(), clock.now_ms() - 60_000, await tenant.api_token(Role.VIEWER)
    sent = [{"time": now + n, "values": {"temperature": 20 + n, "humidity": 50 + 80 * n}} for n in range(2)]
    asked = {"query": TELEMETRY, "variables": {"d": [str(device.id)], "after": "0"}}
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/event-stream"}
    async with line(served, secret) as all_, line(served, secret) as humid, running_line(postgres) as ingest:
        await all_.subscribe(TELEMETRY, d=[str(device.id)])
        await humid.subscribe(TELEMETRY, d=[str(device.id)], m=["humidity"])
        await _following(gateway, tenant)
        for each in sent:
            assert await ingest.send(tenant, device, each) is Verdict.STORED
        gateway.bus.publish([tenant.id])
        told = [await each.next("telemetry") for each in (all_, all_, humid, humid)]
    async with (
        httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client,
        client.stream("POST", f"http://{served}/graphql", json=asked, headers=headers) as stream,
    ):
        lines = (text async for text in stream.aiter_lines() if text.startswith("data:"))
        told += [json.loads((await anext(lines))[5:])["data"]["telemetry"] for _ in sent]
    bad = {"humidity": "bad"}
    assert [(each["values"], each["quality"]) for each in told] == [
        *(({"temperature": 20, "humidity": 50}, None), ({"temperature": 21}, bad)),
        *(({"humidity": 50}, None), ({}, bad)),
        *(({"temperature": 20, "humidity": 50}, None), ({"temperature": 21}, bad)),
    ]


async def test_news_is_found_without_being_told(
    served: str, gateway: Gateway, postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    async with line(served, await tenant.api_token()) as live:
        await live.subscribe(TELEMETRY, d=[str(device.id)], m=["humidity"])
        await _following(gateway, tenant)
        tell(postgres, tenant.id, [(device.id, clock.now_ms(), {"temperature": 1})])
        tell(postgres, tenant.id, [(device.id, clock.now_ms(), {"temperature": 2, "humidity": 40})])
        assert (await live.next("telemetry"))["values"] == {"humidity": 40}


async def test_a_broken_stream_goes_on_behind_its_cursor(
    served: str, gateway: Gateway, postgres: Postgres, tenant: Tenant
) -> None:
    device = await tenant.device()
    secret = await tenant.api_token()
    start = clock.now_ms()
    async with line(served, secret) as live:
        await live.subscribe(TELEMETRY, d=[str(device.id)])
        await _following(gateway, tenant)
        tell(postgres, tenant.id, [(device.id, start + n, {"n": n}) for n in range(3)])
        gateway.bus.publish([tenant.id])
        first = await live.next("telemetry")
        assert first["values"] == {"n": 0}
    tell(postgres, tenant.id, [(device.id, start + n, {"n": n}) for n in range(3, 5)])
    async with line(served, secret) as live:
        await live.subscribe(TELEMETRY, d=[str(device.id)], after=first["cursor"])
        rest = [(await live.next("telemetry"))["values"]["n"] for _ in range(4)]
        assert rest == [1, 2, 3, 4]
        tell(postgres, tenant.id, [(device.id, start + 9, {"n": 9})])
        gateway.bus.publish([tenant.id])
        assert (await live.next("telemetry"))["values"] == {"n": 9}


async def test_devices_are_seen_to_come_and_go_and_nothing_is_left_out(
    served: str, postgres: Postgres, tenant: Tenant
) -> None:
    mine, other = await tenant.device(), await tenant.device()
    now = clock.now_ms()
    with psycopg.connect(postgres.url("ingest")) as connection:
        connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{tenant.id}}}"])
        for device, kind, more in (
            (mine, "device.connected", {"client": "c"}),
            (other, "device.connected", {"client": "c"}),
            (mine, "device.disconnected", {"reason": "keep_alive"}),
        ):
            journal(connection, tenant.id, kind, {"device": str(device.id), "at": now, "epoch": 1, **more})
    query = 'subscription($d: [ID!]) { deviceStatus(deviceIds: $d, after: "0") { cursor deviceId isOnline at reason } }'
    async with line(served, await tenant.api_token(Role.VIEWER)) as live:
        await live.subscribe(query, d=[str(mine.id)])
        came, went = await live.next("deviceStatus"), await live.next("deviceStatus")
        assert (came["deviceId"], came["isOnline"], came["reason"]) == (str(mine.id), True, None)
        assert (went["isOnline"], went["reason"]) == (False, "keep_alive")
        await live.say({"type": "complete", "id": "1"})
        await live.subscribe(query, id_="2")
        assert [(await live.next("deviceStatus"))["isOnline"] for _ in range(3)] == [True, True, False]


async def test_the_farewell_of_a_replaced_connection_is_told_by_its_version(
    served: str, api: Api, postgres: Postgres, tenant: Tenant, worker_store: Store
) -> None:
    """ThingsBoard #13710: whoever goes by the order of arrival alone takes a connected device for gone."""
    pump, now, token = await tenant.device(), clock.now_ms(), await tenant.api_token(Role.VIEWER)
    about = {"device": str(pump.id), "at": now}
    silent = {"is_online": True, "reason": "silent", "since": now - 60_000, "interval_s": 10}
    tenant.happen("device.connected", **about, epoch=1)
    tenant.happen("device.silent", **about, epoch=1, **silent)
    tenant.happen("device.connected", **about, epoch=2)
    tenant.happen("device.disconnected", **about, epoch=1, reason="keep_alive")
    told = [("CONNECTED", 1, None), ("SILENT", 1, "silent"), ("CONNECTED", 2, None), ("DISCONNECTED", 1, "keep_alive")]

    def shown(event: dict[str, Any]) -> tuple[str, int, str | None]:
        return event["change"], event["version"], event["reason"]

    async with line(served, token) as live:
        await live.subscribe('subscription { deviceStatus(after: "0") { cursor change version reason } }')
        assert [shown(await live.next("deviceStatus")) for _ in told] == told
    url, headers = f"http://{served}/api/v1/stream/device-status?after=0", {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(timeout=PATIENCE_S, trust_env=False) as client,
        client.stream("GET", url, headers=headers) as stream,
    ):
        lines = aiter(stream.aiter_lines())
        mirrored: list[tuple[str, int, str | None]] = []
        while len(mirrored) < len(told):
            said = await asyncio.wait_for(anext(lines), PATIENCE_S)
            if said.startswith("data: "):
                mirrored.append(shown(json.loads(said.removeprefix("data: "))))
    assert mirrored == told
    await Drain(worker_store).run(tenant.id)
    query = "query($id: ID!) { device(id: $id) { presence { isOnline version reason } } }"
    kept = {"isOnline": True, "version": 2, "reason": None}
    assert (await api.data(token, query, id=str(pump.id)))["device"]["presence"] == kept
    presence = (await api.rest(token, "GET", f"/devices/{pump.id}")).json()["presence"]
    assert {name: presence[name] for name in kept} == kept
    never = await tenant.device()
    assert (await api.data(token, query, id=str(never.id)))["device"]["presence"]["version"] == 0


@pytest.mark.parametrize(("cursor", "code"), [("garbage", "BAD_CURSOR"), ("999999999", "BAD_CURSOR")])
async def test_a_cursor_of_no_use_is_refused(served: str, tenant: Tenant, cursor: str, code: str) -> None:
    device = await tenant.device()
    async with line(served, await tenant.api_token()) as live:
        await live.subscribe(TELEMETRY, d=[str(device.id)], after=cursor)
        message = await live.hear()
        assert message["type"] == "error"
        assert message["payload"][0]["extensions"]["code"] == code


async def test_a_cursor_older_than_the_journal_is_too_old(served: str, postgres: Postgres, tenant: Tenant) -> None:
    device = await tenant.device()
    with psycopg.connect(postgres.url("ingest")) as connection:  # as if positions 1 to 100 had been dropped
        connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{tenant.id}}}"])
        connection.execute("UPDATE journal_head SET pos = 100 WHERE tenant_id = %s", [tenant.id])
    tell(postgres, tenant.id, [(device.id, clock.now_ms(), {"n": 1})])
    async with line(served, await tenant.api_token()) as live:
        await live.subscribe(TELEMETRY, d=[str(device.id)], after="50")
        assert (await live.hear())["payload"][0]["extensions"]["code"] == "CURSOR_TOO_OLD"


async def test_a_foreign_device_is_refused_like_one_that_does_not_exist(
    served: str, tenant: Tenant, neighbour: Tenant
) -> None:
    mine = await tenant.device()
    async with line(served, await neighbour.api_token()) as live:
        await live.subscribe(TELEMETRY, d=[str(mine.id)])
        told = (await live.hear())["payload"][0]
        await live.subscribe(TELEMETRY, d=["0190e6f2-7d3c-7c7a-9f3b-2b7f0a1c5d11"])
        assert (await live.hear())["payload"][0]["message"] == told["message"]
        assert told["extensions"]["code"] == "DEVICE_NOT_FOUND"


async def test_a_revoked_token_is_cut_within_two_seconds_on_sockets_and_streams(
    served: str, api: Api, tenant: Tenant
) -> None:
    owner, viewer, other = await tenant.api_token(), await tenant.api_token(Role.VIEWER), await tenant.api_token()
    tokens = (await api.data(owner, "{ tokens { id name } }"))["tokens"]
    id_ = next(token["id"] for token in tokens if token["name"] == "test viewer")
    async with AsyncExitStack() as open_:
        live, bystander = [await open_.enter_async_context(line(served, secret)) for secret in (viewer, other)]
        for each in (live, bystander):
            await each.subscribe(STATUS)
        client = await open_.enter_async_context(
            httpx.AsyncClient(base_url=f"http://{served}", timeout=PATIENCE_S, trust_env=False)
        )
        client.headers.update({"Authorization": f"Bearer {viewer}", "Accept": "text/event-stream"})
        streams = [
            await open_.enter_async_context(client.stream(method, path, json=body))
            for method, path, body in (
                ("POST", "/graphql", {"query": STATUS}),
                ("GET", "/api/v1/stream/device-status", None),
            )
        ]
        told = [stream.aiter_raw() for stream in streams]
        assert [await anext(each) for each in told] == [b":\n\n"] * 2, "both streams have begun"
        await api.data(owner, "mutation($id: ID!) { tokenRevoke(id: $id) { id } }", id=id_)
        async with asyncio.timeout(TOLD_S):  # without being told, they would look again after RECHECK_S
            assert await live.closed() == 4403
            for rest in told:
                assert [chunk async for chunk in rest] == [], "nothing more is said"
        await bystander.say({"type": "ping"})
        assert (await bystander.hear())["type"] == "pong", "another token of the same tenant goes on"


async def test_queries_work_over_the_socket_too(served: str, tenant: Tenant) -> None:
    async with line(served, await tenant.api_token()) as live:
        await live.subscribe("{ me { tenant { key } } }")
        assert (await live.next("me"))["tenant"]["key"] == tenant.key
        assert (await live.hear()) == {"type": "complete", "id": "1"}


async def _raise_alert(tenant: Tenant, worker_store: Store, device: Device) -> None:
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        rule = await rules.create(tx, json.loads(EXAMPLE.json))
    async with worker_store.as_tenant(system(tenant.id)) as tx:
        await alerts.raise_all(tx, [Raised(rule.id, 1, device.id, 1, "major", "It is too warm.", {}, clock.now())])


async def test_an_alert_is_told_when_it_is_raised_and_when_somebody_takes_note(
    served: str, gateway: Gateway, api: Api, tenant: Tenant, worker_store: Store
) -> None:
    device, token = await tenant.device(), await tenant.api_token()
    query = "subscription { alerts { cursor kind alert { id status reason device { key } rule { name } } } }"
    async with line(served, token) as live:
        await live.subscribe(query)
        await _following(gateway, tenant)
        await _raise_alert(tenant, worker_store, device)
        gateway.bus.publish([tenant.id])
        raised = await live.next("alerts")
        assert (raised["kind"], raised["alert"]["device"]["key"]) == ("RAISED", device.key)
        acknowledge = 'mutation($id: ID!) { alertAcknowledge(id: $id, note: "seen") { status } }'
        await api.data(token, acknowledge, id=raised["alert"]["id"])
        assert (await live.next("alerts"))["kind"] == "ACKNOWLEDGED"


async def test_readings_are_said_without_their_readers_turn_where_nothing_must_be_waited_for(
    gateway: Gateway, tenant: Tenant
) -> None:
    """The way straight through: what a resolver gives back must come out of GraphQL as it is (ADR 80)."""
    device, operations, straight = await tenant.device(), gateway.front.operations, asyncio.Queue[bytes]()
    by_turn = asyncio.Queue[Any]()
    context = RequestContext(gateway.services, tenant.principal())
    stream = await operations.stream(operations.prepare(TELEMETRY), None, {"d": [str(device.id)]}, context)
    stream.hand_to(lambda _event, answer: straight.put_nowait(answer) is None)

    async def read() -> None:
        async for event in stream.events():
            by_turn.put_nowait(event)

    reading = asyncio.create_task(read())
    await _following(gateway, tenant)
    await asyncio.sleep(0)
    tenant.tell([(device.id, clock.now_ms(), {"n": 1})])
    gateway.bus.publish([tenant.id])
    answer = json.loads(await asyncio.wait_for(straight.get(), PATIENCE_S))
    assert answer["data"]["telemetry"]["values"] == {"n": 1}
    assert by_turn.empty()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_one_who_does_not_read_holds_up_nobody_and_hears_everything_or_how_much_was_left_out(
    served: str, gateway: Gateway, postgres: Postgres, tenant: Tenant
) -> None:
    device, token, count = await tenant.device(), await tenant.api_token(), 3_200

    def written(numbers: range) -> None:
        rows = [[str(device.id), clock.now_ms(), n, 0, {"n": n, "pad": "x" * 3_000}] for n in numbers]
        with psycopg.connect(postgres.url("ingest")) as connection:
            connection.execute("SELECT set_config('app.tenants', %s, true)", [f"{{{tenant.id}}}"])
            journal(connection, tenant.id, "telemetry", {"r": rows, "n": {}})
        gateway.bus.publish([tenant.id])

    async with line(served, token, max_queue=1, ping_interval=None) as slow, line(served, token) as quick:
        for each in (slow, quick):
            await each.subscribe(TELEMETRY, d=[str(device.id)])
        await _following(gateway, tenant)
        tail = gateway.services.live.tails[tenant.id]
        while len(tail.followers(device.id)) < 2:
            await asyncio.sleep(0.01)
        for first in range(0, count, 400):
            written(range(first, first + 400))
            assert sum(await _until(quick, first + 399)) == 400
        heard, left_out = await _until(slow, count - 1)
        assert heard + left_out == count
        assert left_out, "it was so slow that not everything was kept for it"
        written(range(count, count + 1))
        assert [await _until(each, count) for each in (slow, quick)] == [(1, 0), (1, 0)]


async def _until(live: Line, last: int) -> tuple[int, int]:
    """Hear until the reading of this number, none twice and in their order; how many were heard, and left out."""
    heard, left_out, newest = 0, 0, -1
    while newest < last:
        event = await live.next("telemetry")
        assert event["values"]["n"] > newest
        newest = event["values"]["n"]
        heard, left_out = heard + 1, left_out + event["skipped"]
    return heard, left_out


async def test_subscribers_who_ask_alike_share_one_answer(served: str, gateway: Gateway, tenant: Tenant) -> None:
    device, token = await tenant.device(), await tenant.api_token()
    async with line(served, token) as one, line(served, token) as two:
        await one.subscribe(TELEMETRY, d=[str(device.id)])
        await two.subscribe(TELEMETRY, d=[str(device.id)], after="0")
        await _following(gateway, tenant)
        before = gateway.front.operations.shared.made
        tenant.tell([(device.id, clock.now_ms(), {"temperature": 5.5})])
        gateway.bus.publish([tenant.id])
        assert await one.next("telemetry") == await two.next("telemetry")
        assert gateway.front.operations.shared.made == before + 1


async def test_an_answer_is_not_shared_with_those_who_may_see_less(
    served: str, gateway: Gateway, tenant: Tenant, worker_store: Store, store: Store
) -> None:
    device, owner = await tenant.device(), await tenant.api_token()
    async with store.as_tenant(tenant.principal()) as tx:
        _, lesser = await tenants.issue_token(tx, name="alerts only", scopes=["alerts:read"])
    query = "subscription { alerts { alert { device { latest { metric } } } } }"
    async with line(served, owner) as much, line(served, lesser) as little:
        await much.subscribe(query)
        await little.subscribe(query)
        refused = (await little.hear())["payload"]
        assert [error["extensions"]["code"] for error in refused] == ["FORBIDDEN"], "before anything happened"
        await _following(gateway, tenant)
        await _raise_alert(tenant, worker_store, device)
        gateway.bus.publish([tenant.id])
        assert (await much.next("alerts"))["alert"]["device"]["latest"] == []


Talk = Callable[[Any], Awaitable[None]]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("[]", 4400),
        ('"text"', 4400),
        ("not json", 4400),
        ("{}", 4400),
        ('{"type": "surprise"}', 4400),
        ('{"type": "subscribe", "id": "1", "payload": {"query": "{ me { kind } }"}}', 4401),
        ('{"type": "connection_init", "payload": 7}', 4400),
        ('{"type": "connection_init"}', 4401),
        ('{"type": "connection_init", "payload": {"authorization": "Bearer tg_wrongwrongwrongwrong"}}', 4403),
    ],
)
async def test_a_socket_that_misbehaves_is_closed_with_the_code_of_the_protocol(
    served: str, said: str, code: int
) -> None:
    async with dialled(served) as opened:
        await opened.connection.send(said)
        assert await opened.closed() == code


async def test_binary_frames_and_repeated_ids_are_refused(served: str, tenant: Tenant) -> None:
    async with line(served, await tenant.api_token()) as live:
        await live.subscribe(STATUS)
        await live.subscribe(STATUS)
        assert await live.closed() == 4409
    async with dialled(served) as opened:
        await opened.connection.send(json.dumps({"type": "ping"}).encode())
        assert await opened.closed() == 4400


async def test_a_foreign_page_cannot_open_a_socket_with_a_cookie(served: str) -> None:
    headers = {"Origin": "https://evil.example", "Cookie": "tidegate_session=tgs_x"}
    with pytest.raises(websockets.InvalidStatus) as refused:
        async with dialled(served, headers):
            pass
    assert refused.value.response.status_code == 403
