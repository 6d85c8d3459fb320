"""Public keys and what was signed with them: JWK (RFC 7517), JWS in its compact form (RFC 7515), ES256 alone.

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
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)

from engine.provisioning.errors import PublicKeyMalformed, PublicKeyPrivate

MAX_JWS_BYTES = 8_192
MAX_KEY_TEXT = 4_096
LIFETIME = timedelta(hours=24)
CLOCK_SKEW = timedelta(seconds=60)
"""How far ahead of ours a signer's clock may be. Behind needs no allowance: exp is the signer's own choice."""

_COORDINATE_BYTES = 32
Fault = Literal["malformed", "unfit", "early", "expired"]


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
    body: bytes
    signature: bytes

    def is_by(self, key: ec.EllipticCurvePublicKey) -> bool:
        """Whether the holder of this key signed it with ES256 (RFC 7518, section 3.4)."""
        r, s = (int.from_bytes(self.signature[i : i + _COORDINATE_BYTES], "big") for i in (0, _COORDINATE_BYTES))
        try:
            key.verify(encode_dss_signature(r, s), self.body, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True


def parse(text: bytes) -> Signed:
    """A compact JWS with JSON claims. Raises Unsound ("malformed")."""
    parts = text.split(b".")
    if len(text) > MAX_JWS_BYTES or len(parts) != 3:
        raise Unsound("malformed")
    header, claims = _object(parts[0]), _object(parts[1])
    signature = _decoded(parts[2])
    if header.get("alg") != "ES256" or "crit" in header or len(signature) != 2 * _COORDINATE_BYTES:
        raise Unsound("malformed")
    return Signed(header, claims, parts[0] + b"." + parts[1], signature)


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
        x, y = (_decoded(jwk[name].encode()) for name in ("x", "y"))
        if (len(x), len(y)) != (_COORDINATE_BYTES, _COORDINATE_BYTES):
            raise PublicKeyMalformed("x and y of a JWK are 32 bytes each, in base64url.")
        numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x, "big"), int.from_bytes(y, "big"), ec.SECP256R1())
        return numbers.public_key()
    except (KeyError, AttributeError, ValueError, Unsound) as error:
        raise PublicKeyMalformed("x and y of a JWK are the coordinates of a point on P-256.") from error


def _object(part: bytes) -> Mapping[str, Any]:
    try:
        said = orjson.loads(_decoded(part))
    except orjson.JSONDecodeError as error:
        raise Unsound("malformed") from error
    if not isinstance(said, dict):
        raise Unsound("malformed")
    return said


def _decoded(part: bytes) -> bytes:
    """base64url without padding, in the one form that encoding gives (RFC 7515, section 2)."""
    try:
        decoded = base64.b64decode(part + b"=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise Unsound("malformed") from error
    if base64.urlsafe_b64encode(decoded).rstrip(b"=") != part:
        raise Unsound("malformed")
    return decoded


def _instant(claims: Mapping[str, Any], name: str) -> float:
    """A NumericDate (RFC 7519, section 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unsound("unfit")
    return float(value)
