"""What each tenant asks of this web process: its API cost against its budget, its live streams against its quota.

Counted in memory, told to the other processes once a second and added to the tenant's usage every few seconds (ADR 25).
Whatever dies here loses some seconds of counting and no more.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from uuid import UUID

from engine.errors import EngineError
from engine.quotas import service as quotas
from engine.quotas import shares, usage
from engine.quotas.bucket import Bucket
from engine.quotas.errors import QuotaExceeded
from engine.quotas.model import QuotaName, Quotas
from engine.quotas.shares import Shares
from engine.quotas.usage import Asked
from engine.store.pool import Store
from engine.tenancy import system
from resolvers.changes import Changes

log = logging.getLogger(__name__)

NOTE_EVERY_S = 10.0
RECHECK_S = 60.0
"""How old a quota may be that nobody told a change of."""
_SMOOTH = 0.1
"""What the last second weighs in what a tenant spends a second: people ask in bursts."""


class Account:
    """One tenant in this process."""

    def __init__(self, limits: Quotas, at: float) -> None:
        self.limits = limits
        self.read_at = at
        self.bucket = Bucket(limits.api_cost_per_min / 60, limits.api_cost_per_min, at)
        self.streams = 0
        self.asked = Asked()
        self.spent = 0
        self.per_second = 0.0
        self._minute = 0
        self._in_minute = 0
        self._in_minute_before = 0

    def spend(self, cost: int, at: float) -> None:
        """An operation of this cost is let through."""
        self._turn(at)
        self._in_minute += cost
        self.asked.cost += cost
        self.spent += cost

    def last_minute(self, at: float) -> float:
        """What was spent in the last sixty seconds: this minute, and of the one before what lies in them."""
        self._turn(at)
        return self._in_minute + self._in_minute_before * (1 - at % 60 / 60)

    def _turn(self, at: float) -> None:
        minute = int(at // 60)
        if minute != self._minute:
            self._in_minute_before = self._in_minute if minute == self._minute + 1 else 0
            self._minute, self._in_minute = minute, 0

    def become(self, limits: Quotas, share: float, at: float) -> None:
        """Go on under other limits, of which this process has a share."""
        self.limits = limits
        budget = limits.api_cost_per_min * share
        self.bucket.become(budget / 60, budget, at)


class Budgets:
    """By tenant; ``run`` keeps them true."""

    def __init__(self, store: Store, changes: Changes, base: Quotas, others: Shares | None = None) -> None:
        self._store = store
        self._base = base
        self._shares = others
        self._accounts: dict[UUID, Account] = {}
        self._noting = asyncio.Lock()
        changes.on_change(self._changed)

    async def charge(self, tenant_id: UUID, cost: int) -> None:
        """Take an operation's cost from the tenant's budget of a minute; raises QuotaExceeded."""
        account = await self._account(tenant_id)
        now = time.monotonic()
        wait_s = account.bucket.take(cost, now)
        if wait_s:
            account.asked.refused += 1
            raise QuotaExceeded(QuotaName.API_COST_PER_MIN, account.limits.api_cost_per_min, wait_s)
        account.spend(cost, now)

    async def open_stream(self, tenant_id: UUID) -> Callable[[], None]:
        """Count one more live stream until the returned function is called; raises QuotaExceeded."""
        account = await self._account(tenant_id)
        limit = account.limits.subscriptions
        if account.streams + self._elsewhere(tenant_id, "streams") >= limit:
            account.asked.refused += 1
            raise QuotaExceeded(QuotaName.SUBSCRIPTIONS, limit, shares.EVERY_S)
        account.streams += 1
        open_now = account.streams + int(self._elsewhere(tenant_id, "streams"))
        account.asked.streams_peak = max(account.asked.streams_peak, open_now)

        def close() -> None:
            account.streams -= 1

        return close

    def now(self, tenant_id: UUID) -> tuple[int, float]:
        """Live streams open now, and what was spent of the budget of the last minute, by every process that told."""
        account = self._accounts.get(tenant_id)
        here = (account.streams, account.last_minute(time.monotonic())) if account else (0, 0.0)
        streams, cost = self._elsewhere(tenant_id, "streams"), self._elsewhere(tenant_id, "cost")
        return here[0] + int(streams), round(here[1] + 60 * cost, 1)

    @property
    def base(self) -> Quotas:
        """The platform's defaults."""
        return self._base

    async def run(self) -> None:
        """Until cancelled: split with the others once a second, note what was used every few."""
        noted_at = time.monotonic()
        while True:
            await asyncio.sleep(shares.until_next())
            await self._split()
            if time.monotonic() - noted_at >= NOTE_EVERY_S:
                noted_at = time.monotonic()
                await self.note()

    async def note(self) -> None:
        """Add what was counted to the tenants' usage; what cannot be written now is written next time.

        When it returns, all that was counted before is written, whoever took it up.
        """
        async with self._noting:
            await self._note_all()

    async def _note_all(self) -> None:
        for tenant_id, account in list(self._accounts.items()):
            counted, account.asked = account.asked, Asked(streams_peak=account.streams)
            if counted == Asked():
                continue
            try:
                async with self._store.as_tenant(system(tenant_id)) as tx:
                    await usage.asked(tx, counted)
            except EngineError as error:
                log.warning("usage.unavailable", extra={"reason": error.code})
                account.asked.add(counted)
                return

    async def close(self) -> None:
        """Note what is left."""
        with contextlib.suppress(EngineError):
            await self.note()
        if self._shares is not None:
            await self._shares.close()

    async def _account(self, tenant_id: UUID) -> Account:
        now = time.monotonic()
        account = self._accounts.get(tenant_id)
        if account is not None and now - account.read_at < RECHECK_S:
            return account
        async with self._store.as_tenant(system(tenant_id), read_only=True) as tx:
            limits = await quotas.of(tx, self._base)
        account = self._accounts.setdefault(tenant_id, Account(limits, now))
        account.read_at = now
        if limits != account.limits:
            account.become(limits, self._share(tenant_id, account), now)
        return account

    async def _split(self) -> None:
        for account in self._accounts.values():
            account.per_second += _SMOOTH * (account.spent - account.per_second)
            account.spent = 0
        if self._shares is None:
            return
        told = {(tenant_id, "cost"): account.per_second for tenant_id, account in self._accounts.items()}
        told |= {(tenant_id, "streams"): float(account.streams) for tenant_id, account in self._accounts.items()}
        self._shares.tell({key: amount for key, amount in told.items() if amount >= 1})
        await self._shares.exchange()
        now = time.monotonic()
        for tenant_id, account in self._accounts.items():
            account.become(account.limits, self._share(tenant_id, account), now)

    def _share(self, tenant_id: UUID, account: Account) -> float:
        limit = account.limits.api_cost_per_min / 60
        return shares.share(account.per_second, self._elsewhere(tenant_id, "cost"), limit)

    def _elsewhere(self, tenant_id: UUID, what: str) -> float:
        return self._shares.others((tenant_id, what)) if self._shares is not None else 0.0

    def _changed(self, what: str) -> None:
        kind, _, tenant = what.partition(":")
        for tenant_id, account in self._accounts.items():
            if not what or (kind == "quota" and tenant == str(tenant_id)):
                account.read_at = float("-inf")
