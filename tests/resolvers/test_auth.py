"""What the gateway remembers of a caller, and what it does not: nothing that ended while it was asking."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from engine.store.pool import Store
from engine.tenants.errors import TenantSuspended
from resolvers import watch
from resolvers.auth import Authenticator
from resolvers.changes import Changes
from resolvers.watch import Watch, Watches
from tests.support.patience import PATIENCE_S

SECRET = "tgs_" + "x" * 40


class Door(Store):
    """A database with one session in it, that answers when it is told to, with what was so when it was asked."""

    def __init__(self) -> None:
        super().__init__("postgresql://nowhere.invalid/none")
        self.tenant_id, self.session_id = uuid4(), uuid4()
        self.is_suspended = False
        self.role = "viewer"
        self.factor_since: datetime | None = None
        self.may_answer = asyncio.Event()
        self.asked = 0

    @asynccontextmanager
    async def as_tenant(self, *_: Any, **__: Any) -> AsyncIterator[Any]:
        yield self

    async def scalar(self, _: object) -> datetime | None:
        return self.factor_since

    async def door(self, name: str, *arguments: Any) -> Sequence[Mapping[str, Any]]:
        assert name == "session"
        self.asked += 1
        now, is_suspended = datetime.now(UTC), self.is_suspended
        await self.may_answer.wait()
        said = {
            "session_id": self.session_id,
            "tenant_id": self.tenant_id,
            "user_id": UUID(int=1),
            "email": "a@b.example",
        }
        said |= {"role": self.role, "scopes": None, "last_seen_at": now, "expires_at": now + timedelta(days=1)}
        return [{**said, "user_name": "A", "is_suspended": is_suspended, "groups": None}]


class Heard(Changes):
    """Notifications that a test makes."""

    def __init__(self) -> None:
        super().__init__("postgresql://nowhere.invalid/none")
        self.is_listening = True

    @property
    def listeners(self) -> int:
        return len(self._heard)

    def tell(self, what: str) -> None:
        self._tell(what)


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def heard() -> Heard:
    return Heard()


async def test_a_session_is_asked_for_once_in_one_call_and_then_remembered(door: Door, heard: Heard) -> None:
    door.may_answer.set()
    authenticator = Authenticator(door, heard)
    caller = await authenticator.caller(SECRET)
    assert caller is not None
    assert (caller.handle, caller.principal.session_id) == (f"session:{door.session_id}", door.session_id)
    assert await authenticator.caller(SECRET) is caller
    assert door.asked == 1


@pytest.mark.parametrize("of", ["tenant", "session", "everything"])
async def test_what_is_told_of_is_asked_for_again(of: str, door: Door, heard: Heard) -> None:
    door.may_answer.set()
    authenticator = Authenticator(door, heard)
    await authenticator.caller(SECRET)
    heard.tell(f"tenant:{uuid4()}")
    heard.tell(f"session:{uuid4()}")
    await authenticator.caller(SECRET)
    assert door.asked == 1
    heard.tell({"tenant": f"tenant:{door.tenant_id}", "session": f"session:{door.session_id}", "everything": ""}[of])
    door.is_suspended = True
    with pytest.raises(TenantSuspended):
        await authenticator.caller(SECRET)


@pytest.mark.parametrize("of", ["tenant", "everything"])
async def test_what_is_open_ends_when_its_tenant_is_suspended_or_notifications_were_missed(
    of: str, door: Door, heard: Heard
) -> None:
    door.may_answer.set()
    authenticator = Authenticator(door, heard)
    caller = await authenticator.caller(SECRET)
    assert caller is not None
    open_ = asyncio.create_task(Watch(authenticator, heard, SECRET, caller).ended())
    await asyncio.sleep(0)
    heard.tell(f"tenant:{uuid4()}")
    await asyncio.sleep(0)
    assert not open_.done()
    door.is_suspended = True
    heard.tell(f"tenant:{door.tenant_id}" if of == "tenant" else "")
    await asyncio.wait_for(open_, PATIENCE_S)


async def test_all_that_one_secret_has_open_looks_again_together(
    door: Door, heard: Heard, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _open(door, heard, 30) as open_:
        for asked in (2, 3):
            heard.tell(f"tenant:{door.tenant_id}")
            await _settled()
            assert door.asked == asked
        monkeypatch.setattr(watch, "RECHECK_S", 0.001)
        monkeypatch.setattr(watch, "SHARED_S", 1_000.0)
        heard.tell(f"tenant:{door.tenant_id}")
        await _settled()
        await asyncio.sleep(0.1)
        assert door.asked == 4, "however often they look where nothing was told"
        monkeypatch.setattr(watch, "SHARED_S", 0.0)
        door.is_suspended = True
        await asyncio.wait_for(asyncio.gather(*open_), PATIENCE_S)


async def test_a_look_that_began_before_what_was_told_serves_nobody_who_was_told(door: Door, heard: Heard) -> None:
    async with _open(door, heard, 3) as open_:
        door.may_answer.clear()
        heard.tell(f"tenant:{door.tenant_id}")
        while door.asked < 2:
            await asyncio.sleep(0)
        door.is_suspended = True  # which the look that is under way no longer sees
        heard.tell(f"tenant:{door.tenant_id}")
        door.may_answer.set()
        await asyncio.wait_for(asyncio.gather(*open_), PATIENCE_S)
        assert door.asked == 3


async def _settled() -> None:
    """After many turns of the loop: whatever waits for no clock has been done."""
    for _ in range(100):
        await asyncio.sleep(0)


@asynccontextmanager
async def _open(door: Door, heard: Heard, count: int) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """So many sockets of one session, watched."""
    door.may_answer.set()
    authenticator = Authenticator(door, heard)
    caller = await authenticator.caller(SECRET)
    assert caller is not None
    before = heard.listeners
    watches, ended = Watches(authenticator, heard), [asyncio.Event() for _ in range(count)]
    leave = [watches.watch(SECRET, caller, each.set) for each in ended]
    open_ = [asyncio.create_task(each.wait()) for each in ended]
    await _settled()
    yield open_
    for go in leave:
        go()
    for each in open_:
        each.cancel()
    await asyncio.gather(*open_, return_exceptions=True)
    await _settled()
    assert heard.listeners == before, "nobody listens for those who have left"


async def test_an_answer_that_was_overtaken_by_a_suspension_is_not_remembered(door: Door, heard: Heard) -> None:
    authenticator = Authenticator(door, heard)
    asking = asyncio.create_task(authenticator.caller(SECRET))
    while not door.asked:
        await asyncio.sleep(0)
    door.is_suspended = True
    heard.tell(f"tenant:{door.tenant_id}")
    door.may_answer.set()
    await asking
    with pytest.raises(TenantSuspended):
        await authenticator.caller(SECRET)


async def test_an_operator_may_act_the_moment_they_have_a_second_factor(door: Door, heard: Heard) -> None:
    door.may_answer.set()
    door.role = "platform"
    authenticator = Authenticator(door, heard)
    before = await authenticator.caller(SECRET)
    door.factor_since = datetime.now(UTC)
    after = await authenticator.caller(SECRET)
    assert before is not None
    assert after is not None
    assert (before.principal.lacks_factor, after.principal.lacks_factor) == (True, False)
    assert await authenticator.caller(SECRET) is after


async def test_a_devices_changes_do_not_make_anybody_ask_again(door: Door, heard: Heard) -> None:
    authenticator = Authenticator(door, heard)
    asking = asyncio.create_task(authenticator.caller(SECRET))
    while not door.asked:
        await asyncio.sleep(0)
    heard.tell(f"device:{uuid4()}")
    door.may_answer.set()
    assert await asking is await authenticator.caller(SECRET)
    assert door.asked == 1
