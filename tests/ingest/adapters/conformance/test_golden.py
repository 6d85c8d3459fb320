"""The golden story: what happens in one room, told in every language, is the same readings to the digit.

The industrial protocols tell theirs to an edge (tests/ingest/edge/test_protocols.py), which says it upwards as the
gateway does here.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import cbor2
import orjson
import pytest
from aiocoap.numbers.codes import Code

from engine.clock import from_ms, now_ms
from engine.devices import service as devices
from engine.drain import Drain
from engine.store.pool import Store
from infra.local.device_client import DeviceClient
from ingest import decode
from schema.wire import coap
from tests.ingest.adapters.conformance.conftest import Enter
from tests.ingest.adapters.conformance.documents import document
from tests.ingest.adapters.conformance.rows import ROWS
from tests.ingest.adapters.conformance.speaker import Login, Reading, Row
from tests.ingest.adapters.conformance.speaks_coap import CoapSpeaker
from tests.support.api import Api
from tests.support.line import Line

NewLogin = Callable[[], Awaitable[Login]]

STORY: Sequence[Mapping[str, Any]] = (
    {"temperature": 21.5, "humidity": 55, "door_open": True, "mode": "idle"},
    {"temperature": {"value": 46.4, "unit": "[degF]"}, "door_open": False, "mode": "cooling"},
    {"temperature": {"value": 277.15, "unit": "K"}, "humidity": {"value": 600_000, "unit": "ppm"}},
    {"temperature": {"value": -18, "unit": "Cel"}, "humidity": {"value": 12.5, "unit": "%RH"}},
    {"temperature": {"value": -17.5, "unit": "Cel"}, "humidity": None},
)
"""What a room's device measures, in whatever unit its sensor speaks."""
QUALITY: Sequence[Mapping[str, str] | None] = (None, None, {"humidity": "uncertain"}, None, {"humidity": "bad"})
"""How far it trusts its sensors: one is in doubt, and then has nothing to say."""
GOLDEN: Sequence[Mapping[str, Any]] = (
    {"temperature": 21.5, "humidity": 55, "door_open": True, "mode": "idle"},
    {"temperature": 8.0, "door_open": False, "mode": "cooling"},
    {"temperature": 4.0, "humidity": 60.0},
    {"temperature": -18, "humidity": 12.5},
    {"temperature": -17.5},
)
UNITS = {"temperature": "°C", "humidity": "%", "door_open": None, "mode": None}
NEWEST = """query ($id: ID!, $from: DateTime!) { device(id: $id) {
    latest { metric value unit time }
    telemetry(metric: "humidity", from: $from, withSource: true) {
        times values quality bad received source sources { transport encoding decoder via }
    }
} }"""
CAME: Mapping[str, tuple[str, str, str | None]] = {
    "MQTT": ("mqtt", "json", None),
    "HTTP": ("http", "json", None),
    "CoAP": ("coap", "json", None),
    "CoAP, CBOR": ("coap", "cbor", None),
    "CoAP, SenML in JSON": ("coap", "senml", None),
    "CoAP, SenML in CBOR": ("coap", "senml", None),
    "behind a gateway": ("mqtt", "json", "modbus"),
}
"""How each language's readings come: transport, encoding, and the machine's protocol."""


class InFormat(CoapSpeaker):
    """CoAP in another Content-Format."""

    media = coap.JSON

    def written(self, reading: Reading) -> bytes:
        return document(reading)

    async def tell(self, reading: Reading) -> None:
        answer = await self._ask(Code.POST, "telemetry", self.written(reading), content_format=self.media)
        assert answer.code is Code.CHANGED, answer.payload


class Cbor(InFormat):
    media = coap.CBOR

    def written(self, reading: Reading) -> bytes:
        return cbor2.dumps(orjson.loads(document(reading)))


class SenmlJson(InFormat):
    """Records as RFC 8428 has them: seconds, and a unit of its own to each."""

    media = coap.SENML_JSON

    def written(self, reading: Reading) -> bytes:
        return orjson.dumps(pack(reading))


class SenmlCbor(InFormat):
    media = coap.SENML_CBOR

    def written(self, reading: Reading) -> bytes:
        names = {"bt": -3, "n": 0, "u": 1, "v": 2, "vs": 3, "vb": 4}
        return cbor2.dumps(
            [{names.get(name, name): value for name, value in record.items()} for record in pack(reading)]
        )


def pack(reading: Reading) -> list[dict[str, Any]]:
    """A reading as a SenML pack."""
    assert reading.time_ms is not None
    records = [_record(metric, value) | _doubt(reading, metric) for metric, value in reading.values.items()]
    return [{"bt": reading.time_ms / 1000}, *records]


def _doubt(reading: Reading, metric: str) -> dict[str, Any]:
    mark = (reading.quality or {}).get(metric)
    return {} if mark is None else {"quality": mark}


def _record(metric: str, value: Any) -> dict[str, Any]:
    if isinstance(value, dict):
        return {"n": metric, "u": value["unit"], "v": value["value"]}
    if value is None:
        return {"n": metric}
    return {"n": metric, {bool: "vb", str: "vs"}.get(type(value), "v"): value}


class Gateway:
    """A device behind a gateway that speaks MQTT for it, as an edge does."""

    def __init__(self, login: Login) -> None:
        self._login = login

    async def connect(self) -> None:
        tenant, child = self._login.tenant, self._login.device
        gateway = await tenant.device()
        async with tenant.store.as_tenant(tenant.principal()) as tx:
            await devices.change(tx, child.id, labels={"gateway": gateway.key})
        name = f"{tenant.key}/d/{gateway.key}"
        self._topic = f"t/{name}/up/child/{child.key}/telemetry"
        port = self._login.process.mqtt_port
        self._client = DeviceClient("127.0.0.1", port, name, await tenant.device_token(gateway))
        await self._client.connect()

    async def tell(self, reading: Reading) -> None:
        await self._client.publish(self._topic, orjson.dumps(orjson.loads(document(reading)) | {"via": "modbus"}))

    async def close(self) -> None:
        await self._client.close()


BESIDE: Mapping[str, Any] = {
    "CoAP, CBOR": Cbor,
    "CoAP, SenML in JSON": SenmlJson,
    "CoAP, SenML in CBOR": SenmlCbor,
    "behind a gateway": Gateway,
}
"""Languages that are no adapter of their own: they tell, and do nothing else of the suite."""
TOLD = (*(row for row in ROWS if row.times), *(Row(name, speaker) for name, speaker in BESIDE.items()))


@pytest.mark.parametrize("row", TOLD, ids=str)
async def test_one_story_gives_the_same_readings_in_every_language(
    row: Row,
    login: NewLogin,
    enter: Enter,
    line: Line,
    worker_store: Store,
    api: Api,
    figure: Callable[[str], None],
) -> None:
    device, began = await login(), now_ms() - 60_000
    times = [began + 1_250 * n for n in range(len(STORY))]
    speaker = await enter(row, device)
    for at, values, quality in zip(times, STORY, QUALITY, strict=True):
        await speaker.tell(Reading(values, at, quality=quality))
    stored = line.look(
        "SELECT (extract(epoch FROM time) * 1000)::bigint, values, quality FROM telemetry"
        " WHERE tenant_id = %s AND device_id = %s ORDER BY time",
        *(device.tenant.id, device.device.id),
    )
    assert stored == list(zip(times, GOLDEN, QUALITY, strict=True))
    while await Drain(worker_store).run(device.tenant.id):
        pass
    found = await api.data(
        await device.tenant.api_token(), NEWEST, **{"id": str(device.device.id), "from": from_ms(began).isoformat()}
    )
    newest = {each["metric"]: (each["value"], each["unit"]) for each in found["device"]["latest"]}
    last = {"temperature": -17.5, "humidity": 12.5, "door_open": False, "mode": "cooling"}
    assert newest == {metric: (value, UNITS[metric]) for metric, value in last.items()}
    humidity = found["device"]["telemetry"]
    told = zip(humidity["times"], humidity["values"], humidity["quality"], humidity["source"], strict=True)
    marks = (None, "uncertain", None)
    assert list(told) == [(times[n], GOLDEN[n]["humidity"], mark, 0) for n, mark in zip((0, 2, 3), marks, strict=True)]
    assert humidity["bad"] == times[4:]
    assert all(began <= received <= now_ms() + 1_000 for received in humidity["received"])
    transport, encoding, via = CAME[row.name]
    came = {"transport": transport, "encoding": encoding, "decoder": decode.VERSION, "via": via}
    assert humidity["sources"] == [came]
    doubted = f"humidity {GOLDEN[2]['humidity']} % {marks[1]} at +2.5 s, then bad"
    figure(f"golden story, {row.name}: {doubted}; {transport}, {encoding}, decoder {decode.VERSION}, via {via}")
