"""What ingest does with a certificate that nobody has seen: notes it for the right tenant, waits, and never decides."""

from collections.abc import AsyncIterator, Iterable
from typing import Any
from uuid import UUID, uuid4

import pytest

from engine.ids import fingerprint
from engine.provisioning import provisioners
from engine.provisioning.model import Mode, Provisioner, Terms
from infra.local.postgres import Postgres
from ingest import newcomers as module
from ingest.adapters.base import Refused
from ingest.database import Database
from ingest.newcomers import Newcomers
from tests.support.authority import Authority, der, pem
from tests.support.line import Line
from tests.support.tenant import Tenant

Believed = Iterable[tuple[str, UUID, UUID | None]]


@pytest.fixture
async def newcomers(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Newcomers]:
    monkeypatch.setattr(module, "_WAITS_S", (0.01, 0.01, 0.01))
    monkeypatch.setattr(module, "TELL", "SELECT length(%s)")  # a gateway of other tests must not decide meanwhile
    newcomers = Newcomers(Database(postgres.url("ingest")))
    yield newcomers
    await newcomers.close()


async def register(tenant: Tenant, authority: Authority) -> Provisioner:
    proof = authority.sign(provisioners.verification_name(tenant.id))
    terms = Terms("plant", Mode.CREATE, (await tenant.profile()).id)
    async with tenant.store.as_tenant(tenant.principal()) as tx:
        return await provisioners.register_authority(tx, terms, pem(authority.certificate), pem(proof))


async def why(newcomers: Newcomers, shown: bytes) -> str:
    with pytest.raises(Refused) as refusal:
        await newcomers.introduce(shown)
    return refusal.value.reason


def noted(postgres: Postgres, tenant: Tenant) -> list[tuple[Any, ...]]:
    query = "SELECT status, material_sha256 FROM enrolments WHERE tenant_id = %s"
    return Line(postgres).look(query, tenant.id)


async def test_a_knock_is_noted_once_and_a_device_that_nobody_looks_at_is_told_to_try_again(
    postgres: Postgres, newcomers: Newcomers, tenant: Tenant
) -> None:
    authority = Authority()
    way = await register(tenant, authority)
    newcomers.believe([(pem(authority.certificate), tenant.id, way.id)])
    shown = der(authority.sign("pump-1"))
    for _ in range(2):
        assert await why(newcomers, shown) == "unavailable"
    assert noted(postgres, tenant) == [("asked", fingerprint(shown))]


@pytest.mark.parametrize(("status", "reason"), [("pending", "pending"), ("refused", "turned_away")])
async def test_what_was_decided_is_told(
    postgres: Postgres, newcomers: Newcomers, tenant: Tenant, status: str, reason: str
) -> None:
    authority = Authority()
    way = await register(tenant, authority)
    newcomers.believe([(pem(authority.certificate), tenant.id, way.id)])
    shown = der(authority.sign("pump-1"))
    assert await why(newcomers, shown) == "unavailable"
    await Line(postgres).change("UPDATE enrolments SET status = %s WHERE tenant_id = %s", status, tenant.id)
    assert await why(newcomers, shown) == reason
    await Line(postgres).change("UPDATE enrolments SET status = 'done' WHERE tenant_id = %s", tenant.id)
    if reason == "turned_away":
        assert await why(newcomers, shown) == "turned_away", "remembered for a moment"
    else:
        await newcomers.introduce(shown)


async def test_only_the_word_of_one_open_registered_authority_counts(
    postgres: Postgres, newcomers: Newcomers, tenant: Tenant, neighbour: Tenant
) -> None:
    authority, stranger, namesake = Authority(), Authority("Somebody"), Authority()
    way, theirs = await register(tenant, authority), await register(neighbour, authority)
    shown, root = der(authority.sign("pump-1")), pem(authority.certificate)
    mine = (root, tenant.id, way.id)
    for believed, certificate in (
        ([], shown),
        ([(root, tenant.id, None)], shown),
        ([mine, (root, neighbour.id, theirs.id)], shown),
        ([mine], der(stranger.sign("pump-1"))),
        ([mine], der(namesake.sign("pump-1"))),
    ):
        newcomers.believe(believed)
        assert await why(newcomers, certificate) == "bad_credentials"
    assert noted(postgres, tenant) == noted(postgres, neighbour) == []
    newcomers.believe([(pem(namesake.certificate), neighbour.id, theirs.id), mine])
    assert await why(newcomers, shown) == "unavailable"
    assert [row[0] for row in noted(postgres, tenant)] == ["asked"], "told apart from one of the same name"
    assert noted(postgres, neighbour) == []


async def test_without_a_database_a_newcomer_is_told_to_try_again() -> None:
    authority = Authority()
    newcomers = Newcomers(Database("postgresql://tidegate_ingest@127.0.0.1:9/none"))
    newcomers.believe([(pem(authority.certificate), uuid4(), uuid4())])
    assert await why(newcomers, der(authority.sign("pump-1"))) == "unavailable"
    await newcomers.close()
