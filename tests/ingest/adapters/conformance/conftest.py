"""One process for all rows, devices that log in to it, and the scorecard that is written at the end."""

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from typing import Any

import pytest

from infra.local.postgres import Postgres
from tests.ingest.adapters.conformance.scorecard import Scorecard
from tests.ingest.adapters.conformance.speaker import Login, Row, Speaker
from tests.support.line import Line
from tests.support.process import IngestProcess, ingest_process
from tests.support.tenant import Tenant

CARD = pytest.StashKey[Scorecard]()

Enter = Callable[..., Awaitable[Speaker]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Note what was found."""
    report = yield
    row = getattr(item, "callspec", None) and item.callspec.params.get("row")  # type: ignore[attr-defined]
    card = item.session.stash.get(CARD, None)
    if card is not None and isinstance(row, Row) and (report.when == "call" or report.failed):
        card.note(row.name, item.originalname, report.passed)  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="module")
def scorecard(request: pytest.FixtureRequest) -> Iterator[Scorecard]:
    """Filled while the module runs; written if all of it did."""
    card = request.session.stash[CARD] = Scorecard()
    yield card
    del request.session.stash[CARD]
    if card.is_whole:
        card.write()


@pytest.fixture(scope="module")
async def process(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[IngestProcess]:
    """A process as production runs it; who kills it starts it again."""
    async with ingest_process(postgres.url("ingest"), tmp_path_factory.mktemp("conformance") / "ingest.log") as process:
        yield process


@pytest.fixture
def line(postgres: Postgres) -> Line:
    """Looks into the database."""
    return Line(postgres)


@pytest.fixture
async def login(process: IngestProcess, tenant: Tenant) -> Callable[[], Awaitable[Login]]:
    """A fresh device of the tenant, and what it logs in with."""

    async def of_fresh_device() -> Login:
        device = await tenant.device()
        return Login(process, tenant, device, await tenant.device_token(device))

    return of_fresh_device


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    """A row's device that has come in; it leaves when the test ends."""
    entered: list[Speaker] = []

    async def one(row: Row, login: Login) -> Speaker:
        speaker = row.speaker(login)
        entered.append(speaker)
        await speaker.connect()
        return speaker

    yield one
    for speaker in entered:
        await speaker.close()
