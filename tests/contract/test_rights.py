"""Inside a tenant everybody may do what their role allows and nothing else: every field and route, asked by each role.

What a field must need is said in tests/support/rights.py and not read from the resolvers. Three questions:

1. each role asks everything: it is let in exactly where its rights say so;
2. for each field somebody has that one right alone and is let in, and somebody has all others and is turned away;
3. whoever has one right alone reads all that they may: nothing of what other rights protect is in any answer.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import httpx
import pytest
from sqlalchemy import update

from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import roles
from engine.tenants.tables import memberships
from infra.local.postgres import Postgres
from resolvers.assembly import schema
from resolvers.gateway import Gateway
from resolvers.guard import Guard
from schema.directives import Needs
from tests.contract.test_isolation import ANSWERS_S, HEARD_OUT_S, Owned, Stranger, _foreign, _owned
from tests.support import matrix, rights
from tests.support.matrix import Cell
from tests.support.people import colleague, found_operator
from tests.support.tenant import found_tenant

LISTEN_S = 1.0
_TURNED_AWAY = re.compile(r"This needs the right ([a-z]+:[a-z]+)\.")
_BROKEN = "failed inside, or was not really asked:"
_ALL = rights.ROLES["owner"]


@dataclass
class People:
    """Members of one tenant, by what they may do; each is made when first asked for."""

    owned: Owned
    store: Store
    client: httpx.AsyncClient
    _secrets: dict[object, str] = field(default_factory=dict)

    async def with_role(self, role: str) -> str:
        """The secret of somebody with one of the roles that every tenant has; the platform's are of the platform."""
        if role not in self._secrets:
            if role == "platform":
                operator = await found_operator(self.owned.tenant.postgres, self.store)
                self._secrets[role] = (await operator.sign_in()).secret
            else:
                self._secrets[role] = (await (await colleague(self.owned.tenant, Role(role))).sign_in()).secret
        return self._secrets[role]

    async def with_rights(self, scopes: frozenset[str]) -> str:
        """The secret of somebody with a role that the tenant has made of these rights."""
        if any(scope.startswith("platform:") for scope in scopes):
            return await self.with_role("platform")
        if scopes not in self._secrets:
            tenant = self.owned.tenant
            person = await colleague(tenant, Role.VIEWER)
            async with self.store.as_tenant(tenant.principal()) as tx:
                role = await roles.create(tx, name=f"made {len(self._secrets)}", scopes=scopes)
                here = (memberships.c.tenant_id == tenant.id) & (memberships.c.user_id == person.id)
                await tx.execute(update(memberships).where(here).values(role=Role.CUSTOM, role_id=role.id))
            self._secrets[scopes] = (await person.sign_in()).secret
        return self._secrets[scopes]

    async def ask(self, secret: str, cell: Cell, value: str | None = None, listen_s: float = LISTEN_S) -> str:
        """What a cell answers to whoever has ``secret``."""
        asking = Stranger(self.client, secret, [], listen_s)
        said = await asking.ask(cell, value or str(uuid4()))
        assert '"UNAUTHENTICATED"' not in said
        return said if not asking.leaks else f"{_BROKEN} {asking.leaks}"


@dataclass(frozen=True)
class Case:
    """One field or route asked by somebody: must they be let in, and if not, for want of which rights?"""

    who: str
    secret: str
    cell: Cell
    lacks: frozenset[str]

    async def wrong(self, people: People) -> str | None:
        """What is wrong with the answer."""
        # who only reads asks for what is there: what lies below a thing is not asked for where there is no thing
        there = _foreign(people.owned, self.cell) if self.cell.kind == "query" else None
        said = await people.ask(self.secret, self.cell, there)
        found = _TURNED_AWAY.search(said)
        if found is None and self.lacks and self.cell.kind == "subscription":  # it may come late where much else runs
            said = await people.ask(self.secret, self.cell, there, HEARD_OUT_S)
            found = _TURNED_AWAY.search(said)
        if said.startswith(_BROKEN):
            return said
        if found is None and self.lacks:
            return f"{self.cell}: lets in {self.who} without {sorted(self.lacks)}"
        if found is not None and found[1] not in self.lacks:
            return f"{self.cell}: turns away {self.who} for want of {found[1]}, which it must not need"
        return None


@pytest.fixture(scope="module")
async def inside(postgres: Postgres, store: Store, worker_store: Store, gateway: Gateway) -> Owned:
    """A tenant with one of everything."""
    return await _owned(postgres, store, worker_store, await found_tenant(postgres, store), gateway.services.vault)


@pytest.fixture(scope="module")
async def people(inside: Owned, served: str, store: Store) -> AsyncIterator[People]:
    """Those who ask."""
    address = f"http://{served}"
    async with httpx.AsyncClient(
        base_url=address, timeout=ANSWERS_S, limits=httpx.Limits(max_connections=None), trust_env=False
    ) as client:
        yield People(inside, store, client)


def _doors() -> list[Cell]:
    """Every field and every route once, asking for as little as possible of it."""
    found: dict[tuple[str, str, str], Cell] = {}
    for cell in matrix.cells(schema()._schema):
        found.setdefault((cell.face, cell.kind, cell.name), matrix.thin(cell))
    return list(found.values())


def _needed(cell: Cell) -> frozenset[str]:
    """The rights that a cell must need; a route below a thing needs the thing's as well."""
    return frozenset(filter(None, (rights.right(name, cell.kind) for name in _fields_of(cell))))


def _fields_of(cell: Cell) -> tuple[str, ...]:
    return cell.route.fields if cell.route else (cell.name,)


async def _wrong(people: People, cases: Iterable[Case]) -> list[str]:
    """Ask all, the streams side by side, because each of them takes its time."""
    cases = list(cases)
    live = [case.wrong(people) for case in cases if case.cell.kind == "subscription"]
    found = await asyncio.gather(*live)
    found += [await case.wrong(people) for case in cases if case.cell.kind != "subscription"]
    return [wrong for wrong in found if wrong]


async def _by_role(people: People, cells: list[Cell]) -> list[Case]:
    """Each role asks each field, and each route that it must be turned away from."""
    cases = [
        Case(role, await people.with_role(role), cell, _needed(cell) - held)
        for role, held in rights.ROLES.items()
        for cell in cells
    ]
    return [case for case in cases if case.lacks or case.cell.face == "graphql"]


async def _by_right(people: People, cells: list[Cell]) -> list[Case]:
    """Each field and route is asked with its right alone, and with all others."""
    cases = []
    for cell in cells:
        needed = _needed(cell)
        secret = await people.with_rights(needed or frozenset({"tenant:read"}))
        cases.append(Case("whoever may only that", secret, cell, frozenset()))
        for scope in needed:
            secret = await people.with_rights(_ALL - {scope})
            cases.append(Case("whoever may all else", secret, cell, frozenset({scope})))
    return cases


async def test_each_role_is_let_in_exactly_where_its_rights_say(people: People, figure: Callable[[str], None]) -> None:
    cells = _doors()
    cases = [*await _by_role(people, cells), *await _by_right(people, cells)]
    wrong = await _wrong(people, cases)
    asked = {str(case.cell) for case in cases}
    refused = sum(bool(case.lacks) for case in cases)
    figure(
        f"roles: {len(asked)} of {len(cells)} cells, {len(wrong)} leaks ({len(cases)} questions, {refused} of them "
        "refused by the name of the right)"
    )
    assert wrong == []
    assert asked == {str(cell) for cell in cells}


def test_no_right_is_without_a_field_that_needs_it() -> None:
    """A right that nothing asks for protects nothing; telemetry is written by devices, over protocols."""
    needed = frozenset().union(*(_needed(cell) for cell in _doors()))
    assert _ALL - needed == {"telemetry:write"}


def _guard(kind: str, name: str) -> Guard:
    """What stands before a root field."""
    root = {"query": schema()._schema.query_type, "mutation": schema()._schema.mutation_type}[kind]
    assert root is not None
    definition: Any = root.fields[name].extensions["strawberry-definition"]
    return next(extension for extension in definition.extensions if isinstance(extension, Guard))


@pytest.mark.parametrize(
    ("kind", "name", "declared"),
    [
        ("mutation", "channelDelete", "notifications:read"),  # reading must not be enough to remove
        ("query", "audit", ""),
        ("mutation", "ruleUpdate", "alerts:write"),
        ("query", "devices", "devices:write"),  # and who may read must be let in
    ],
)
async def test_a_field_that_declares_the_wrong_right_is_found(
    people: People, kind: str, name: str, declared: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = [
        cell for cell in _doors() if cell.kind == kind and name in (cell.route.fields if cell.route else [cell.name])
    ]
    assert {cell.face for cell in cells} == {"graphql", "rest"}
    monkeypatch.setattr(_guard(kind, name), "needs", Needs(scope=declared))
    wrong = await _wrong(people, [*await _by_role(people, cells), *await _by_right(people, cells)])
    assert all(any(str(cell) in line for line in wrong) for cell in cells)
