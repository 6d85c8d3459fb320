"""The bench of neighbours, small: one pair on a platform of its own, judged to the message."""

import pytest

from infra.bench import neighbours
from infra.bench.neighbours import Street

pytestmark = [pytest.mark.engines, pytest.mark.timeout(600)]


def test_beside_a_tenant_at_ten_times_its_quota_nothing_is_lost_and_what_is_refused_is_counted() -> None:
    told: list[str] = []
    heard = neighbours.measure(Street(quota=30, pairs=1, seconds=3, connections=5), told.append)
    assert heard.wrong == []
    assert heard.calm.acked == heard.calm.stored == 2 * 54 + 36  # two phases and the warm-up
    assert heard.refused > 0
    assert heard.taken < heard.offered / 2  # the rest was not read
    assert len(told) == len(heard.quiet_p95) == len(heard.noisy_p95) == 1
    assert "0 lost" in neighbours.shown(heard)
