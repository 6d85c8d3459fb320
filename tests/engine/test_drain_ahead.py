"""What one transaction of the drain takes is bounded, whatever the journal holds, and lies in one hour."""

from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from engine.drain import ENTRIES_AT_ONCE, READINGS_AT_ONCE, Ahead
from engine.journal.model import Entry
from engine.store.tx import Tx

NOON = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
NOBODY = cast(Tx, None)


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> list[Entry]:
    """A journal of these entries, whose first position is 1."""
    entries: list[Entry] = []

    async def tail(_: Tx, position: int, most: int) -> list[Entry]:
        return entries[position : position + most]

    monkeypatch.setattr("engine.drain.read.tail", tail)
    return entries


def told(pos: int, at: datetime = NOON, readings: int = 0, counted: int = 0) -> Entry:
    body: dict[str, Any] = {"r": [[]] * readings, "n": {str(number): {} for number in range(counted)}}
    return Entry(pos, at, "telemetry", body)


@pytest.mark.parametrize("counted", [0, 1, 3])
async def test_entries_that_bring_only_refusals_are_bounded_too(journal: list[Entry], counted: int) -> None:
    journal += [told(pos, counted=counted) for pos in range(1, 30_001)]
    ahead = Ahead()
    taken = await ahead.take(NOBODY, 0)
    assert len(taken) == -(-READINGS_AT_ONCE // max(1, counted))
    assert ahead.has_more
    assert (await ahead.take(NOBODY, taken[-1].pos))[0].pos == taken[-1].pos + 1


async def test_what_one_transaction_takes_is_of_one_hour(journal: list[Entry]) -> None:
    journal += [told(pos, NOON + timedelta(minutes=pos - 1), readings=1) for pos in range(1, ENTRIES_AT_ONCE + 1)]
    ahead, position, found = Ahead(), 0, []
    while taken := await ahead.take(NOBODY, position):
        found.append(({entry.at.hour for entry in taken}, ahead.has_more))
        position = taken[-1].pos
    assert [hours for hours, _ in found] == [{12}, {13}, {14}]
    assert all(has_more for _, has_more in found[:-1])
