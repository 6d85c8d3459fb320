"""JWTs as a device would make them, and as nobody should."""

import base64
import time
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

HOUR = 3_600


def b64(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def jws(key: ec.EllipticCurvePrivateKey, claims: object, header: Any = None) -> str:
    """``claims`` signed with ES256."""
    head = {"alg": "ES256", "typ": "JWT"} if header is None else header
    body = f"{b64(orjson.dumps(head))}.{b64(orjson.dumps(claims))}"
    r, s = decode_dss_signature(key.sign(body.encode(), ec.ECDSA(SHA256())))
    return f"{body}.{b64(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def jwt(key: ec.EllipticCurvePrivateKey, username: str, *, lasts_s: float = HOUR, **more: Any) -> str:
    """A device's token; ``more`` claims replace the usual ones, None leaves one out."""
    now = time.time()
    claims = {"sub": username, "aud": "tidegate", "iat": now, "exp": now + lasts_s, **more}
    return jws(key, {name: value for name, value in claims.items() if value is not None})


def public(key: ec.EllipticCurvePrivateKey) -> str:
    """The public half, as PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def jwk(key: ec.EllipticCurvePrivateKey) -> dict[str, str]:
    """The public half, as a JWK."""
    numbers = key.public_key().public_numbers()
    return {
        "kty": "EC",
        "crv": "P-256",
        "x": b64(numbers.x.to_bytes(32, "big")),
        "y": b64(numbers.y.to_bytes(32, "big")),
    }
