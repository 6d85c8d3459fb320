"""Signing in by a tenant's identity provider: OpenID Connect's code flow with state, nonce and PKCE (RFC 7636, S256).

Between the two halves nothing is stored here: a sealed ticket travels in a cookie of the browser that began, and is
spent by the first answer that comes with it. Whoever is let in acts in the provider's own tenant and nowhere else.
"""

import base64
import binascii
import hmac
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import orjson
from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from sqlalchemy import delete, select, text
from sqlalchemy.dialects.postgresql import insert

from engine import ids
from engine.errors import EngineError
from engine.identity_providers import errors, id_token, newcomers, service
from engine.identity_providers.discovery import Discovery, Metadata
from engine.identity_providers.model import Provider, Vouched, vouched
from engine.identity_providers.tables import spent_logins
from engine.outbound.errors import AddressRefused, NoAnswer
from engine.store.audit import Deed
from engine.store.pool import Store
from engine.tenancy import Principal
from engine.tenants import doorway
from engine.tenants.model import LoggedIn
from engine.tenants.second_factor import Vault
from engine.tenants.tables import tenants

TICKET_S = 600
_PURPOSE = b"tidegate identity provider ticket 1"
_KEY = re.compile(r"[a-z0-9-]{1,20}")
_ERROR = re.compile(r"[a-z_]{1,40}")
_BY_KEY = text("SELECT set_config('app.tenant_key', :key, true)")


@dataclass(frozen=True, slots=True)
class Begun:
    """Where the browser goes, and the ticket that it brings back in a cookie."""

    address: str
    ticket: str


@dataclass(frozen=True, slots=True)
class Ticket:
    """One sign-in under way: whose, by which provider, and what the answer must fit."""

    tenant_id: UUID
    provider_id: UUID
    state: str
    nonce: str
    verifier: str
    next: str
    expires_s: int


async def offered(store: Store, tenant_key: str) -> list[Provider]:
    """The providers by which people of this tenant may sign in; none for a key that no tenant has."""
    tenant_id = await _tenant_id(store, tenant_key)
    if tenant_id is None:
        return []
    async with store.as_tenant(_principal(tenant_id, None, ""), read_only=True) as tx:
        return [provider for provider in await service.listed(tx) if provider.is_enabled]


async def begin(
    store: Store,
    vault: Vault,
    discovery: Discovery,
    *,
    tenant_key: str,
    provider_id: UUID,
    callback: str,
    next_: str,
) -> Begun:
    """Send somebody to a provider; ``callback`` is the address they come back to.

    Raises ProviderNotFound, ProviderSilent, VaultSealed.
    """
    tenant_id = await _tenant_id(store, tenant_key)
    if tenant_id is None:
        raise errors.ProviderNotFound
    provider = await _enabled(store, tenant_id, provider_id, "")
    metadata = await _metadata(discovery, provider)
    expires_s = int(time.time()) + TICKET_S
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    ticket = Ticket(tenant_id, provider.id, state, nonce, verifier, next_[:500], expires_s)
    address: str = prepare_grant_uri(
        metadata.authorization_endpoint,
        client_id=provider.client_id,
        response_type="code",
        redirect_uri=callback,
        scope="openid email profile",
        state=ticket.state,
        nonce=ticket.nonce,
        code_challenge=create_s256_code_challenge(ticket.verifier),
        code_challenge_method="S256",
    )
    return Begun(address, await _sealed(vault, ticket))


async def finish(
    store: Store,
    vault: Vault,
    discovery: Discovery,
    *,
    ticket: str,
    said: Mapping[str, str],
    callback: str,
    address: str = "",
    agent: str = "",
) -> tuple[LoggedIn, str]:
    """Open the session of whoever comes back with ``said`` (``state``, ``code``, …) and their ticket; and ``next``.

    Our own second factor is not asked for: how the person proves themselves is the provider's affair. Raises
    SignInOver, SignInRefused, ProviderNotFound, ProviderSilent, TokenUnproven, EmailUnverified, DomainNotAllowed,
    NotInvited, SubjectChanged, TenantSuspended; what was refused to a good ticket is in the tenant's audit log.
    """
    begun = await _opened(vault, ticket)
    if begun is None or not hmac.compare_digest(begun.state.encode(), said.get("state", "").encode()):
        raise errors.SignInOver
    await _spend(store, begun, address)
    provider = await _enabled(store, begun.tenant_id, begun.provider_id, address)
    who = _principal(begun.tenant_id, provider, address)
    person: Vouched | None = None
    try:
        person = await _proven(vault, discovery, begun, provider, said, callback)
        if not provider.takes(person.email):
            raise errors.DomainNotAllowed
        async with store.as_tenant(who) as tx:
            member, here = await newcomers.let_in(tx, provider, person)
        async with store.as_tenant(doorway.principal_of(member, here, address)) as tx:
            return await doorway.enter(tx, member, here, agent, provider_id=provider.id), begun.next
    except EngineError as error:
        async with store.as_tenant(who) as tx:
            target, after = ("identity_provider", str(provider.id)), {"email": person.email} if person else None
            tx.deeds.append(Deed("session.open", *target, None, after, "denied", error.code))
        raise


async def _proven(
    vault: Vault, discovery: Discovery, begun: Ticket, provider: Provider, said: Mapping[str, str], callback: str
) -> Vouched:
    """Who the provider says has signed in."""
    if "code" not in said:
        word = said.get("error", "")
        raise errors.SignInRefused(
            f"The identity provider did not let you in: {word}." if _ERROR.fullmatch(word) else None
        )
    metadata = await _metadata(discovery, provider)
    named = said.get("iss")
    if named != metadata.issuer and (named is not None or metadata.names_itself):  # RFC 9207: a mix-up of providers
        raise errors.SignInOver
    token = await _exchange(vault, discovery, begun, provider, metadata, said["code"], callback)
    wanted: dict[str, Any] = {"client_id": provider.client_id, "nonce": begun.nonce, "now_s": time.time()}
    try:
        try:
            claims = id_token.claims(token, await discovery.keys(metadata), metadata, **wanted)
        except id_token.SignerUnknown:  # it may have new keys
            claims = id_token.claims(token, await discovery.keys(metadata, again=True), metadata, **wanted)
    except (errors.ProviderUnfit, AddressRefused) as error:
        raise errors.ProviderSilent from error
    return vouched(claims)


async def _exchange(
    vault: Vault,
    discovery: Discovery,
    begun: Ticket,
    provider: Provider,
    metadata: Metadata,
    code: str,
    callback: str,
) -> str:
    """The id_token for a code. Raises ProviderSilent, SignInRefused, VaultSealed."""
    secret = await vault.open(provider.client_secret, service.purpose(begun.tenant_id, provider.id))
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": begun.verifier}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    auth = ClientAuth(provider.client_id, secret.decode(), metadata.client_method)
    url, headers, body = auth.prepare("POST", metadata.token_endpoint, headers, urlencode(form))
    try:
        answer = await discovery.outbound.fetch("POST", url, headers=headers, body=body.encode())
        told = orjson.loads(answer.body)
    except (NoAnswer, AddressRefused, orjson.JSONDecodeError) as error:
        raise errors.ProviderSilent from error
    if answer.status != 200 or not isinstance(told, dict):
        word = str(told.get("error", "")) if isinstance(told, dict) else ""
        raise errors.SignInRefused(
            f"The identity provider did not take our sign-in: {word}." if _ERROR.fullmatch(word) else None
        )
    if not isinstance(told.get("id_token"), str):
        raise errors.TokenUnproven
    return str(told["id_token"])


async def _metadata(discovery: Discovery, provider: Provider) -> Metadata:
    try:
        return await discovery.metadata(provider.issuer)
    except (errors.ProviderUnfit, AddressRefused) as error:
        raise errors.ProviderSilent from error


async def _tenant_id(store: Store, tenant_key: str) -> UUID | None:
    if not _KEY.fullmatch(tenant_key):
        return None
    async with store.as_tenant(_principal(UUID(int=0), None, ""), read_only=True) as tx:
        await tx.execute(_BY_KEY, {"key": tenant_key})
        found: UUID | None = await tx.scalar(select(tenants.c.id).where(tenants.c.key == tenant_key))
        return found


async def _enabled(store: Store, tenant_id: UUID, provider_id: UUID, address: str) -> Provider:
    async with store.as_tenant(_principal(tenant_id, None, address), read_only=True) as tx:
        provider = await service.get(tx, provider_id)
    if not provider.is_enabled:
        raise errors.ProviderNotFound
    return provider


async def _spend(store: Store, begun: Ticket, address: str) -> None:
    """Take the ticket for good, whatever comes of it. Raises SignInOver when it was taken before."""
    async with store.as_tenant(_principal(begun.tenant_id, None, address)) as tx:
        mine = spent_logins.c.tenant_id == begun.tenant_id
        await tx.execute(delete(spent_logins).where(mine, spent_logins.c.expires_at < tx.now))
        entered = insert(spent_logins).values(
            tenant_id=begun.tenant_id,
            secret_sha256=ids.fingerprint(begun.state),
            expires_at=tx.now + timedelta(seconds=2 * TICKET_S),
        )
        if await tx.scalar(entered.on_conflict_do_nothing().returning(spent_logins.c.secret_sha256)) is None:
            raise errors.SignInOver


async def _sealed(vault: Vault, ticket: Ticket) -> str:
    said = orjson.dumps({name: getattr(ticket, name) for name in Ticket.__slots__})
    return base64.urlsafe_b64encode(await vault.seal(said, _PURPOSE)).decode()


async def _opened(vault: Vault, ticket: str) -> Ticket | None:
    try:
        said = orjson.loads(await vault.open(base64.urlsafe_b64decode(ticket), _PURPOSE))
    except (EngineError, binascii.Error, ValueError):
        return None
    said |= {name: UUID(said[name]) for name in ("tenant_id", "provider_id")}
    begun = Ticket(**said)
    return begun if begun.expires_s > time.time() else None


def _principal(tenant_id: UUID, provider: Provider | None, address: str) -> Principal:
    """Who acts: the provider, which has no rights but what this package does."""
    if provider is None:
        return Principal(tenant_id, "provider", UUID(int=0), frozenset(), "", address)
    return Principal(tenant_id, "provider", provider.id, frozenset(), provider.name, address)
