"""What every test may ask for: real engines, started once per run on free ports, and a fresh tenant."""

import dataclasses
import functools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

import migrations
from engine.store.pool import Store
from engine.tenants import passwords
from infra.local.postgres import Postgres
from infra.local.valkey import Valkey
from infra.serve import allow_many_connections
from tests.support.given import Given
from tests.support.tenant import Tenant, close_owners, found_tenant

pytest_plugins = ["tests.support.hung"]

ENGINE_FIXTURES = {"postgres", "database", "valkey", "store", "worker_store", "tenant", "neighbour"}
# Without fsync the disk may write when it likes. What a process had committed survives its kill all the same: only a
# machine that loses its power would tell the difference.
# A lock that nobody gives back fails one test, with its name, and what waited for it does not happen afterwards.
SMALL = {
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "autovacuum_naptime": "5s",
    "fsync": "off",
    "lock_timeout": "90s",
}


WHILE_TENANTS_ARE_FEW = (
    "tests/engine/test_worker",
    "tests/engine/alerts/test_escalation_and_kills",
    "tests/engine/devices/test_silence",
    "tests/engine/fleet/test_chores",
    "tests/engine/notifications/test_running_worker",
    "tests/engine/quotas/test_upkeep",
)
"""What has a worker do all there is to do: later it would have thousands of tenants of other tests to look after."""

LONGEST_FIRST = (
    "browser",
    *WHILE_TENANTS_ARE_FEW,
    *("tests/contract/test_schemathesis", "tests/faults"),
    *("tests/contract", "tests/infra", "tests/ingest", "tests/load"),
)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever uses an engine says so without having to say it; on several cores what takes long begins first, so that
    at the end none is left with it alone.
    """
    for item in items:
        if ENGINE_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.engines)
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=_turn)


def _turn(item: pytest.Item) -> int:
    group = _group(item.nodeid)
    return next((turn for turn, name in enumerate(LONGEST_FIRST) if group.startswith(name)), len(LONGEST_FIRST))


def _group(nodeid: str) -> str:
    """What stays in one process: a file, and all that shares the running console with its browser, or a scorecard."""
    file = nodeid.partition("::")[0]
    if "/test_browser" in file:
        return "browser"
    if "/conformance/" in file:
        return file.rpartition("/")[0]
    return nodeid if "/test_schemathesis" in file else file  # its two tests share nothing and take minutes


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests on several cores: each process has engines of its own and takes group after group."""
    from tests.support.hung import Resuming

    class ByGroup(Resuming):
        def _split_scope(self, nodeid: str) -> str:
            return _group(nodeid)

    return ByGroup(config, log)


def pytest_configure() -> None:
    """A thousand devices and their server in one process need more open files than the usual 1,024; and how long an
    example takes says what else the machine does.
    """
    allow_many_connections()
    settings.register_profile("patient", settings.default, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")
    settings.register_profile("fast", settings.default, max_examples=settings.default.max_examples // 5)


@pytest.fixture(scope="session", autouse=True)
def _passwords_are_hashed_at_once() -> Iterator[None]:
    """A quarter of a second of CPU for each password of each tenant would be a third of the run; who tests what
    hashing costs (tests/engine/tenants/test_passwords.py), and every process that is started, has the real cost.
    """
    cheap = PasswordHasher.from_parameters(
        dataclasses.replace(passwords.COST, time_cost=1, memory_cost=8, parallelism=1)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", cheap)
        patch.setattr(passwords, "_NOBODY", cheap.hash("nobody"))
        yield


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Takes a line about what the test has counted, shown when the run ends, also when it ran in another process."""
    return functools.partial(record_property, "figure")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures and, of several processes, where their time went."""
    stats = terminalreporter.stats.values()
    reports = [report for found in stats for report in found if isinstance(report, pytest.TestReport)]
    told = [told for report in reports if report.when == "call" for told in report.user_properties]
    times = _times(reports) if terminalreporter.config.getoption("numprocesses", None) else []
    for title, lines in (("figures", [line for name, line in told if name == "figure"]), ("times", times)):
        if lines:
            terminalreporter.section(title)
            terminalreporter.write("".join(f"{line}\n" for line in lines))


def _times(reports: Sequence[Any]) -> list[str]:
    """The seconds that each folder's tests took, setting up included, and after how many each process was done."""
    taken, tests, done = Counter[str](), Counter[str](), dict[str, float]()
    began = min((report.start for report in reports), default=0.0)
    for report in reports:
        where = "/".join(_group(report.nodeid).split("/")[:2])
        taken[where] += report.duration
        tests[where] += report.when == "call"
        done[report.worker_id] = max(done.get(report.worker_id, 0.0), report.stop - began)
    lines = [f"{seconds:7.1f} s {tests[where]:6} tests  {where}" for where, seconds in taken.most_common()]
    return [*lines, "the processes were done after " + ", ".join(f"{each:.0f} s" for each in sorted(done.values()))]


@pytest.fixture(scope="session")
def engines_dir() -> Iterator[Path]:
    """A folder for the engines of this run, removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="tidegate-test-"))
    yield path
    shutil.rmtree(path.resolve(), ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(engines_dir: Path) -> Iterator[Postgres]:
    """A running embedded PostgreSQL with the roles and the migrated database; or the server that was given."""
    given = os.environ.get("TIDEGATE_TEST_DATABASE_URL")
    server: Any = Given(given) if given else Postgres(engines_dir / "postgres", settings=SMALL)
    try:
        server.prepare()
        server.start()
        server.bootstrap()
        migrations.upgrade(server.url("owner"))
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def database(postgres: Postgres) -> Postgres:
    """The same server, for tests that only need URLs: ``database.url("app")``."""
    return postgres


@pytest.fixture(scope="session")
def valkey(engines_dir: Path) -> Iterator[Valkey]:
    """A running embedded Valkey."""
    server = Valkey(engines_dir / "valkey")
    try:
        server.prepare()
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
async def store(postgres: Postgres) -> AsyncIterator[Store]:
    """The gateway's store (role app)."""
    store = Store(postgres.url("app"), size=5)
    await store.open()
    yield store
    await store.close()
    await close_owners()


@pytest.fixture(scope="session")
async def worker_store(postgres: Postgres) -> AsyncIterator[Store]:
    """The worker's store (role worker)."""
    store = Store(postgres.url("worker"), size=3)
    await store.open()
    yield store
    await store.close()


@pytest.fixture
async def tenant(postgres: Postgres, store: Store) -> Tenant:
    """A fresh tenant with an owner."""
    return await found_tenant(postgres, store)


@pytest.fixture
async def neighbour(postgres: Postgres, store: Store) -> Tenant:
    """Another fresh tenant, who must never see the first."""
    return await found_tenant(postgres, store)
