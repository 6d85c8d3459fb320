"""Public keys and what was signed with them: JWK and JWS in its compact form by joserfc, ES256 alone.

Only what a device's login and a claim need, and strictly: one algorithm, decided here and never by the message; no
``crit``; base64url in its one canonical form; the curve checked when the key was registered (ADR 0022).
"""

import base64
import binascii
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, TypeGuard

import orjson
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64decode

from engine.provisioning.errors import PublicKeyMalformed, PublicKeyPrivate

MAX_JWS_BYTES = 8_192
MAX_KEY_TEXT = 4_096
LIFETIME = timedelta(hours=24)
CLOCK_SKEW = timedelta(seconds=60)
"""How far ahead of ours a signer's clock may be. Behind needs no allowance: exp is the signer's own choice."""

_ES256 = ["ES256"]
_SIGNATURE_BYTES = 64
Fault = Literal["malformed", "unfit", "early", "expired"]


class _Registry(jws.JWSRegistry):
    """What joserfc accepts for us: a header may hold a certificate (``x5c``), for which its own bound is too small."""

    max_header_length = MAX_JWS_BYTES
    max_payload_length = MAX_JWS_BYTES


_REGISTRY = _Registry(algorithms=_ES256, strict_check_header=False)


class Unsound(Exception):
    """A token that does not hold; ``fault`` says in which way, and holds nothing secret."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault: Fault = fault


@dataclass(frozen=True, slots=True)
class Signed:
    """A JWS taken apart; nothing in it is believed before ``is_by`` has said so."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    compact: jws.CompactSignature

    def is_by(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Whether the holder of this key signed it with ES256 (RFC 7518, section 3.4)."""
        try:
            return jws.validate_compact(self.compact, ECKey.import_key(key), _ES256, _REGISTRY)
        except (JoseError, ValueError):
            return False


def parse(text: bytes) -> Signed:
    """A compact JWS with JSON claims. Raises Unsound ("malformed")."""
    if len(text) > MAX_JWS_BYTES:
        raise Unsound("malformed")
    try:
        compact = jws.extract_compact(text, registry=_REGISTRY)
        header, claims = compact.headers(), orjson.loads(compact.payload)
        signature = urlsafe_b64decode(compact.segments["signature"])
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise Unsound("malformed") from error
    if not isinstance(header, dict) or not isinstance(claims, dict) or len(signature) != _SIGNATURE_BYTES:
        raise Unsound("malformed")
    if header.get("alg") != "ES256" or "crit" in header:
        raise Unsound("malformed")
    return Signed(header, claims, compact)


def check_times(claims: Mapping[str, Any], now: float, lifetime: timedelta = LIFETIME) -> float:
    """When the claims end, in unix seconds.

    iat and exp must be there, not more than ``lifetime`` apart; nbf may be. Raises Unsound.
    """
    begins, ends = _instant(claims, "iat"), _instant(claims, "exp")
    if ends - begins > lifetime.total_seconds() or ends <= begins:
        raise Unsound("unfit")
    begins = max(begins, _instant(claims, "nbf") if "nbf" in claims else begins)
    if begins > now + CLOCK_SKEW.total_seconds():
        raise Unsound("early")
    if ends <= now:
        raise Unsound("expired")
    return ends


def is_for(claims: Mapping[str, Any], audience: str) -> bool:
    """Whether ``audience`` is the token's, or one of its."""
    named = claims.get("aud")
    return audience in named if isinstance(named, list) else named == audience


def signer(signed: Signed, keys: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Of pairs of a handle and a public key (DER), the handle of the key that signed it; None if none did."""
    for handle, der in keys:
        key = load_der_public_key(der)
        if is_for_es256(key) and signed.is_by(key):
            return handle
    return None


def certificate_of(signed: Signed) -> x509.Certificate:
    """The certificate a JWS names as its signer's (``x5c``, RFC 7515 section 4.1.6), unproven. Raises Unsound."""
    chain = signed.header.get("x5c")
    if not isinstance(chain, list) or not chain or not isinstance(chain[0], str):
        raise Unsound("malformed")
    try:
        return x509.load_der_x509_certificate(base64.b64decode(chain[0], validate=True))
    except (ValueError, binascii.Error) as error:
        raise Unsound("malformed") from error


def is_for_es256(key: object) -> TypeGuard[ec.EllipticCurvePublicKey]:
    """Whether ES256 can be checked with this public key: it is on P-256 (RFC 7518, section 3.4)."""
    return isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name == "secp256r1"


def read_public_key(text: str) -> bytes:
    """A public key on P-256, from PEM or a JWK's JSON, as DER (SubjectPublicKeyInfo).

    Raises PublicKeyMalformed, and PublicKeyPrivate for a key that should have stayed on the device.
    """
    if len(text) > MAX_KEY_TEXT:
        raise PublicKeyMalformed("A public key has at most 4 KiB.")
    clean = text.strip()
    key = _from_jwk(clean) if clean.startswith("{") else _from_pem(clean)
    if not is_for_es256(key):
        raise PublicKeyMalformed("ES256 takes a key on the curve P-256 (prime256v1); this is another kind.")
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _from_pem(text: str) -> object:
    if "PRIVATE KEY" in text:
        raise PublicKeyPrivate
    try:
        return load_pem_public_key(text.encode())
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise PublicKeyMalformed from error


def _from_jwk(text: str) -> object:
    try:
        jwk = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PublicKeyMalformed from error
    if "d" in jwk:
        raise PublicKeyPrivate
    if jwk.get("kty") != "EC" or jwk.get("crv") != "P-256" or jwk.get("use", "sig") != "sig":
        raise PublicKeyMalformed("A JWK here has kty EC, crv P-256, x and y, and no other use than sig.")
    try:
        return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")}).public_key
    except (JoseError, KeyError, AttributeError, TypeError, ValueError) as error:
        raise PublicKeyMalformed("x and y of a JWK are the coordinates of a point on P-256.") from error


def _instant(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519, section 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unsound("unfit")
    return float(value)
