"""The load generator's devices: what they promise the judge and the clock."""

import itertools
import json
from array import array

import pytest

from infra.bench.clients import Fleet, Identity, Tally, now
from infra.bench.generator import percentiles
from infra.bench.readings import Signal
from ingest.adapters.base import Verdict
from ingest.adapters.mqtt.endpoint import MqttEndpoint
from ingest.adapters.mqtt.limits import MqttLimits
from tests.ingest.adapters.mqtt.memory import MemoryAuthorizer, MemoryPresence, MemoryUplink, until


class Stand:
    """An endpoint with memory behind it and a fleet before it."""

    def __init__(self, devices: int, *, in_flight: int = 1, watched: int = 0) -> None:
        self.uplink = MemoryUplink()
        limits = MqttLimits(drain_s=0.1, tick_s=0.05, close_timeout_s=0.2)
        self.endpoint = MqttEndpoint(MemoryAuthorizer(), self.uplink, MemoryPresence(), limits)
        self._identities = [Identity("acme", f"device-{number}", "token") for number in range(devices)]
        self._in_flight, self._watched = in_flight, watched

    async def __aenter__(self) -> "Stand":
        port = await self.endpoint.start("127.0.0.1", 0)
        self.fleet = Fleet(port, self._identities, Signal(), in_flight=self._in_flight, watched=self._watched)
        await self.fleet.connect(timeout_s=20)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.fleet.close()
        await self.endpoint.stop()

    def counts(self) -> list[int]:
        """The messages that arrived, by their own numbers."""
        return [json.loads(payload)["values"]["count"] for payload in self.uplink.payloads()]


async def test_a_device_sends_no_more_than_it_may_have_in_flight_and_the_rest_when_there_is_room() -> None:
    async with Stand(1, in_flight=2) as stand:
        stand.uplink.holding = True
        stand.fleet.clients[0].wanted(now(), burst=5)
        await until(lambda: len(stand.uplink.undecided) == 2)
        assert stand.counts() == [0, 1]
        stand.uplink.holding = False
        stand.uplink.decide()
        assert await stand.fleet.quiet(10)
        assert stand.counts() == [0, 1, 2, 3, 4]


async def test_a_message_without_puback_is_sent_again_byte_for_byte_after_a_reconnect() -> None:
    async with Stand(1) as stand:
        stand.uplink.holding = True
        client = stand.fleet.clients[0]
        client.wanted(now())
        await until(lambda: len(stand.uplink.messages) == 1)
        for session in list(stand.endpoint.sessions()):
            stand.endpoint.cut(session.device_id)
        await until(lambda: len(stand.uplink.messages) == 2)
        first, again = stand.uplink.messages
        assert again.payload == first.payload
        assert (first.dup, again.dup) == (False, True)
        assert stand.fleet.resent == 1
        stand.uplink.holding = False
        stand.uplink.decide()
        assert await stand.fleet.quiet(10)
        assert stand.fleet.acked_total == 1


async def test_a_refusal_is_remembered_and_never_taken_for_an_acknowledgement() -> None:
    async with Stand(1) as stand:
        stand.uplink.verdict = Verdict.REJECTED
        stand.fleet.clients[0].wanted(now())
        assert await stand.fleet.quiet(10)
        assert [(device, n) for device, n, _ in stand.fleet.refused] == [(0, 0)]
        assert stand.fleet.acked_total == 0


async def test_time_counts_from_when_a_message_was_due_not_from_when_there_was_room_for_it() -> None:
    async with Stand(1, watched=1) as stand:
        due = now() - 30  # the server has been slow for half a minute
        stand.fleet.tally = Tally()
        stand.fleet.clients[0].wanted(due)
        assert await stand.fleet.quiet(10)
        assert stand.fleet.due_of[0] == [due]
        assert min(stand.fleet.tally.latencies) >= 30


async def test_times_of_one_device_rise_even_within_a_millisecond() -> None:
    async with Stand(1, in_flight=50) as stand:
        stand.fleet.clients[0].wanted(now(), burst=50)
        assert await stand.fleet.quiet(10)
        times = [json.loads(payload)["time"] for payload in stand.uplink.payloads()]
        assert len(times) == 50
        assert all(later > earlier for earlier, later in itertools.pairwise(times))


async def test_many_devices_speak_for_themselves() -> None:
    async with Stand(150) as stand:
        for client in stand.fleet.clients:
            client.wanted(now())
        assert await stand.fleet.quiet(20)
        assert {message.device.device for message in stand.uplink.messages} == {f"device-{n}" for n in range(150)}
        assert stand.counts() == [0] * 150


@pytest.mark.parametrize(("values", "metrics"), [(1, 1), (3, 3), (8, 8)])
def test_a_payload_has_as_many_values_as_asked_for_and_its_profile_knows_them(values: int, metrics: int) -> None:
    signal = Signal(values=values)
    sent = json.loads(signal.payload(5, 17, 1_700_000_000_000))
    assert sent["time"] == 1_700_000_000_000
    assert sent["values"]["count"] == 17
    assert len(sent["values"]) == metrics
    assert set(sent["values"]) <= {metric.key for metric in signal.metrics()}


def test_one_event_in_a_hundred_changes_sides() -> None:
    signal = Signal(period=200)
    warm = [json.loads(signal.payload(3, n, 0))["values"]["temperature"] > 27.5 for n in range(10_001)]
    assert sum(a != b for a, b in itertools.pairwise(warm)) == 100


def test_every_other_device_numbers_its_messages_when_asked() -> None:
    signal = Signal(has_seq=True)
    assert "seq" not in json.loads(signal.payload(2, 7, 0))
    assert json.loads(signal.payload(3, 7, 0))["seq"] == 7


def test_percentiles_are_ranks_of_what_was_measured() -> None:

    found = percentiles(array("d", [n / 1000 for n in range(1, 101)]))
    assert found == {"p50": 51.0, "p95": 96.0, "p99": 100.0, "max": 100.0}
    assert percentiles(array("d")) == {}
