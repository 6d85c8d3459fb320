"""Whose turn it is to play rules: one of a tenant, few of all, and who asks for too much is told so at once."""

import asyncio
from uuid import uuid4

import pytest

from engine.rules.errors import TrialBusy
from engine.rules.turns import Turns

A, B, C = uuid4(), uuid4(), uuid4()


class Players:
    """Starts turns that last until they are told to end."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.playing: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, name: str) -> None:
        self._ends[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._play(name))
        await _settled()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await _settled()

    async def leave(self, name: str) -> None:
        self.tasks[name].cancel()
        await _settled()

    async def _play(self, name: str) -> None:
        async with self._turns.one({"a": A, "b": B, "c": C}[name[0]]):
            self.playing.append(name)
            await self._ends[name].wait()
            self.playing.remove(name)


async def _settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_tenant_that_asks_for_many_waits_for_itself_and_another_one_plays_at_once() -> None:
    players = Players(Turns(TrialBusy, at_once=2, waiting=6, waiting_of_one=3))
    for name in ("a1", "a2", "a3", "b1"):
        await players.ask(name)
    assert players.playing == ["a1", "b1"]
    await players.end("a1")
    assert players.playing == ["b1", "a2"]
    await players.end("b1")
    assert players.playing == ["a2"], "the place that is free is none of this tenant's"
    await players.ask("c1")
    assert players.playing == ["a2", "c1"]


async def test_who_waits_longest_and_may_play_is_next() -> None:
    players = Players(Turns(TrialBusy, at_once=1, waiting=6, waiting_of_one=3))
    for name in ("a1", "a2", "b1", "c1"):
        await players.ask(name)
    for ended, begun in (("a1", "a2"), ("a2", "b1"), ("b1", "c1")):
        await players.end(ended)
        assert players.playing == [begun]


async def test_beyond_what_may_wait_one_is_told_to_come_later() -> None:
    players = Players(Turns(TrialBusy, at_once=1, waiting=3, waiting_of_one=2))
    for name in ("a1", "a2", "a3", "a4", "b1", "c1"):
        await players.ask(name)
    refused = [name for name, task in players.tasks.items() if task.done()]
    assert refused == ["a4", "c1"], "of one tenant two may wait, of all three"
    assert all(isinstance(players.tasks[name].exception(), TrialBusy) for name in refused)


async def test_who_stops_waiting_or_playing_leaves_the_place_to_the_next() -> None:
    players = Players(Turns(TrialBusy, at_once=1, waiting=6, waiting_of_one=3))
    for name in ("a1", "a2", "b1", "c1"):
        await players.ask(name)
    await players.leave("a2")
    await players.leave("a1")
    assert players.playing == ["a1", "b1"], "a1 was cut off where it stood, and is not playing any more"
    players.tasks["b1"].cancel()
    players.tasks["c1"].cancel()  # in the moment in which its turn comes
    await _settled()
    await players.ask("a3")
    assert players.playing[-1] == "a3"


async def test_without_a_place_to_wait_the_second_is_refused() -> None:
    turns = Turns(TrialBusy, at_once=2)
    async with turns.one(A), turns.one(B):
        for tenant_id in (A, C):
            with pytest.raises(TrialBusy):
                async with turns.one(tenant_id):
                    pass
    async with turns.one(A), turns.one(C):
        pass
