"""What was signed holds; what was not, or says what it may not, does not."""

import contextlib
import time
from datetime import timedelta
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from engine.provisioning import jose
from engine.provisioning.errors import PublicKeyMalformed, PublicKeyPrivate
from tests.support import csr, tokens

KEY, OTHER = csr.key(), csr.key()
HANDLES = [(b"other", jose.read_public_key(tokens.public(OTHER))), (b"mine", jose.read_public_key(tokens.public(KEY)))]


def test_a_token_is_known_by_the_key_that_signed_it() -> None:
    signed = jose.parse(tokens.jwt(KEY, "t/d/pump").encode())
    assert jose.signer(signed, HANDLES) == b"mine"
    assert jose.signer(signed, HANDLES[:1]) is None
    assert signed.claims["sub"] == "t/d/pump"


def test_a_jwk_and_pem_of_one_key_are_the_same_key() -> None:
    assert jose.read_public_key(orjson.dumps(tokens.jwk(KEY)).decode()) == jose.read_public_key(tokens.public(KEY))


# The example of RFC 7515, appendix A.3: header, claims, key and signature are the standard's own.
RFC_KEY = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
}
RFC_JWS = (
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
)


def test_the_standards_own_example_holds() -> None:
    key = jose.read_public_key(orjson.dumps(RFC_KEY).decode())
    assert jose.signer(jose.parse(RFC_JWS.encode()), [(b"rfc", key)]) == b"rfc"


def _tampered(token: str, part: int) -> bytes:
    parts = token.split(".")
    letters = list(parts[part])
    letters[1] = "A" if letters[1] != "A" else "B"
    parts[part] = "".join(letters)
    return ".".join(parts).encode()


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_changed_letter_anywhere_breaks_it(part: int) -> None:
    try:
        signed = jose.parse(_tampered(tokens.jwt(KEY, "t/d/pump"), part))
    except jose.Unsound:
        return
    assert jose.signer(signed, HANDLES) is None


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "es256"},
        {"alg": "ES384"},
        {"alg": ["ES256"]},
        {},
        {"alg": "ES256", "crit": ["exp"]},
        ["ES256"],
    ],
    ids=str,
)
def test_no_other_algorithm_and_no_critical_extension_is_spoken(header: Any) -> None:
    with pytest.raises(jose.Unsound) as refusal:
        jose.parse(tokens.jws(KEY, {"sub": "x"}, header).encode())
    assert refusal.value.fault == "malformed"


def test_a_token_without_signature_or_in_another_writing_is_malformed() -> None:
    good = tokens.jwt(KEY, "t/d/pump")
    body, signature = good.rsplit(".", 1)
    der_like = tokens.b64(b"0" * 70)
    for bad in (
        body,
        f"{body}.",
        f"{body}.{der_like}",
        f"{good}=",
        f"{good}.x",
        f" {good}",
        "a" * 9_000,
        f"{body}.{signature}A",
    ):
        with pytest.raises(jose.Unsound):
            jose.parse(bad.encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    with contextlib.suppress(jose.Unsound):
        assert isinstance(jose.parse(data).claims, dict)


NOW = 1_800_000_000.0
DAY = 86_400


@pytest.mark.parametrize(
    ("claims", "fault"),
    [
        ({"iat": NOW, "exp": NOW + DAY}, None),
        ({"iat": NOW - DAY + 1, "exp": NOW + 1}, None),
        ({"iat": NOW + 59, "exp": NOW + 600}, None),
        ({"iat": NOW, "exp": NOW + DAY + 1}, "unfit"),
        ({"exp": NOW + 60}, "unfit"),
        ({"iat": NOW}, "unfit"),
        ({"iat": NOW, "exp": True}, "unfit"),
        ({"iat": NOW, "exp": "soon"}, "unfit"),
        ({"iat": NOW + 10, "exp": NOW + 10}, "unfit"),
        ({"iat": NOW - 60, "exp": NOW}, "expired"),
        ({"iat": NOW + 61, "exp": NOW + 600}, "early"),
        ({"iat": NOW, "nbf": NOW + 61, "exp": NOW + 600}, "early"),
    ],
)
def test_a_token_lasts_a_day_at_most_and_counts_in_its_time_only(claims: dict[str, Any], fault: str | None) -> None:
    if fault is None:
        assert jose.check_times(claims, NOW) == claims["exp"]
        return
    with pytest.raises(jose.Unsound) as refusal:
        jose.check_times(claims, NOW)
    assert refusal.value.fault == fault


def test_a_shorter_life_can_be_asked_for() -> None:
    with pytest.raises(jose.Unsound):
        jose.check_times({"iat": NOW, "exp": NOW + 601}, NOW, timedelta(minutes=10))


def test_an_audience_is_one_text_or_a_list_of_them() -> None:
    assert jose.is_for({"aud": "a"}, "a")
    assert jose.is_for({"aud": ["b", "a"]}, "a")
    assert not jose.is_for({"aud": "ab"}, "a")
    assert not jose.is_for({"aud": {"a": 1}}, "a")
    assert not jose.is_for({}, "a")


def test_a_private_key_is_sent_back_before_it_is_read() -> None:
    with pytest.raises(PublicKeyPrivate):
        jose.read_public_key(csr.pem(KEY))
    with pytest.raises(PublicKeyPrivate):
        jose.read_public_key(orjson.dumps({**tokens.jwk(KEY), "d": "AAAA"}).decode())


def _pem(key: Any) -> str:
    pem: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return pem.decode()


def test_keys_of_other_kinds_and_points_off_the_curve_are_refused() -> None:
    off = {**tokens.jwk(KEY), "y": tokens.jwk(OTHER)["y"]}
    for bad in (
        _pem(rsa.generate_private_key(65_537, 2_048)),
        _pem(ec.generate_private_key(ec.SECP384R1())),
        _pem(ec.generate_private_key(ec.SECP256K1())),
        "no key",
        "{",
        orjson.dumps(off).decode(),
        orjson.dumps({**tokens.jwk(KEY), "crv": "P-384"}).decode(),
        orjson.dumps({**tokens.jwk(KEY), "x": "AAAA"}).decode(),
        orjson.dumps({**tokens.jwk(KEY), "x": 7}).decode(),
        "x" * 5_000,
    ):
        with pytest.raises(PublicKeyMalformed):
            jose.read_public_key(bad)


def test_the_clock_of_this_machine_is_what_counts() -> None:
    ends = jose.check_times(jose.parse(tokens.jwt(KEY, "x", lasts_s=60).encode()).claims, time.time())
    assert 50 < ends - time.time() <= 60
