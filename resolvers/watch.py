"""Knows whether the caller of something long still is who they were when it began."""

import asyncio
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from engine.errors import Unavailable
from engine.tenancy import Principal
from engine.tenants.errors import TenantSuspended
from resolvers.auth import RECHECK_S, Authenticator, Caller
from resolvers.changes import Changes

SHARED_S = 5.0
"""How long ago somebody else's look may have begun that serves where nothing was told."""


Ended = Callable[[], None]


@dataclass(frozen=True, slots=True)
class _Open:
    """What one session or token has open, and the one watch over it."""

    watching: "asyncio.Task[None]"
    told: set[Ended] = field(default_factory=set)


class Watches:
    """Every session and token in use: whatever one of them has open is told by one watch.

    A watch of its own for each of two thousand sockets, of one token, took as long as a third of their messages.
    """

    def __init__(self, authenticator: Authenticator, changes: Changes) -> None:
        self._authenticator = authenticator
        self._changes = changes
        self._open: dict[tuple[str, Principal], _Open] = {}

    def watch(self, secret: str, caller: Caller, ended: Ended) -> Callable[[], None]:
        """Call ``ended`` once it has ended or its rights have changed, unless the function given back was called."""
        key = secret, caller.principal
        open_ = self._open.get(key)
        if open_ is None:
            watch = Watch(self._authenticator, self._changes, secret, caller)
            open_ = self._open[key] = _Open(asyncio.create_task(watch.ended()))
            open_.watching.add_done_callback(lambda _: self._tell(key, open_))
        open_.told.add(ended)
        return lambda: self._leave(key, open_, ended)

    def _leave(self, key: tuple[str, Principal], open_: _Open, ended: Ended) -> None:
        open_.told.discard(ended)
        if not open_.told:
            open_.watching.cancel()
            self._forget(key, open_)

    def _tell(self, key: tuple[str, Principal], open_: _Open) -> None:
        self._forget(key, open_)
        for ended in list(open_.told):
            ended()

    def _forget(self, key: tuple[str, Principal], open_: _Open) -> None:
        if self._open.get(key) is open_:
            del self._open[key]


class Watch:
    """One session or token, watched for as long as something uses it."""

    def __init__(self, authenticator: Authenticator, changes: Changes, secret: str, caller: Caller) -> None:
        self._authenticator = authenticator
        self._changes = changes
        self._secret = secret
        self._caller = caller
        self._changed = asyncio.Event()
        self._told_at = float("-inf")

    async def ended(self) -> None:
        """Return when the session or token has ended or its rights changed.

        At once when told, else within RECHECK_S and SHARED_S.
        """
        forget = self._changes.on_change(self._hear)
        fresh = False  # the first look only closes the gap between signing in and listening
        try:
            while await self._is_the_same(fresh=fresh):
                fresh = True
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), RECHECK_S)
                self._changed.clear()
        finally:
            forget()

    async def _is_the_same(self, *, fresh: bool) -> bool:
        try:
            since = max(self._told_at, time.monotonic() - SHARED_S)
            ask = self._authenticator
            now = await (ask.look_again(self._secret, since) if fresh else ask.caller(self._secret))
        except Unavailable:
            return True  # the database is away: nobody can have revoked anything meanwhile
        except TenantSuspended:
            return False
        return now is not None and now.principal == self._caller.principal

    def _hear(self, what: str) -> None:
        if self._caller.is_meant(what):
            self._told_at = time.monotonic()
            self._changed.set()
