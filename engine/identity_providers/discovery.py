"""What an issuer says about itself (OpenID Connect Discovery 1.0) and its public keys, fetched through the way out."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from engine.identity_providers import errors
from engine.outbound.errors import AddressRefused, NoAnswer
from engine.outbound.fetch import Outbound

KEPT_S = 600.0
KEYS_AGAIN_S = 30.0
FAULT_KEPT_S = 10.0
"""So long nobody is asked again who did not answer: strangers may begin as many sign-ins as they like."""
ALGORITHMS = frozenset({"RS256", "ES256"})
_CLIENT_METHODS = ("client_secret_basic", "client_secret_post")
_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Metadata:
    """How one issuer is spoken to. ``algorithms``: those of ours that it says it signs with, never another."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    algorithms: frozenset[str]
    client_method: str
    names_itself: bool
    """Whether it promises ``iss`` in the answer that the browser brings (RFC 9207)."""


class Discovery:
    """Issuers and their keys, remembered for ten minutes."""

    def __init__(self, outbound: Outbound) -> None:
        self.outbound = outbound
        self._metadata: dict[str, tuple[Metadata, float]] = {}
        self._keys: dict[str, tuple[KeySet, float]] = {}
        self._faults: dict[str, tuple[str, float]] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def metadata(self, issuer: str) -> Metadata:
        """What ``issuer`` says about itself. Raises ProviderUnfit, AddressRefused."""
        self.outbound.check(issuer)
        if urlsplit(issuer).query:
            raise errors.ProviderUnfit("An issuer has no query.")
        async with self._turns.setdefault(issuer, asyncio.Lock()):  # who begins meanwhile hears what this one hears
            return await self._ask(issuer)

    async def _ask(self, issuer: str) -> Metadata:
        known, known_fault = self._metadata.get(issuer), self._faults.get(issuer)
        if known and known[1] > time.monotonic():
            return known[0]
        if known_fault and known_fault[1] > time.monotonic():
            raise errors.ProviderUnfit(known_fault[0])
        try:
            said = await self._json(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            found = self._read(issuer, said)
        except errors.ProviderUnfit as error:
            _keep(self._faults, issuer, (error.message, time.monotonic() + FAULT_KEPT_S))
            raise
        _keep(self._metadata, issuer, (found, time.monotonic() + KEPT_S))
        return found

    async def keys(self, metadata: Metadata, *, again: bool = False) -> KeySet:
        """The keys it signs with. ``again``: the signer was not among them; asked at most twice a minute."""
        known = self._keys.get(metadata.jwks_uri)
        if known:
            left_s = known[1] - time.monotonic()
            if left_s > (KEPT_S - KEYS_AGAIN_S if again else 0):
                return known[0]
        said = await self._json(metadata.jwks_uri)
        found = _key_set(said)
        _keep(self._keys, metadata.jwks_uri, (found, time.monotonic() + KEPT_S))
        return found

    async def _json(self, url: str) -> dict[str, Any]:
        try:
            answer = await self.outbound.fetch("GET", url, headers={"Accept": "application/json"})
        except NoAnswer as error:
            raise errors.ProviderUnfit(error.message) from error
        try:
            said = orjson.loads(answer.body) if answer.status == 200 else None
        except orjson.JSONDecodeError:
            said = None
        if not isinstance(said, dict):
            raise errors.ProviderUnfit(f"{url} did not answer with JSON (status {answer.status}).")
        return said

    def _read(self, issuer: str, said: Mapping[str, Any]) -> Metadata:
        if said.get("issuer") != issuer:  # §4.3: exactly, so that nobody speaks for another issuer
            raise errors.ProviderUnfit(f"The issuer calls itself {str(said.get('issuer'))[:200]!r}: register that.")
        addresses = {}
        for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
            address = said.get(name)
            if not isinstance(address, str):
                raise errors.ProviderUnfit(f"Its configuration lacks {name}.")
            try:
                self.outbound.check(address)
            except AddressRefused:
                raise errors.ProviderUnfit(f"Its {name} is no https address.") from None
            addresses[name] = address
        algorithms = ALGORITHMS & _texts(said.get("id_token_signing_alg_values_supported"))
        if not algorithms:
            raise errors.ProviderUnfit("It signs with neither RS256 nor ES256.")
        offered = _texts(said.get("token_endpoint_auth_methods_supported", ["client_secret_basic"]))
        method = next((method for method in _CLIENT_METHODS if method in offered), None)
        if method is None:
            raise errors.ProviderUnfit("It takes the client secret neither as client_secret_basic nor _post.")
        names_itself = said.get("authorization_response_iss_parameter_supported") is True
        return Metadata(issuer, **addresses, algorithms=algorithms, client_method=method, names_itself=names_itself)


def _texts(value: object) -> frozenset[str]:
    return frozenset(text for text in value if isinstance(text, str)) if isinstance(value, list) else frozenset()


def _key_set(said: Mapping[str, Any]) -> KeySet:
    """The public signing keys among a JWK Set's; a shared secret is never one."""
    given = said.get("keys")
    keys = [key for key in given if _is_signing(key)] if isinstance(given, list) else []
    try:
        return KeySet.import_key_set({"keys": keys})
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise errors.ProviderUnfit("Its key set holds no key that signs.") from error


def _is_signing(key: object) -> bool:
    return isinstance(key, dict) and key.get("kty") in ("RSA", "EC") and key.get("use", "sig") == "sig"


def _keep(kept: dict[str, Any], name: str, value: Any) -> None:
    if len(kept) >= _KEPT:  # bounded: the oldest are forgotten first
        kept.pop(next(iter(kept)))
    kept[name] = value
