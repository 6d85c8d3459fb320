"""A worker's turns: one at a time, and again by itself for a reader that stays with it."""

import asyncio
from uuid import UUID

import pytest

from engine import turns
from engine.errors import Unavailable
from engine.turns import Turned, Turns

BUSY, CALM = (UUID(int=1), 0), (UUID(int=2), 0)


class Worker:
    """Takes turns that are told beforehand, and notes whose they were; never two at once."""

    def __init__(self, told: list[float | Exception | None]) -> None:
        self.taken: list[Turned] = []
        self.is_done = asyncio.Event()
        self._told = told
        self._is_in_turn = False

    async def turn(self, reader: Turned) -> float | None:
        assert not self._is_in_turn
        self._is_in_turn = True
        await asyncio.sleep(0)
        self._is_in_turn = False
        self.taken.append(reader)
        said = self._told.pop(0) if self._told and reader == BUSY else None
        if reader == BUSY and said is None:
            self.is_done.set()
        if isinstance(said, Exception):
            raise said
        return said


async def test_a_reader_that_stays_is_come_back_to_until_it_stays_no_longer() -> None:
    worker, of = Worker([0.0, 0.0, 0.0, None]), Turns()
    await of.asked(BUSY, worker.turn)
    await of.asked(BUSY, worker.turn)  # it comes back anyway
    assert worker.taken == [BUSY]
    async with asyncio.timeout(60):
        await worker.is_done.wait()
    assert worker.taken == [BUSY] * 4
    await of.asked(BUSY, worker.turn)
    assert worker.taken == [BUSY] * 5


async def test_whoever_asks_has_its_turn_between_those_of_a_reader_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "EVERY_S", 0.01)
    worker, of = Worker([0.0] * 50 + [None]), Turns()
    await of.asked(BUSY, worker.turn)
    async with asyncio.timeout(60):
        while not worker.is_done.is_set():
            await of.asked(CALM, worker.turn)
    assert worker.taken.count(BUSY) == 51
    assert CALM in worker.taken[:5]


@pytest.mark.parametrize("trouble", [Unavailable(), ValueError("a mistake")])
async def test_what_goes_wrong_ends_the_stay_and_nothing_else(trouble: Exception) -> None:
    worker, of = Worker([0.0, trouble, 0.0, None]), Turns()
    await of.asked(BUSY, worker.turn)
    async with asyncio.timeout(60):
        while len(worker.taken) < 2:
            await asyncio.sleep(0)
        await asyncio.sleep(0.01)
        assert worker.taken == [BUSY] * 2
        await of.asked(BUSY, worker.turn)
        await worker.is_done.wait()
    assert worker.taken == [BUSY] * 4


async def test_a_worker_that_ends_comes_back_to_nobody() -> None:
    worker, of = Worker([0.0, None]), Turns()
    await of.asked(BUSY, worker.turn)
    of.end()
    await asyncio.sleep(0.01)
    assert worker.taken == [BUSY]
