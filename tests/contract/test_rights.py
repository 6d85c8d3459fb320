"""Inside a tenant everybody may do what their role allows and nothing else: every field and route, asked by each role.

What a field must need is said in tests/support/rights.py and not read from the resolvers. Three questions:

1. each role asks everything: it is let in exactly where its rights say so;
2. for each field somebody has that one right alone and is let in, and somebody has all others and is turned away;
3. whoever has one right alone reads all that they may, as deep as it goes: of what other rights protect nothing but
   id, key and name is in any answer, and who asks for more is turned away by the name of the right.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from graphql import OperationDefinitionNode, get_named_type, is_leaf_type, parse
from sqlalchemy import update

from engine.store.pool import Store
from engine.tenancy import Role
from engine.tenants import roles
from engine.tenants.tables import memberships
from infra.local.postgres import Postgres
from resolvers.assembly import schema
from resolvers.gateway import Gateway
from resolvers.guard import Guard
from resolvers.nested import asked_below, needs_of
from resolvers.selections import fields_of
from schema.directives import Needs
from tests.contract.test_isolation import ANSWERS_S, HEARD_OUT_S, Owned, Stranger, _foreign, _owned
from tests.support import below, matrix, rights
from tests.support.below import Below
from tests.support.matrix import Cell
from tests.support.people import colleague, found_operator
from tests.support.sockets import line
from tests.support.tenant import found_tenant
from ui.client import OPERATIONS, READS

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
        said = await asking.ask(cell, value or matrix.nobodys(cell))
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
    return frozenset().union(*(rights.rights(name, cell.kind) for name in _fields_of(cell)))


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


@pytest.mark.timeout(600)  # some thousand questions, on a machine that may do other things as well
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
    """A right that nothing asks for protects nothing."""
    needed = frozenset().union(*(_needed(cell) for cell in _doors()))
    assert _ALL - needed == set()


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
    monkeypatch.setattr(_guard(kind, name), "needs", (Needs(scope=declared),))
    wrong = await _wrong(people, [*await _by_role(people, cells), *await _by_right(people, cells)])
    assert all(any(str(cell) in line for line in wrong) for cell in cells)


def _unprotected() -> list[str]:
    """Where the contract does not declare what must be needed below the root fields, or more than that."""
    asked = below.everything_below(schema()._schema)
    must = {(each.parent, each.field): {each.right} for each in asked}
    types = {
        name: type_
        for name, type_ in schema()._schema.type_map.items()
        if name not in ("Query", "Mutation", "Subscription")
    }
    return [
        f"{name}.{field_name} declares {sorted(declared)}"
        for name, type_ in types.items()
        for field_name, field_ in getattr(type_, "fields", {}).items()
        if (declared := {each.scope for each in needs_of(field_)}) != must.get((name, field_name), set())
    ]


def test_each_field_below_another_declares_the_right_of_what_it_shows() -> None:
    assert _unprotected() == []
    found = below.namesakes(schema()._schema) - rights.BELOW.keys()
    assert found == rights.ITS_OWN, "a value that is called after another noun has to be thought about"


async def _nested(people: People, asked: list[Below], mark: str = "") -> list[Case]:
    """Each protected field is asked for without its right, and by whoever has no right but those on the way to it."""
    cells = {
        (cell.kind, cell.name): cell for cell in reversed(matrix.cells(schema()._schema)) if cell.face == "graphql"
    }
    right_of = {(each.kind, each.root, each.path): each.right for each in asked}
    cases = []
    for each in asked:
        cell = cells[each.kind, each.root]
        selections = list(each.selections())[: None if each.kind == "query" else 1]
        without = await people.with_rights(_ALL - {each.right})
        cases += [
            Case(f"who may all but see {each}", without, matrix.asking(cell, mark + one), frozenset({each.right}))
            for one in selections
        ]
        if each.kind == "query":
            way = [right_of.get((each.kind, each.root, each.path[:n]), "") for n in range(1, len(each.path))]
            needed = rights.rights(each.root, each.kind) | set(filter(None, way))
            if each.is_thing:
                secret = await people.with_rights(needed)
                cases.append(
                    Case(f"who may not see {each}", secret, matrix.asking(cell, each.reference()), frozenset())
                )
            secret = await people.with_rights(needed | {each.right})
            cases.append(Case(f"who may just see {each}", secret, matrix.asking(cell, selections[0]), frozenset()))
    return cases


@pytest.mark.timeout(600)  # some thousand questions, on a machine that may do other things as well
async def test_what_another_right_protects_is_refused_wherever_it_lies(
    people: People, figure: Callable[[str], None]
) -> None:
    asked = below.everything_below(schema()._schema)
    cases = await _nested(people, asked)
    wrong = await _wrong(people, cases)
    refused = sum(bool(case.lacks) for case in cases)
    places = {(each.parent, each.field) for each in asked}
    figure(
        f"nested rights: {len(places)} fields that show what another right protects, by {len(asked)} ways, "
        f"{len(wrong)} leaks ({len(cases)} questions, {refused} of them refused by the name of the right)"
    )
    assert wrong == []


WORDS = {
    **dict.fromkeys(("label", "points", "profile", "group", "way", "asks", "retired"), "devices:read"),
    **dict.fromkeys(("reason", "comment", "silence"), "alerts:read"),
    **dict.fromkeys(("would", "notice", "draft"), "rules:read"),
    **dict.fromkeys(("channel", "policy"), "notifications:read"),
    **dict.fromkeys(("idp", "client"), "tenant:read"),
    "command": "commands:read",
    "message": "inbox:read",
    "role": "users:read",
    "value": "telemetry:read",
}
"""What the tenant's words begin with, by the right that protects them; a rule's and a device's name are free."""

TOO = {
    ("profile", "rules:read"),  # a rule names the profile that it is about
    ("command", "devices:read"),  # and a profile the commands that it knows
    ("reason", "rules:read"),  # one that only watches notes why it would have told somebody
    *((word, "audit:read") for word in WORDS),  # the log tells everything that was done
}


def _within(cell: Cell) -> Cell:
    """The question for all that may be seen by the rights of its root field alone."""
    assert cell.field is not None
    if cell.face == "rest" or is_leaf_type(named := get_named_type(cell.field.type)):
        return cell
    return matrix.asking(cell, below.visible(schema()._schema, cell.name, named))


async def _shown_too_much(people: People) -> tuple[list[str], int]:
    """Every question for reading, asked with its own rights alone: which words of other rights the answers hold."""
    # not by a name: an answer may say it again
    asked = [cell for cell in matrix.cells(schema()._schema) if cell.kind != "mutation" and not matrix.is_named(cell)]
    cells = [_within(cell) for cell in asked]
    mark = re.compile(rf"([a-z]+)-{people.owned.marks[0]}")
    too_much, told = [], 0
    for cell in cells:
        needed = _needed(cell)
        if any(scope.startswith("platform:") for scope in needed):
            continue
        secret = await people.with_rights(needed or frozenset({"tenant:read"}))
        said = await people.ask(secret, cell, _foreign(people.owned, cell))
        if said.startswith(_BROKEN) or _TURNED_AWAY.search(said):
            too_much.append(f"{cell}: {said}")
        words = set(mark.findall(said))
        told += bool(words)
        too_much += [
            f"{cell}: shows the {word} of who may {WORDS[word]}"
            for word in words & WORDS.keys()
            if WORDS[word] not in needed and not any((word, right) in TOO for right in needed)
        ]
    return too_much, told


@pytest.mark.timeout(600)  # some thousand questions, on a machine that may do other things as well
async def test_whoever_has_one_right_alone_reads_nothing_that_another_protects(
    people: People, figure: Callable[[str], None]
) -> None:
    too_much, told = await _shown_too_much(people)
    figure(f"one right alone: {told} answers with something in them, {len(too_much)} show too much")
    assert too_much == []
    assert told > 60


WAYS = 6
"""By how many ways a planted leak is looked for; without one, all are gone (nested rights, above)."""


@pytest.mark.parametrize(
    ("type_name", "name"),
    [
        ("Alert", "device"),
        ("AlertGroup", "rule"),
        ("Device", "latest"),
        ("Rule", "openAlerts"),
        ("RuleFiring", "device"),
    ],
)
async def test_a_field_below_another_that_forgets_its_right_is_found(
    people: People, type_name: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [
        each
        for each in below.everything_below(schema()._schema)
        if (each.parent, each.field) == (type_name, name)
        and each.right not in rights.rights(each.root, each.kind)  # where the root field itself would turn them away
    ]
    assert asked
    definition: Any = _type(type_name).fields[name].extensions["strawberry-definition"]
    kept = [directive for directive in definition.directives if not isinstance(directive, Needs)]
    monkeypatch.setattr(definition, "directives", kept)
    assert _unprotected() == [f"{type_name}.{name} declares []"]
    planted = f"# {type_name}.{name} forgets its right\n"  # a text that is not known yet
    some = asked[:: len(asked) // WAYS + 1]
    wrong = await _wrong(people, await _nested(people, some, planted))
    assert all(any(str(each) in line for line in wrong) for each in some)


def _type(name: str) -> Any:
    return schema()._schema.type_map[name]


async def test_values_below_a_thing_are_left_out_of_rest_for_whoever_may_not_see_them(people: People) -> None:
    owned = people.owned
    path = f"/api/v1/rules/{owned.ids['rule']}"
    for scopes, shown in ((frozenset({"rules:read"}), None), (frozenset({"rules:read", "alerts:read"}), 1)):
        headers = {"Authorization": f"Bearer {await people.with_rights(scopes)}"}
        answer = (await people.client.get(path, headers=headers)).json()
        assert answer["name"] == f"rule-{owned.marks[0]}"
        assert answer.get("openAlerts") == shown


async def test_a_stream_is_refused_over_both_ways_before_it_begins(people: People, served: str) -> None:
    document = """subscription { alerts { kind alert { device { name ...all } } } }
      fragment all on Device { labels }"""
    secret = await people.with_rights(frozenset({"alerts:read"}))
    async with line(served, secret) as live:
        await live.subscribe(document)
        error = (await live.hear())["payload"][0]
    headers = {"Authorization": f"Bearer {secret}", "Accept": "text/event-stream"}
    told = await people.client.post("/graphql", json={"query": document}, headers=headers)
    for said in (str(error), told.text):
        assert "This needs the right devices:read." in said
    assert error["path"] == ["alerts", "alert", "device"]


async def test_what_a_variable_leaves_out_needs_no_right(people: People) -> None:
    document = "query($mayRules: Boolean!) { alerts { items { rule { name document @include(if: $mayRules) } } } }"
    headers = {"Authorization": f"Bearer {await people.with_rights(frozenset({'alerts:read'}))}"}
    for may, code in ((False, None), (True, "FORBIDDEN")):
        body = {"query": document, "variables": {"mayRules": may}}
        answer = (await people.client.post("/graphql", json=body, headers=headers)).json()
        assert [error["extensions"]["code"] for error in answer.get("errors", [])] == ([code] if code else [])


VALUES = {"reading_source", "rule_series", "rule_standing", "rule_whereabouts", "series", "series_around"}
"""What the console asks for only where measured values are looked at."""


def test_the_console_leaves_out_what_whoever_looks_may_not_read() -> None:
    graphql = schema()._schema
    more = {}
    for name, text in OPERATIONS.items():
        operation, *_ = parse(text).definitions
        assert isinstance(operation, OperationDefinitionNode)
        kind, fields = (
            operation.operation.value,
            fields_of(operation.selection_set, {}, dict.fromkeys(READS[name], False)),
        )
        held = frozenset().union(*(rights.rights(field.name.value, kind) for field in fields))
        asked = asked_below(graphql, operation, {}, dict.fromkeys(READS[name], False))
        if needed := {each.needs.scope for each in asked} - held:
            more[name] = needed
    gallery = {name: {"devices:read"} for name in ("rule_beginnings", "rule_templates")}
    assert more == {**{name: {"telemetry:read"} for name in VALUES}, **gallery}
