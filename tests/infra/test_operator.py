"""`tidegate operator`: an invitation to operate the platform, from the machine it runs on."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs, urlsplit

import pytest

from engine import ids
from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import errors, invitations
from infra.cli import main
from infra.local.postgres import Postgres

Command = Callable[[str], Awaitable[tuple[int, str]]]


@pytest.fixture
def command(postgres: Postgres, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command against the tests' database, as its owner; exit code, and what was said."""
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", postgres.url("owner"))
    monkeypatch.setenv("TIDEGATE_PUBLIC_URL", "https://gate.example")

    async def run(email: str) -> tuple[int, str]:
        code = await asyncio.to_thread(main, ["operator", email])  # it has a loop of its own
        said = capsys.readouterr()
        return code, said.out + said.err

    return run


def _secret(said: str) -> str:
    link = re.search(r"https://gate\.example/auth/accept\S+", said)
    assert link is not None, said
    return parse_qs(urlsplit(link[0]).query)["token"][0]


async def test_the_printed_link_makes_an_operator_and_only_the_last_one_works(command: Command, store: Store) -> None:
    email = f"op@{ids.uuid7().hex[-8:]}.example"
    first, second = [_secret((await command(email))[1]) for _ in range(2)]
    with pytest.raises(errors.InvitationOver):
        await invitations.look(store, first)
    entered = await invitations.accept(store, second, name="Op", password=ids.token("pw"))
    assert entered.membership.role is Role.PLATFORM
    code, said = await command(email)
    assert (code, said) == (0, f"{email} operates this platform already.\n")


async def test_what_is_no_address_is_one_line(command: Command) -> None:
    assert await command("nobody") == (1, "tidegate: That is no e-mail address.\n")
