"""The key set: what checks the platform's signatures, for anybody, and no more than that."""

import base64
from pathlib import Path
from uuid import uuid4

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from starlette.applications import Starlette

from engine.audit.seal import Sealer, _said
from engine.settings import Settings
from resolvers.well_known import WellKnown


async def asked(settings: Settings) -> httpx.Response:
    transport = httpx.ASGITransport(Starlette(routes=WellKnown(settings).routes()))
    async with httpx.AsyncClient(transport=transport, base_url="http://gate") as client:
        return await client.get("/.well-known/jwks.json")


async def test_a_checkpoint_of_the_audit_log_is_checked_with_the_key_that_is_published(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    answer = await asked(settings)
    assert answer.headers["content-type"] == "application/jwk-set+json"
    assert answer.headers["cache-control"] == "public, max-age=300"
    [key] = answer.json()["keys"]
    assert {name: key[name] for name in ("kty", "crv", "use", "alg")} == {
        "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA",
    }  # fmt: skip
    sealer, tenant_id, seal = Sealer.of(settings), uuid4(), b"\x01" * 32
    assert key["kid"] == sealer.key_id
    published = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    published.verify(sealer.sign(tenant_id, 7, seal), _said(tenant_id, 7, seal))


async def test_nothing_private_is_published(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    [key] = (await asked(settings)).json()["keys"]
    assert set(key) == {"kty", "crv", "x", "kid", "use", "alg"}
    assert [file.name for file in tmp_path.iterdir()] == ["audit.key"]
    assert (tmp_path / "audit.key").stat().st_mode & 0o777 == 0o600


async def test_the_public_half_alone_is_enough(tmp_path: Path) -> None:
    sealer = Sealer.load_or_make(tmp_path / "private.key")
    public = tmp_path / "public.pem"
    public.write_bytes(sealer.public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    [key] = (await asked(Settings(audit_key=public))).json()["keys"]
    assert key["kid"] == sealer.key_id


async def test_where_the_key_cannot_be_read_the_set_is_empty(tmp_path: Path) -> None:
    answer = await asked(Settings(audit_key=tmp_path / "missing"))
    assert (answer.status_code, answer.json()) == (200, {"keys": []})
    (tmp_path / "wrong").write_text("not a key")
    assert (await asked(Settings(audit_key=tmp_path / "wrong"))).json() == {"keys": []}
