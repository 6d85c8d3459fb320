"""The bench of overload and the one of connections, small: platforms of their own, measured and judged."""

import pytest

from infra.bench import connections, overload

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]


def test_what_an_overloaded_platform_acknowledges_is_stored_once_and_devices_drop_the_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(overload, "TRIAL_S", 1.0)
    monkeypatch.setattr(overload, "MORE_THAN_ANY_MSG_PER_S", 5_000.0)
    flood = overload.Flood(seconds=4, connections=20, in_flight=2, most_waiting=5)
    found = overload.measure(flood, lambda sentence: None)
    assert found.verdict.wrong == []
    assert found.restarted == []
    assert found.load["acked"] == found.load["sent"] > 0
    assert found.load["dropped"] > 0
    assert {"ingest", "postgres", "worker", "valkey"} <= set(found.held_mib)
    assert "dropped by devices that had 5 waiting" in overload.shown(found)


def test_a_process_that_grows_on_is_named() -> None:
    flood = overload.Flood(seconds=8)
    load = {"is_quiet": True}
    held = {"ingest": [100.0, 110, 110, 110, 110, 110, 112, 114], "worker": [50.0, 60, 80, 100, 120, 140, 180, 200]}
    found = overload.Weathered(flood, 1_000, load, held, 1.0, [], overload.Verdict())
    assert overload.wrong(found) == ["worker grew from 90 to 190 MiB and may not have stopped"]


def test_connections_are_weighed_and_a_fleet_in_shifts_is_judged_as_one() -> None:
    crowd = connections.Crowd(held=40, kinds=["TLS"], sizes=(30,), rate=200, seconds=1, shift=20)
    measured = connections.measure(crowd, lambda sentence: None)
    assert [weight.kind for weight in measured.weights] == ["TLS"]
    assert all(weight.with_mib > 0 for weight in measured.weights)
    assert [cost.devices for cost in measured.costs] == [30]
    assert [cost.messages for cost in measured.costs] == [400]
    assert [cost.verdict.acked for cost in measured.costs] == [30 + 400], (
        "each device's first message beside the others"
    )
    assert all(cost.first_us > 0 for cost in measured.costs)
    assert all(cost.postgres_us.keys() >= {"ingest", "worker", "itself"} for cost in measured.costs)
    assert not any(cost.verdict.wrong for cost in measured.costs)
    assert "fleets above 20 come in shifts" in connections.shown(measured)
    assert "for worker" in connections.shown(measured)
