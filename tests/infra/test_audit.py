"""`tidegate audit`: what the command says of a log that was changed, and with which code it ends."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import psycopg
import pytest

from infra.cli import main
from infra.local.postgres import Postgres
from tests.support.tenant import Tenant

Command = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def command(
    postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs the command against the tests' database; exit code, and what was said."""
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", postgres.url("worker"))
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path))

    async def run(*arguments: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, ["audit", *arguments])  # it has a loop of its own
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def _change(postgres: Postgres, tenant: Tenant, seq: int) -> None:
    """What somebody with the whole database in hand would do to one row."""
    with psycopg.connect(postgres.url("superuser")) as connection:
        named = (tenant.id, seq)
        done = connection.execute("UPDATE audit SET actor_name = 'nobody' WHERE tenant_id = %s AND seq = %s", named)
        assert done.rowcount == 1


async def test_a_changed_row_ends_the_command_with_1_and_is_named(
    command: Command, tenant: Tenant, postgres: Postgres
) -> None:
    for number in range(4):
        await tenant.device(f"d-{number}")
    code, said = await command("verify", "--tenant", tenant.key)
    assert code == 0
    assert said.startswith(f"{tenant.key}: ")
    assert said.endswith("are what was written\n")
    for seq in (5, 3):  # whatever else was changed: the first is named
        _change(postgres, tenant, seq)
        code, said = await command("verify", "--tenant", tenant.key)
        assert (code, said.startswith(f"{tenant.key}: row {seq}: "), said.count("\n")) == (1, True, 1), said


async def test_one_bad_log_among_many_is_enough(
    command: Command, tenant: Tenant, neighbour: Tenant, postgres: Postgres
) -> None:
    await tenant.device()
    await neighbour.device()
    _change(postgres, tenant, 2)
    code, said = await command("verify")
    assert code == 1
    assert f"{tenant.key}: row 2: " in said
    theirs = next(line for line in said.splitlines() if line.startswith(f"{neighbour.key}: "))
    assert theirs.endswith("are what was written")


async def test_what_the_command_signed_it_proves_and_a_rewritten_end_is_found(
    command: Command, tenant: Tenant, postgres: Postgres
) -> None:
    await tenant.device()
    code, said = await command("checkpoint", "--tenant", tenant.key)
    signed = int(said.removeprefix(f"{tenant.key}: signed up to row "))
    assert (code, signed > 1) == (0, True)
    assert await command("checkpoint", "--tenant", tenant.key) == (0, f"{tenant.key}: nothing new to sign\n")
    code, said = await command("verify", "--tenant", tenant.key)
    assert (code, f"{signed} rows and 1 checkpoints" in said) == (0, True), said
    with psycopg.connect(postgres.url("superuser")) as connection:
        connection.execute("DELETE FROM audit WHERE tenant_id = %s AND seq = %s", (tenant.id, signed))
    code, said = await command("verify", "--tenant", tenant.key)
    assert (code, said.startswith(f"{tenant.key}: row {signed}: ")) == (1, True), said


async def test_a_tenant_that_is_not_there_is_named(command: Command) -> None:
    assert await command("verify", "--tenant", "nobody-here") == (1, "There is no tenant 'nobody-here'.\n")
