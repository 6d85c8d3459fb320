"""Where new devices are let in: those that introduce themselves, and those that knocked by TLS.

``POST /ingest/v1/provision`` and ``…/claim`` take no session and no token of ours: what a device shows proves it, or it
stays outside. Failures are throttled by address. Devices come by ingest, over HTTP and MQTT, which passes on what they
say with who they are (ADR 33); whoever comes straight to this process is answered alike.
"""

import asyncio
import base64
import binascii
import hmac
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from uuid import UUID

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine import ids
from engine.certificates.errors import AuthorityEnded
from engine.certificates.vault import Vault
from engine.errors import Conflict, EngineError, Forbidden
from engine.provisioning import errors, gate, knocks
from engine.provisioning.model import ASK_AGAIN_S, Admitted, Claimed, Introduction, Visitor, Waiting
from engine.store.pool import Store
from resolvers.changes import Changes
from resolvers.errors import refused
from resolvers.http import BodyTooLarge, problem_response, read_body
from schema.errors import BadInput, Refusal, TooMany, Unauthenticated
from schema.scalars import format_instant, parse_labels, refuse_unstorable
from schema.wire import relay
from schema.wire.provisioning import SECRETS, TEXTS
from schema.wire.relay import MAX_BODY_BYTES

log = logging.getLogger(__name__)

FAILURES, FAILURES_IN_ALL, FAILURES_WINDOW_S = 20, 600, 60.0
_MOST_REMEMBERED = 2_000
_MOST_KNOCKS = 10_000
_AT_ONCE = 4
_NO_STORE = {"Cache-Control": "no-store"}


class Guesses:
    """Counts what failed; who fails too often within a minute waits.

    A device that repeats what was refused is slowed after ``FAILURES``, by address and by what it showed; an address
    after ``FAILURES_IN_ALL``, since a whole fleet may stand behind one.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}

    def check(self, address: str, shown: str = "") -> None:
        """Raises TooMany while this address has failed too often, or with what it shows."""
        for who, most in ((address, FAILURES_IN_ALL), (_named(address, shown), FAILURES)):
            failures = self._failures.get(who)
            while failures and failures[0] < self._clock() - FAILURES_WINDOW_S:
                failures.popleft()
            if failures and len(failures) >= most:
                raise TooMany("Too many refusals; wait a minute, and check what is sent.")

    def failed(self, address: str, shown: str) -> None:
        """Remember one failure; bounded: of too many the oldest is forgotten."""
        for who, most in ((address, FAILURES_IN_ALL), (_named(address, shown), FAILURES)):
            if who not in self._failures and len(self._failures) >= _MOST_REMEMBERED:
                self._failures.pop(next(iter(self._failures)))
            self._failures.setdefault(who, deque(maxlen=most)).append(self._clock())


def _named(address: str, shown: str) -> str:
    return f"{address}|{ids.fingerprint(shown).hex()[:16]}"


class Arrivals:
    """Lets devices in: by request, and whenever ingest tells that one with an unknown certificate has knocked."""

    def __init__(
        self, store: Store, vault: Vault, changes: Changes, audience: str, relay_secret: Callable[[], str]
    ) -> None:
        """``relay_secret`` gives what ingest shows when it passes a device on; it may raise KeyUnreadable."""
        self._store = store
        self._relay_secret = relay_secret
        self._vault = vault
        self._audience = f"{audience}/provision"
        self._guesses = Guesses()
        self._knocks: dict[tuple[UUID, bytes], None] = {}
        self._settling: set[asyncio.Task[None]] = set()
        changes.on_change(self._heard)

    def routes(self) -> list[Route]:
        """The routes."""
        return [
            Route(relay.PROVISION, self.provision, methods=["POST"]),
            Route(relay.CLAIM, self.claim, methods=["POST"]),
            Route(relay.GREET, self.greet, methods=["POST"]),
        ]

    async def close(self) -> None:
        """Stop letting in; who knocked will knock again."""
        for task in self._settling:
            task.cancel()
        await asyncio.gather(*self._settling, return_exceptions=True)

    async def provision(self, request: Request) -> Response:
        """201 with the credential, 202 with a ticket for who waits for approval, or a problem that says what to do."""

        async def come_in(said: Mapping[str, object], visitor: Visitor) -> Response:
            shown = [name for name in SECRETS[:3] if said[name]]
            secret, about = "".join(str(said[name]) for name in shown), _introduction(said)
            match shown:
                case ["ticket"]:
                    return _answer(await gate.ask_again(self._store, self._vault, secret, visitor.address))
                case ["key"]:
                    return _answer(await gate.introduce(self._store, self._vault, secret, about, visitor.address))
                case ["ownershipToken"]:
                    return _answer(await gate.own(self._store, self._vault, secret, about, visitor.address))
                case [] if visitor.key:
                    key, address = visitor.key, visitor.address
                    return _answer(await gate.introduce(self._store, self._vault, key, about, address))
                case [] if visitor.certificate:
                    return _answer(await gate.introduce_claimed(self._store, self._vault, visitor, about))
            raise errors.IntroductionMalformed

        return await self._answered(request, come_in)

    async def claim(self, request: Request) -> Response:
        """201 with an ownership token for the CSR, from whoever signs with the key of a claim certificate."""

        async def claim(said: Mapping[str, object], visitor: Visitor) -> Response:
            if not said["claim"] or not said["csr"]:
                raise errors.IntroductionMalformed("Send claim (a JWS) and csr (PEM).")
            jws, csr = str(said["claim"]), str(said["csr"])
            return _answer(await gate.claim(self._store, self._audience, jws, csr, visitor.address))

        return await self._answered(request, claim)

    async def greet(self, request: Request) -> Response:
        """200 with the tenant whose way in a connection has shown; for ingest, to everybody else there is nothing."""
        if relay.SECRET not in request.headers:
            return problem_response(Refusal(404, "NOT_FOUND", "There is nothing here.", {}))

        async def greet(_: Mapping[str, object], visitor: Visitor) -> Response:
            return JSONResponse({"tenant": await gate.greet(self._store, visitor)}, 200, _NO_STORE)

        return await self._answered(request, greet)

    async def _answered(
        self, request: Request, work: Callable[[Mapping[str, object], Visitor], Awaitable[Response]]
    ) -> Response:
        address, shown = "", ""
        try:
            visitor = self._visitor(request)
            address = visitor.address
            self._guesses.check(address)
            said = await _said(request)
            shown = "".join(str(said[name]) for name in SECRETS) or visitor.key or visitor.certificate.hex()
            self._guesses.check(address, shown)
            return await work(said, visitor)
        except BodyTooLarge:
            return problem_response(Refusal(413, "BODY_TOO_LARGE", "An introduction has at most 32 KiB.", {}))
        except EngineError as error:
            if isinstance(error, Forbidden | Conflict) and not isinstance(error, AuthorityEnded):  # nobody's guess
                self._guesses.failed(address, shown)
            refusal = refused(error)
            log.info("provisioning.refused", extra={"code": refusal.code, "address": address})
            later = {429: "60", 503: "5"}.get(refusal.status)
            return problem_response(refusal, _NO_STORE | ({"Retry-After": later} if later else {}))
        except Exception as error:
            return problem_response(refused(error))

    def _visitor(self, request: Request) -> Visitor:
        """Who it is: as ingest says, if ingest it is that asks, else whoever has connected. Raises Unauthenticated."""
        said = request.headers
        if relay.SECRET not in said:
            return Visitor(request.client.host if request.client else "")
        if not hmac.compare_digest(said[relay.SECRET].encode(), self._relay_secret().encode()):
            raise Unauthenticated("This is not the relay secret of the web process; give both the same.")
        try:
            certificate = base64.b64decode(said.get(relay.CERTIFICATE, ""), validate=True)
        except binascii.Error:
            raise BadInput("The certificate passed on is no base64.") from None
        return Visitor(said.get(relay.ADDRESS, ""), said.get(relay.KEY, ""), certificate)

    def _heard(self, what: str) -> None:
        kind, _, rest = what.partition(":")
        if kind != "enrol":
            return
        try:
            tenant, _, digest = rest.partition(":")
            knock = (UUID(tenant), bytes.fromhex(digest))
        except ValueError:
            return
        if len(self._knocks) < _MOST_KNOCKS:  # whoever is not heard will knock again
            self._knocks[knock] = None
            if len(self._settling) < _AT_ONCE:
                task = asyncio.get_running_loop().create_task(self._settle())
                self._settling.add(task)
                task.add_done_callback(self._settling.discard)

    async def _settle(self) -> None:
        while self._knocks:
            tenant_id, digest = knock = next(iter(self._knocks))
            del self._knocks[knock]
            try:
                status = await knocks.settle(self._store, tenant_id, digest)
                log.info("provisioning.settled", extra={"tenant": str(tenant_id), "status": status})
            except Exception:
                log.exception("provisioning.unsettled", extra={"tenant": str(tenant_id)})


async def _said(request: Request) -> dict[str, object]:
    """The texts and labels of the body; what is left out is empty."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise BadInput("Send a JSON object as application/json.")
    try:
        said = orjson.loads(await read_body(request, MAX_BODY_BYTES))
    except orjson.JSONDecodeError:
        raise BadInput("The body is not valid JSON.") from None
    if not isinstance(said, dict) or not set(said) <= {*TEXTS, "labels"}:
        raise BadInput(f"Send a JSON object with some of {', '.join(TEXTS)} and labels.")
    texts = {name: "" if said.get(name) is None else said[name] for name in TEXTS}
    if not isinstance(texts["publicKey"], str):  # a JWK may come as the object it is
        texts["publicKey"] = orjson.dumps(texts["publicKey"]).decode()
    for name, text in texts.items():
        if not isinstance(text, str):
            raise BadInput(f"{name} must be a text, in quotes.")
    try:
        refuse_unstorable(said)
        labels = parse_labels(said.get("labels") or {})
    except Exception as error:
        raise BadInput(str(error)) from None
    return {**texts, "labels": labels}


def _introduction(said: Mapping[str, object]) -> Introduction:
    labels = said["labels"]
    assert isinstance(labels, Mapping)
    return Introduction(str(said["device"]), str(said["name"]), labels, str(said["csr"]), str(said["publicKey"]))


def _answer(outcome: Admitted | Waiting | Claimed) -> Response:
    if isinstance(outcome, Claimed):
        told = {"ownershipToken": outcome.ownership_token, "expiresAt": format_instant(outcome.expires_at)}
        return JSONResponse(told, 201, _NO_STORE)
    if isinstance(outcome, Waiting):
        words = f"A person has to approve this device. Ask again with the ticket, after {ASK_AGAIN_S} seconds or more."
        told = {"status": "pending", "ticket": outcome.ticket, "detail": words}
        told["expiresAt"] = format_instant(outcome.expires_at)
        return JSONResponse(told, 202, _NO_STORE | {"Retry-After": str(ASK_AGAIN_S)})
    ends = outcome.credential.expires_at
    admitted = {
        "status": "admitted",
        "tenant": outcome.tenant,
        "device": outcome.device.key,
        "username": outcome.username,
        "topic": f"t/{outcome.username}/up/telemetry",
        "credential": outcome.credential.kind,
        "token": outcome.token,
        "certificate": outcome.certificate,
        "authority": outcome.authority,
        "expiresAt": format_instant(ends) if ends else None,
    }
    return JSONResponse({name: value for name, value in admitted.items() if value is not None}, 201, _NO_STORE)
