"""The bench of cuts, small: each connection ends once, and a device's way in by certificate ends with a PUBACK."""

import pytest

from infra.bench import cut, mtls
from infra.bench.cut import Cut, Measured

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]


def test_each_connection_is_cut_and_a_device_with_a_certificate_comes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mtls, "PUBLISHER", "no-such-program")  # mosquitto_pub is what test_tls pastes
    told: list[str] = []
    measured = cut.measure(1, told.append, by_certificate=3)
    assert [(each.deed, each.ended) for each in measured.cuts] == [
        ("credential revoked", "MQTT connection"),
        ("authority retired", "3 MQTT connections by certificate, the last of them"),
        ("device suspended", "MQTT connection"),
        ("API token revoked", "GraphQL WebSocket"),
        ("API token revoked", "SSE stream"),
    ]
    assert all(0 < seconds < cut.WITHIN_S for each in measured.cuts for seconds in each.seconds)
    assert measured.has_arrived, told
    said = "\n".join(measured.log)
    assert said.index("openssl req") < said.index("CONNACK") < said.index("PUBACK")
    assert measured.log == told
    assert "promised" in cut.shown(measured)


def test_a_cut_that_came_too_late_is_shown_so() -> None:
    kept, broken = Cut("a", "b", [0.1, 2.0]), Cut("c", "d", [0.1, 2.001])
    measured = Measured([kept, broken], [], has_arrived=True)
    assert [line.split()[-1] for line in cut.shown(measured).splitlines()[-2:]] == ["kept", "BROKEN"]
    assert not measured.is_within
    assert Measured([kept], [], has_arrived=True).is_within
    assert not Measured([kept], [], has_arrived=False).is_within
