"""A small OpenID provider for tests: real HTTP on 127.0.0.1, real keys, PKCE checked, and ready to lie where asked."""

import asyncio
import base64
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import uvicorn
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT_ID, CLIENT_SECRET = "tidegate-of-tests", "a secret of tests"


@dataclass
class Person:
    """Whom the provider knows."""

    subject: str
    email: str
    name: str = "A Person"
    is_verified: object = True


@dataclass
class OpenIdProvider:
    """One provider. ``claims`` overrides what its next tokens say; ``signer`` who signs them; with ``asks_first`` it
    shows a page of its own before it sends anybody back.
    """

    issuer: str = ""
    person: Person = field(default_factory=lambda: Person("subject-1", "somebody@customer.example"))
    claims: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    key: RSAKey | ECKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    signer: RSAKey | ECKey | None = None
    algorithm: str = "RS256"
    refuses: str = ""
    asks_first: bool = False
    asked: list[str] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def app(self) -> Starlette:
        """Its pages."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._configuration),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _configuration(self, _request: Request) -> Response:
        self.asked.append("configuration")
        said = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.algorithm, "none", "HS256"],
            "code_challenge_methods_supported": ["S256"],
        }
        return JSONResponse({**said, **self.metadata})

    async def _jwks(self, _request: Request) -> Response:
        self.asked.append("jwks")
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def _authorize(self, request: Request) -> Response:
        """The person is signed in already."""
        given = dict(request.query_params)
        if self.asks_first and not given.pop("yes", ""):
            on = f"{request.url}&yes=1".replace("&", "&amp;")
            icon = "<link rel=icon href='data:,'>"  # else a browser asks for one
            return HTMLResponse(f"<title>Works</title>{icon}<a href='{on}'>Go on as {self.person.name}</a>")
        back = given["redirect_uri"]
        if self.refuses:
            return RedirectResponse(f"{back}?{urlencode({'error': self.refuses, 'state': given['state']})}", 303)
        code = secrets.token_urlsafe(16)
        self._codes[code] = given
        return RedirectResponse(f"{back}?{urlencode({'code': code, 'state': given['state']})}", 303)

    async def _token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode()))
        begun = self._codes.pop(form.get("code", ""), None)
        wanted = "Basic " + base64.b64encode(f"{CLIENT_ID}:{CLIENT_SECRET}".encode()).decode()
        if request.headers.get("authorization") != wanted:
            return JSONResponse({"error": "invalid_client"}, 401)
        if (
            begun is None
            or begun["redirect_uri"] != form["redirect_uri"]
            or begun["code_challenge_method"] != "S256"
            or create_s256_code_challenge(form["code_verifier"]) != begun["code_challenge"]
        ):
            return JSONResponse({"error": "invalid_grant"}, 400)
        return JSONResponse({"access_token": "x", "token_type": "Bearer", "id_token": self.token(begun["nonce"])})

    def token(self, nonce: str) -> str:
        """An id_token about the person."""
        now = int(time.time())
        said = {
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "sub": self.person.subject,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "email": self.person.email,
            "email_verified": self.person.is_verified,
            "name": self.person.name,
        }
        said = {name: value for name, value in {**said, **self.claims}.items() if value is not None}
        return jwt.encode({"alg": self.algorithm, "kid": "first"}, said, self.signer or self.key, [self.algorithm])


@asynccontextmanager
async def openid_provider() -> AsyncIterator[OpenIdProvider]:
    """A provider on a free port."""
    provider = OpenIdProvider()
    server = uvicorn.Server(uvicorn.Config(provider.app(), port=0, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    provider.issuer = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield provider
    finally:
        server.should_exit = True
        await running


def query_of(url: str) -> dict[str, str]:
    """The parameters of an address, the last of each name."""
    return {name: values[-1] for name, values in parse_qs(urlsplit(url).query).items()}
