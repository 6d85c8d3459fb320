"""Kill -9 of everything, in short: one of each kind under load. `tidegate bench faults` is the long version."""

import pytest

from infra.bench.kills import BESIDE, KINDS, Campaign, wage

pytestmark = [pytest.mark.engines, pytest.mark.timeout(1200)]


def test_whatever_is_killed_nothing_is_lost_stored_twice_miscounted_or_raised_wrongly() -> None:
    told: list[str] = []
    kinds = (*KINDS, *BESIDE)
    outcome = wage(Campaign(kills=1, kinds=kinds, devices=100, rate=500, pause_s=0.5, seed=20), told.append)
    assert outcome.wrong == [], told
    assert sorted(kill.kind for kill in outcome.kills) == sorted(kinds)
    assert {judged.kind: judged.stored > 100 for judged in outcome.beside} == dict.fromkeys(BESIDE, True)
    assert outcome.reconnects >= 100, "the clients were never cut: ingest was not killed"
    assert outcome.verdict.duplicates > 0, "nothing was sent twice: no kill fell between COMMIT and PUBACK"
    assert outcome.verdict.alerts == outcome.verdict.alerts_expected > 100
    assert min(rule.raised for rule in outcome.verdict.rules) > 0, "one of the rules has never fired"
    assert outcome.verdict.calls_arrived > 10
    assert outcome.verdict.derived > 10


def test_what_postgres_cannot_answer_for_a_while_is_lost_to_nobody() -> None:
    told: list[str] = []
    campaign = Campaign(kills=1, kinds=("hole", "latency"), devices=50, rate=200, pause_s=0.5, seed=4, lasts_s=3.0)
    outcome = wage(campaign, told.append)
    assert outcome.verdict.wrong == [], told
    assert [kill.kind for kill in outcome.kills] == ["hole", "latency"]
    assert outcome.verdict.acked > 1_000
