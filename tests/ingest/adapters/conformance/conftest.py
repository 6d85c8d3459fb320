"""One process for all rows, devices that log in to it, and the scorecard that is written at the end."""

import asyncio
import importlib
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from dataclasses import replace
from typing import Any

import pytest

from engine.devices import service as devices
from infra.local.postgres import Postgres
from tests.ingest.adapters.conformance.scorecard import Scorecard
from tests.ingest.adapters.conformance.speaker import Login, Row, Speaker
from tests.support.line import Line
from tests.support.mosquitto import Mosquitto, mosquitto
from tests.support.opcua_plant import Identity, OpcuaPlant, plant
from tests.support.patience import PATIENCE_S
from tests.support.process import IngestProcess
from tests.support.tenant import Tenant

CARD = pytest.StashKey[Scorecard]()

Enter = Callable[..., Awaitable[Speaker]]
NewLogin = Callable[[Row], Awaitable[Login]]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Note what was found."""
    report = yield
    given = item.callspec.params if hasattr(item, "callspec") else {}
    card = item.session.stash.get(CARD, None)
    if card is not None and (report.when == "call" or report.failed):
        for row in given.get("rows", [given.get("row")]):
            if isinstance(row, Row):
                card.note(row.name, item.originalname, report.passed)  # type: ignore[attr-defined]
    return report


@pytest.fixture(scope="package")
def scorecard(request: pytest.FixtureRequest) -> Iterator[Scorecard]:
    """Filled while the tests run; written if all of them did."""
    card = request.session.stash[CARD] = Scorecard()
    yield card
    del request.session.stash[CARD]
    if card.is_whole:
        card.write()


@pytest.fixture(scope="package")
async def broker(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mosquitto]:
    """Somebody else's broker."""
    async with mosquitto(tmp_path_factory.mktemp("broker")) as started:
        yield started


@pytest.fixture(scope="package")
async def opcua() -> AsyncIterator[OpcuaPlant]:
    """A server of which each machine has some nodes."""
    async with plant(Identity.make()) as started:
        yield started


@pytest.fixture(scope="package")
async def process(
    postgres: Postgres, broker: Mosquitto, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[IngestProcess]:
    """A process as production runs it, which takes from a broker as well; who kills it starts it again."""
    log = tmp_path_factory.mktemp("conformance") / "ingest.log"
    process = IngestProcess(postgres.url("ingest"), log, broker_url=broker.url)
    await process.start()
    try:
        await shared(broker)
        yield process
    finally:
        if process.process is not None and process.process.poll() is None:
            process.process.kill()
            process.process.wait(PATIENCE_S)


async def shared(broker: Mosquitto) -> None:
    """Wait until somebody takes what devices publish there: Mosquitto drops what nobody has asked for."""
    async with asyncio.timeout(PATIENCE_S):
        while not broker.shares():
            await asyncio.sleep(0.02)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a minute in a test: edges, and a building's devices, are asked again at once."""
    monkeypatch.setattr("ingest.edge.plant.FIRST_PAUSE_S", 0.1)
    monkeypatch.setattr("ingest.edge.plant.MOST_PAUSE_S", 0.2)
    bacnet = importlib.import_module("ingest.edge.bacnet.driver")  # its package has a function of that name
    for name in ("_LEAST_PAUSE_S", "_MOST_PAUSE_S"):
        monkeypatch.setattr(bacnet, name, 0.1)
    package = importlib.import_module("ingest.edge.bacnet")
    parse = package.parse_connection
    monkeypatch.setattr(package, "parse_connection", lambda *given: replace(parse(*given), renew_s=0.5))


@pytest.fixture
def line(postgres: Postgres) -> Line:
    """Looks into the database."""
    return Line(postgres)


@pytest.fixture
async def login(process: IngestProcess, broker: Mosquitto, opcua: OpcuaPlant, tenant: Tenant) -> NewLogin:
    """A fresh device of the tenant, and what it logs in with; whoever stands before it knows it."""

    async def of_fresh_device(row: Row) -> Login:
        device, gateway = await tenant.device(), None
        if row.behind == "edge":
            gateway = await tenant.device()
            async with tenant.store.as_tenant(tenant.principal()) as tx:
                await devices.change(tx, device.id, labels={"gateway": gateway.key})
        token = await tenant.device_token(gateway or device)
        made = Login(process, broker, opcua, tenant, device, token, gateway)
        if row.behind == "broker":
            await broker.admit(made.name, token)
        return made

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
