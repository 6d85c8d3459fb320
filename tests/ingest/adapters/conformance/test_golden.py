"""The golden story: what happens in one room, told in every language, is the same readings to the digit.

A device tells them as messages; a machine measures the same in its own units and types, and an edge reads it. Each
story is followed to its rows in the database and back through the API. What a protocol cannot say is missing there, and
nothing else is: `MISSING` has the words.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import cbor2
import orjson
import pytest
from aiocoap.numbers.codes import Code

from engine.clock import from_ms, now_ms
from engine.drain import Drain
from engine.store.pool import Store
from ingest import decode
from schema.wire import coap
from tests.ingest.adapters.conformance.conftest import Enter, NewLogin
from tests.ingest.adapters.conformance.documents import document
from tests.ingest.adapters.conformance.machines import BacnetMachine
from tests.ingest.adapters.conformance.rows import DEVICES, MACHINES
from tests.ingest.adapters.conformance.speaker import Carried, Login, Reading, Row
from tests.ingest.adapters.conformance.speaks_coap import CoapSpeaker
from tests.ingest.adapters.conformance.speaks_edge import EdgeSpeaker
from tests.ingest.adapters.conformance.test_conformance import until
from tests.support.api import Api
from tests.support.line import Line

STORY: Sequence[Mapping[str, Any]] = (
    {"temperature": 21.3, "humidity": 55, "door_open": True, "mode": "idle"},
    {"temperature": {"value": 46.4, "unit": "[degF]"}, "door_open": False, "mode": "cooling"},
    {"temperature": {"value": 277.15, "unit": "K"}, "humidity": {"value": 600_000, "unit": "ppm"}},
    {"temperature": {"value": -18, "unit": "Cel"}, "humidity": {"value": 12.7, "unit": "%RH"}},
    {"temperature": {"value": -17.3, "unit": "Cel"}, "humidity": None},
)
"""What a room's device measures, in whatever unit its sensor speaks; 32-bit floats do not hold all of it."""
QUALITY: Sequence[Mapping[str, str] | None] = (None, None, {"humidity": "uncertain"}, None, {"humidity": "bad"})
"""How far it trusts its sensors: one is in doubt, and then has nothing to say."""
GOLDEN: Sequence[Mapping[str, Any]] = (
    {"temperature": 21.3, "humidity": 55, "door_open": True, "mode": "idle"},
    {"temperature": 8.0, "door_open": False, "mode": "cooling"},
    {"temperature": 4.0, "humidity": 60.0},
    {"temperature": -18, "humidity": 12.7},
    {"temperature": -17.3},
)
UNITS = {"temperature": "°C", "humidity": "%", "door_open": None, "mode": None}
NEWEST = """query ($id: ID!, $from: DateTime!) { device(id: $id) {
    latest { metric value unit time }
    telemetry(metric: "humidity", from: $from, withSource: true) {
        times values quality bad received source sources { transport encoding decoder via gateway }
    }
} }"""
CAME: Mapping[str, tuple[str, str, str | None]] = {
    "MQTT": ("mqtt", "json", None),
    "HTTP": ("http", "json", None),
    "CoAP": ("coap", "json", None),
    "broker (Mosquitto)": ("broker", "json", None),
    "CoAP, CBOR": ("coap", "cbor", None),
    "CoAP, SenML in JSON": ("coap", "senml", None),
    "CoAP, SenML in CBOR": ("coap", "senml", None),
    "Modbus": ("mqtt", "json", "modbus"),
    "Modbus RTU": ("mqtt", "json", "modbus"),
    "OPC-UA": ("mqtt", "json", "opcua"),
    "BACnet": ("mqtt", "json", "bacnet"),
    "BACnet, polled": ("mqtt", "json", "bacnet"),
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


BESIDE: Mapping[str, Any] = {
    "CoAP, CBOR": Cbor,
    "CoAP, SenML in JSON": SenmlJson,
    "CoAP, SenML in CBOR": SenmlCbor,
}
"""Languages that are no adapter of their own: they tell, and do nothing else of the suite."""


def by_asking(login: Login) -> EdgeSpeaker:
    """A machine in a building that tells nothing by itself."""
    return EdgeSpeaker(login, BacnetMachine(tells=False))


TOLD = (
    *DEVICES,
    *(Row(name, speaker) for name, speaker in BESIDE.items()),
    *MACHINES,
    Row("BACnet, polled", by_asking, behind="edge", carries=frozenset({"uncertain", "bad"})),
)
MISSING: Mapping[Carried, str] = {
    "time": "no time of the machine's own: it is the edge's",
    "uncertain": "no doubt: a value is there or not",
}
"""What a protocol does not carry, where its row says so."""


class Told(NamedTuple):
    """One value of one metric, as the platform keeps it; `at_s` is since the story began, None for whenever."""

    metric: str
    at_s: float | None
    value: Any
    mark: str | None

    def __str__(self) -> str:
        return self.mark if self.mark == "bad" else f"{orjson.dumps(self.value).decode()}{' (?)' if self.mark else ''}"


def readings(row: Row, rows: Iterable[tuple[float, Mapping[str, Any], Mapping[str, str] | None]]) -> list[Told]:
    """Times, values and marks of messages as single readings, each metric's by itself, as far as the row carries them.

    A protocol without times may tell values of one moment one after another.
    """
    told = []
    for at_s, values, marks in rows:
        for metric, value in (
            values | {metric: None for metric, mark in (marks or {}).items() if mark == "bad"}
        ).items():
            mark = (marks or {}).get(metric)
            is_said = mark in row.carries
            told.append(Told(metric, at_s if "time" in row.carries else None, value, mark if is_said else None))
    return sorted(told, key=lambda each: each.metric)


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
    device, really, began = await login(row), now_ms(), now_ms() - 60_000
    times = [began + 1_250 * n for n in range(len(STORY))]
    speaker = await enter(row, device)
    for at, values, golden, quality in zip(times, STORY, GOLDEN, QUALITY, strict=True):
        bad = {metric: None for metric, value in values.items() if value is None}
        measured = values if row.behind != "edge" else golden | bad  # a machine's units are in the point table
        await speaker.tell(Reading(measured, at, quality=quality))
    expected = readings(row, zip((1.25 * n for n in range(len(STORY))), GOLDEN, QUALITY, strict=True))
    found: list[Told] = []

    def stored() -> bool:
        rows = line.look(
            "SELECT (extract(epoch FROM time) * 1000)::bigint, values, quality FROM telemetry"
            " WHERE tenant_id = %s AND device_id = %s ORDER BY time, seq",
            *(device.tenant.id, device.device.id),
        )
        found[:] = readings(row, (((at - began) / 1_000, values, marks) for at, values, marks in rows))
        if "time" not in row.carries:
            assert all(really <= at <= now_ms() for at, *_ in rows)
        return len(found) >= len(expected)

    await until(stored)
    assert found == expected
    while await Drain(worker_store).run(device.tenant.id):
        pass
    asked = {"id": str(device.device.id), "from": from_ms(began).isoformat()}
    shown = (await api.data(await device.tenant.api_token(), NEWEST, **asked))["device"]
    newest = {each["metric"]: (each["value"], each["unit"]) for each in shown["latest"]}
    last = {"temperature": -17.3, "humidity": 12.7, "door_open": False, "mode": "cooling"}
    assert newest == {metric: (value, UNITS[metric]) for metric, value in last.items()}
    humidity = shown["telemetry"]
    marks = humidity["quality"] or [None] * len(humidity["values"])
    told = zip(humidity["times"], humidity["values"], marks, strict=True)
    rows = [((at - began) / 1_000, {"humidity": value}, {"humidity": mark}) for at, value, mark in told]
    rows += [((at - began) / 1_000, {}, {"humidity": "bad"}) for at in humidity["bad"]]
    assert readings(row, rows) == [each for each in expected if each.metric == "humidity"]
    assert all(began <= received <= now_ms() + 1_000 for received in humidity["received"])
    transport, encoding, via = CAME[row.name]
    came = {"transport": transport, "encoding": encoding, "decoder": decode.VERSION, "via": via}
    assert humidity["sources"] == [{**came, "gateway": device.gateway.key if device.gateway else None}]
    said = "; ".join(f"{metric} {' '.join(str(e) for e in found if e.metric == metric)}" for metric in UNITS)
    missing = "".join(f"; {words}" for what, words in MISSING.items() if what not in row.carries)
    figure(f"golden story, {row}: {said}; {transport}, {encoding}, decoder {decode.VERSION}, via {via}{missing}")
