"""One ingest process for all tests of a module, and devices that call it."""

from collections.abc import AsyncIterator

import pytest

from infra.local.postgres import Postgres
from tests.ingest.adapters.http.caller import Caller, caller
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant


@pytest.fixture(scope="module")
async def process(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestProcess]:
    """A process as production runs it."""
    async with ingest_process(postgres.url("ingest"), tmp_path_factory.mktemp("http") / "ingest.log") as process:
        yield process


@pytest.fixture
async def pump(process: IngestProcess, tenant: Tenant) -> AsyncIterator[Caller]:
    """A device with a token."""
    made = await caller(process, tenant)
    async with made.client:
        yield made
