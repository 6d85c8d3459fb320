"""Who is calling: bearer tokens and session cookies, where each counts, and from where."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from engine import ids
from engine.settings import Settings
from engine.store.pool import Store
from engine.tenancy import Principal
from engine.tenants import doorway
from engine.tenants import service as tenants
from resolvers.changes import Changes

COOKIE = "tidegate_session"
RECHECK_S = 30.0
_CACHED = 10_000
_ADDRESSES = 100
"""From how many one caller is known at once."""
_ENDINGS = frozenset({"", "session", "token", "tenant"})


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal, and the name under which the end of its session or token is announced."""

    principal: Principal
    handle: str
    _elsewhere: dict[str, "Caller"] = field(default_factory=dict, init=False, repr=False, compare=False)

    def is_meant(self, what: str) -> bool:
        """Whether this change is the caller's: their session or token, their whole tenant, or (empty) anything."""
        return what in ("", self.handle, f"tenant:{self.principal.tenant_id}")

    def at(self, connection: HTTPConnection) -> "Caller":
        """The same caller with the network address it asks from, for the audit log."""
        address = connection.client.host if connection.client else ""
        caller = self._elsewhere.get(address)
        if caller is None:
            caller = Caller(replace(self.principal, address=address), self.handle)
            if len(self._elsewhere) < _ADDRESSES:
                self._elsewhere[address] = caller
        return caller


class Authenticator:
    """Finds the caller behind a secret. What was found is kept for RECHECK_S at most, and dropped when it changes."""

    def __init__(self, store: Store, changes: Changes) -> None:
        self._store = store
        self._changes = changes
        self._known: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()
        self._looks: OrderedDict[bytes, tuple[float, asyncio.Task[Caller | None]]] = OrderedDict()
        self._ended = 0
        changes.on_change(self._drop)

    async def caller(self, secret: str, *, fresh: bool = False) -> Caller | None:
        """Who holds ``secret``, or None. ``fresh`` asks the database whatever is remembered.

        Raises TenantSuspended for a secret that is good, but whose tenant is shut.
        """
        if not 16 <= len(secret) <= 200 or not secret.isascii():
            return None
        key = ids.fingerprint(secret)
        known = self._known.get(key)
        if known and not fresh and known[1] > time.monotonic():
            return known[0]
        self._known.pop(key, None)
        ended = self._ended
        found = await self._look_up(secret)
        # What ended while we were asking may be this: it counts for this once, and is asked for again. So is who lacks
        # a second factor: once they have it, their very next request must not be refused.
        if found and not found.principal.lacks_factor and self._changes.is_listening and self._ended == ended:
            self._known[key] = (found, time.monotonic() + RECHECK_S)
            if len(self._known) > _CACHED:
                self._known.popitem(last=False)
        return found

    async def look_again(self, secret: str, since: float) -> Caller | None:
        """Who holds ``secret`` by a look at the database that began at ``since`` (monotonic) or later; raises likewise.

        A thousand sockets of one token share a look: each for itself, they held up everybody else for seconds.
        """
        key = ids.fingerprint(secret)
        began, looking = self._looks.pop(key, (since, None))
        if looking is None or began < since:
            began, looking = time.monotonic(), asyncio.create_task(self.caller(secret, fresh=True))
        self._looks[key] = began, looking
        if len(self._looks) > _CACHED:
            self._looks.popitem(last=False)
        return await asyncio.shield(looking)

    async def _look_up(self, secret: str) -> Caller | None:
        if secret.startswith("tgs_"):
            principal = await doorway.session(self._store, secret)
            return Caller(principal, f"session:{principal.session_id}") if principal else None
        principal = await doorway.token(self._store, secret)
        if principal is None:
            return None
        async with self._store.as_tenant(principal) as tx:
            await tenants.note_use(tx)
        return Caller(principal, f"token:{principal.id}")

    def _drop(self, what: str) -> None:
        self._ended += what.partition(":")[0] in _ENDINGS
        if not what:
            self._known.clear()
            return
        for key in [key for key, (caller, _) in self._known.items() if caller.is_meant(what)]:
            del self._known[key]


class Origins:
    """Which Host names are ours, and which pages may use a visitor's cookie."""

    def __init__(self, settings: Settings) -> None:
        here = urlsplit(settings.origin)
        self.is_secure = here.scheme == "https"
        loopback = () if settings.public_url else ("localhost", "127.0.0.1", "[::1]")
        self._origins = {settings.origin.lower(), *(f"http://{name}:{settings.http_port}" for name in loopback)}
        names = {here.hostname or "", "localhost", "127.0.0.1", "::1", *settings.allowed_hosts}
        self._hosts = {name.lower().strip("[]") for name in names}

    def knows_host(self, host: str) -> bool:
        """Whether a Host header names us; the port does not matter (a foreign page cannot choose the name)."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        return name.lower().strip("[]") in self._hosts

    def is_same(self, headers: Headers) -> bool:
        """Whether a browser says that the request comes from one of our own pages."""
        site = headers.get("sec-fetch-site")
        if site is not None:
            return site == "same-origin"
        return headers.get("origin", "").lower() in self._origins

    def is_foreign(self, headers: Headers) -> bool:
        """Whether a browser says that the request comes from elsewhere; programs say nothing."""
        if headers.get("sec-fetch-site") is None and headers.get("origin") is None:
            return False
        return not self.is_same(headers)


def bearer(headers: Headers) -> str | None:
    """The secret in ``Authorization: Bearer …``, or None."""
    scheme, _, secret = headers.get("authorization", "").partition(" ")
    return secret.strip() or None if scheme.lower() == "bearer" else None


def cookie(connection: HTTPConnection, origins: Origins) -> str | None:
    """The session's secret, only where the browser says that our own page asks."""
    secret = connection.cookies.get(COOKIE)
    return secret if secret and origins.is_same(connection.headers) else None


def set_cookie(secret: str, *, is_secure: bool, max_age_s: int) -> str:
    """The Set-Cookie header of a session; an empty secret with max age 0 removes it."""
    parts: Iterable[str] = (
        f"{COOKIE}={secret}", f"Max-Age={max_age_s}", "Path=/", "HttpOnly", "SameSite=Lax", *(["Secure"] * is_secure)
    )  # fmt: skip
    return "; ".join(parts)
