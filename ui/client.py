"""Speaks GraphQL to the gateway as the user who is signed in."""

import logging
import os
import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

import httpx

log = logging.getLogger(__name__)

COOKIE = "tidegate_session"
TIMEOUT_S = 15.0
KEPT_S = 5.0
"""So long a connection to the gateway is used again; the gateway keeps it far longer (`infra/patience.py`)."""

# One file, one operation: its name is the file's, the tests check each against the committed contract.
OPERATIONS: dict[str, str] = {
    path.stem: path.read_text() for path in sorted((Path(__file__).parent / "operations").glob("*.graphql"))
}
# What an operation leaves out for whoever may not read it: `$readsDevices: Boolean!` asks for devices:read.
READS: dict[str, dict[str, str]] = {
    name: {f"reads{noun}": f"{noun.lower()}:read" for noun in re.findall(r"\$reads([A-Z][a-z]+): Boolean!", document)}
    for name, document in OPERATIONS.items()
}


class Refused(Exception):
    """The platform said no; `words` may be shown to people as they are."""

    def __init__(self, words: str, code: str = "", details: Any = None) -> None:
        super().__init__(words)
        self.words = words
        self.code = code
        self.details = details


class SignedOut(Refused):
    """Nobody is signed in, or not any more."""

    def __init__(self) -> None:
        super().__init__("You are signed out. Please sign in again.", "UNAUTHENTICATED")


_SIGNED_OUT_CODES = frozenset({"UNAUTHENTICATED", "UNAUTHORIZED", "BAD_CREDENTIALS", "SESSION_EXPIRED"})
_SILENT = "The platform does not answer right now. Please try again in a moment."
_http: httpx.AsyncClient | None = None


def _gateway() -> str:
    """Where this machine's gateway answers: never the public name, so a handler needs no way out and back in."""
    return f"http://127.0.0.1:{os.environ.get('TIDEGATE_HTTP_PORT', '8000')}"


def endpoint() -> str:
    """Where this machine's gateway answers questions of the contract."""
    return f"{_gateway()}/graphql"


def session_secret(cookie_header: str) -> str:
    """The session's secret from a Cookie header, or ''."""
    try:
        morsel = SimpleCookie(cookie_header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel else ""


async def ask(secret: str, operation: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Run one stored operation and return its data.

    Raises SignedOut when the session does not count, Refused with plain words for everything else.
    """
    if not secret:
        raise SignedOut
    document = OPERATIONS[operation]
    body = {"query": document, "operationName": _name(document), "variables": dict(variables or {})}
    try:
        response = await _client().post(endpoint(), json=body, headers={"Authorization": f"Bearer {secret}"})
    except httpx.HTTPError as problem:
        log.warning("console.gateway_silent", extra={"operation": operation, "problem": type(problem).__name__})
        raise Refused(_SILENT, "UNAVAILABLE") from problem
    return _data(response)


async def ways_in_of(tenant: str) -> list[dict[str, str]]:
    """The identity providers of an organisation, each with its `name` and `path`; none for a name nobody has.

    This is asked before anybody is signed in. Raises Refused when the platform is silent.
    """
    asked = f"{_gateway()}/auth/oidc/start"
    try:
        response = await _client().get(asked, params={"tenant": tenant}, headers={"Accept": "application/json"})
        found = response.json()["providers"] if response.status_code == 200 else []
    except (httpx.HTTPError, ValueError, KeyError) as problem:
        log.warning("console.gateway_silent", extra={"operation": "providers", "problem": type(problem).__name__})
        raise Refused(_SILENT, "UNAVAILABLE") from problem
    return [each for each in found if str(each["path"]).startswith("/auth/oidc/start/")]


def _data(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == 401:
        raise SignedOut
    try:
        answer = response.json()
    except ValueError as problem:
        raise Refused(_SILENT, "UNAVAILABLE") from problem
    if errors := answer.get("errors"):
        extensions = errors[0].get("extensions") or {}
        code = str(extensions.get("code", ""))
        if code in _SIGNED_OUT_CODES:
            raise SignedOut
        raise Refused(str(errors[0].get("message") or _SILENT), code, extensions.get("details"))
    if not isinstance(data := answer.get("data"), dict):
        raise Refused(_SILENT, "UNAVAILABLE")
    return data


def _name(document: str) -> str:
    match = re.search(r"\b(?:query|mutation|subscription)\s+(\w+)", document)
    if match is None:
        raise ValueError("an operation file needs a named operation")
    return match[1]


def _client() -> httpx.AsyncClient:
    global _http
    if _http is None or _http.is_closed:
        # trust_env off: a proxy of the environment has no business between two parts of one process.
        kept = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEPT_S)
        _http = httpx.AsyncClient(timeout=TIMEOUT_S, limits=kept, trust_env=False)
    return _http
