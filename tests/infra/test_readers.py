"""`tidegate readers`: what the command says of a tenant's readers, and that it makes them more or fewer."""

import asyncio
from pathlib import Path

import pytest

from infra.cli import main
from infra.local.postgres import Postgres
from tests.support.tenant import Tenant


async def test_the_command_sets_how_many_readers_there_are_and_says_where_each_stands(
    tenant: Tenant,
    postgres: Postgres,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", postgres.url("worker"))
    monkeypatch.setenv("TIDEGATE_DATA_DIR", str(tmp_path))

    async def said(*words: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, ["readers", *words])  # it has a loop of its own
        told = capsys.readouterr()
        return code, told.out + told.err

    assert await said(tenant.key) == (0, "  drain: behind by 0\n")
    tenant.happen("device.event", nobody="cares")
    code, told = await said(tenant.key, "2")
    assert (code, told.splitlines()) == (
        0,
        [
            "2 readers share this journal from now on.",
            "  drain: behind by 1",
            "  drain-1: behind by 1",
        ],
    )
    assert (await said("nobody-s"))[0] != 0
