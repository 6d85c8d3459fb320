"""What anybody may ask a site for: the public keys with which the platform's signatures are checked (RFC 7517)."""

import base64
import logging

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from engine.audit.errors import NoAuditKey
from engine.audit.seal import Sealer, key_id
from engine.settings import Settings

log = logging.getLogger(__name__)

_HEADERS = {"Cache-Control": "public, max-age=300"}


class WellKnown:
    """``GET /.well-known/jwks.json``. The one thing we sign is the end of each audit log (ADR 0016)."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def routes(self) -> list[Route]:
        """The routes."""
        return [Route("/.well-known/jwks.json", self.keys, methods=["GET"])]

    def keys(self, _request: Request) -> Response:
        """The key set; empty where this process cannot read the audit log's key. In a thread: it reads a file."""
        try:
            keys = [jwk(audit_key(self._settings))]
        except NoAuditKey as error:
            log.warning("jwks.no_key", extra={"reason": str(error)})
            keys = []
        return JSONResponse({"keys": keys}, headers=_HEADERS, media_type="application/jwk-set+json")


def audit_key(settings: Settings) -> Ed25519PublicKey:
    """The key that checkpoints of the audit log are checked with. Raises NoAuditKey.

    A web process may be given the public half alone: then ``audit_key`` names that file.
    """
    if settings.audit_key is not None:
        try:
            given = load_pem_public_key(settings.audit_key.read_bytes())
        except (OSError, ValueError):
            pass  # then it is the private one, or nothing; Sealer says so
        else:
            if isinstance(given, Ed25519PublicKey):
                return given
    return Sealer.of(settings).public


def jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """An Ed25519 key as a JSON Web Key (RFC 8037); its ``kid`` is the ``key_id`` of what it signed."""
    raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key_id(key), "use": "sig", "alg": "EdDSA"}
