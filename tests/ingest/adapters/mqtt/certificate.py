"""A throw-away key and self-signed certificate for 127.0.0.1, made anew for each run: no key is kept in the repository.

ECDSA on P-256 (SEC 1, section 4.1) and the X.509 fields of RFC 5280, in the few lines a test needs.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from pathlib import Path

P = 2**256 - 2**224 + 2**192 + 2**96 - 1
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
G = (
    0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296,
    0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5,
)
Point = tuple[int, int] | None


def _add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return a or b
    if a[0] == b[0] and (a[1] + b[1]) % P == 0:
        return None
    rise, run = (3 * a[0] * a[0] - 3, 2 * a[1]) if a == b else (b[1] - a[1], b[0] - a[0])
    slope = rise * pow(run, -1, P)
    x = (slope * slope - a[0] - b[0]) % P
    return x, (slope * (a[0] - x) - a[1]) % P


def _times(k: int, point: Point) -> tuple[int, int]:
    found: Point = None
    while k:
        if k & 1:
            found = _add(found, point)
        point, k = _add(point, point), k >> 1
    assert found is not None
    return found


def _der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    length = bytes((size,)) if size < 128 else bytes((0x80 | 2,)) + size.to_bytes(2, "big")
    return bytes((tag,)) + length + body


def _integer(value: int) -> bytes:
    return _der(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _pem(label: str, der: bytes) -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"


ECDSA_SHA256 = _der(0x30, bytes.fromhex("06082a8648ce3d040302"))
CURVE = bytes.fromhex("06082a8648ce3d030107")
EC_KEY = _der(0x30, bytes.fromhex("06072a8648ce3d0201"), CURVE)


def make(folder: Path) -> Path:
    """Write `localhost.pem` (certificate, then key) into the folder and return its path."""
    secret = secrets.randbelow(N - 1) + 1
    x, y = _times(secret, G)
    public = _der(0x03, b"\x00\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))
    name = _der(0x30, _der(0x31, _der(0x30, bytes.fromhex("0603550403"), _der(0x0C, b"localhost"))))
    validity = _der(0x30, _der(0x18, b"20200101000000Z"), _der(0x18, b"21200101000000Z"))
    # subjectAltName: IP 127.0.0.1
    alternative = _der(0x30, bytes.fromhex("0603551d11"), _der(0x04, _der(0x30, _der(0x87, b"\x7f\0\0\1"))))
    extensions = _der(0xA3, _der(0x30, alternative))
    body = _der(
        0x30,
        _der(0xA0, _integer(2)),
        _integer(secrets.randbits(63) + 1),
        ECDSA_SHA256,
        name,
        validity,
        name,
        _der(0x30, EC_KEY, public),
        extensions,
    )
    certificate = _der(0x30, body, ECDSA_SHA256, _der(0x03, b"\0" + _signature(secret, body)))
    key = _der(0x30, _integer(1), _der(0x04, secret.to_bytes(32, "big")), _der(0xA0, CURVE), _der(0xA1, public))
    path = folder / "localhost.pem"
    path.write_text(_pem("CERTIFICATE", certificate) + _pem("EC PRIVATE KEY", key))
    return path


def _signature(secret: int, message: bytes) -> bytes:
    digest = int.from_bytes(hashlib.sha256(message).digest(), "big")
    nonce = secrets.randbelow(N - 1) + 1
    r = _times(nonce, G)[0] % N
    return _der(0x30, _integer(r), _integer(pow(nonce, -1, N) * (digest + r * secret) % N))
