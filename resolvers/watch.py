"""Knows whether the caller of something long still is who they were when it began."""

import asyncio
import contextlib
import time

from engine.errors import Unavailable
from engine.tenants.errors import TenantSuspended
from resolvers.auth import RECHECK_S, Authenticator, Caller
from resolvers.changes import Changes

SHARED_S = 5.0
"""How long ago somebody else's look may have begun that serves where nothing was told."""


class Watch:
    """One session or token, watched for as long as a socket or stream uses it."""

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
