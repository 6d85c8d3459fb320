"""The isolation matrix: every root field and every REST route of the contract, with every id it takes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    get_named_type,
    get_nullable_type,
    is_leaf_type,
    is_required_argument,
)

from resolvers.routes import Restful, routes
from tests.support.csr import key, request
from tests.support.tokens import public

RULE = {
    "v": 1,
    "name": "probe",
    "severity": "minor",
    "scope": {"profile": None},
    "when": {"metric": "temperature", "op": ">", "value": 8},
    "then": [{"do": "alert"}],
}
SAMPLES: Mapping[str, Any] = {
    "metric": "temperature",
    "timeZone": "Europe/Berlin",
    "from": "2026-01-01T00:00:00Z",
    "document": RULE,
    "previous": RULE,
    "template": "battery-low",
    "scopes": ["devices:read"],
    "name": "probe",
    "email": "probe@probe.example",
    "current": "probe",
    "password": "probe",
    "code": "123456",
    "new": "a password of probes",
    "metrics": [],
    "csr": request(),
    "csv": "key\nprobe-of-a-table\n",
    "first": 5,
    "version": 1,
    "reason": "a probe",
    "publicKey": public(key()),
    "certificate": "probe",
    "verification": "probe",
    "issuer": "https://192.0.2.1",  # nobody is asked: no public address
    "clientId": "probe",
    "clientSecret": "probe",
    "rule": {"cases": [], "otherwise": {}},
    "device": "probe",
    "afterMin": 0,
    "command": "probe",
    "arguments": {},
    "text": "probe",
    "minutes": 5,
    "afterSeconds": 0,
    "values": {"temperature": 9},
    "untilAt": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
}
"""Values for required arguments that are no ids, by name. A new one needs a line here, or the test fails."""


@dataclass(frozen=True)
class Cell:
    """One question to ask as the neighbour: a field or route, and where the foreign id goes (None: nowhere)."""

    face: str
    kind: str
    name: str
    target: str | None
    document: str = ""
    route: Restful | None = None
    field: GraphQLField | None = None

    def __str__(self) -> str:
        return f"{self.face} {self.kind} {self.name}({self.target or ''})"


def cells(schema: GraphQLSchema) -> list[Cell]:
    """The whole matrix."""
    return [*_graphql(schema), *_rest(schema)]


def thin(cell: Cell) -> Cell:
    """The same question, with nothing of the answer shown but what it is."""
    assert cell.field is not None
    named = get_named_type(cell.field.type)
    if cell.face != "graphql" or is_leaf_type(named):
        return cell
    return asking(cell, "{ __typename }")


def asking(cell: Cell, selection: str) -> Cell:
    """The same question of a GraphQL field, with another selection."""
    assert cell.field is not None
    return replace(cell, document=cell.document.replace(_everything(get_named_type(cell.field.type), 4), selection))


def arguments(cell: Cell, value: str) -> dict[str, Any]:
    """All arguments of a cell, with ``value`` where its target is; other ids lead nowhere."""
    assert cell.field is not None
    return {
        name: _value(name, argument.type, name, cell.target, value)
        for name, argument in cell.field.args.items()
        if is_required_argument(argument) or (cell.target or "").split(".")[0] == name
    }


def _graphql(schema: GraphQLSchema) -> Iterator[Cell]:
    roots = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}
    for kind, root in roots.items():
        for name, field in root.fields.items() if root else ():
            for target in _targets(field):
                wanted = {
                    n: a for n, a in field.args.items() if is_required_argument(a) or (target or "").split(".")[0] == n
                }
                declared = ", ".join(f"${n}: {a.type}" for n, a in wanted.items())
                given = ", ".join(f"{n}: ${n}" for n in wanted)
                shown = _everything(get_named_type(field.type), 4)
                document = (
                    f"{kind}{f'({declared})' if declared else ''} {{ {name}{f'({given})' if given else ''} {shown} }}"
                )
                yield Cell("graphql", kind, name, target, document, field=field)


def _rest(schema: GraphQLSchema) -> Iterator[Cell]:
    for route in routes(schema):
        field = _field_of(schema, route)
        for target in _targets(field):
            yield Cell("rest", route.kind, f"{route.method.value} {route.path}", target, route=route, field=field)


def _field_of(schema: GraphQLSchema, route: Restful) -> GraphQLField:
    """All arguments of a route as if they were one field's."""
    args = {parameter.name: parameter.argument for parameter in route.parameters}
    return GraphQLField(route.result, args=args)


def _targets(field: GraphQLField) -> list[str | None]:
    """Every place for an id in a field's arguments, or [None] where it takes none."""
    found: list[str | None] = []
    for name, argument in field.args.items():
        found += _ids(name, argument.type)
    return found or [None]


def _ids(path: str, type_: Any) -> list[str | None]:
    named = get_named_type(type_)
    if named.name == "ID":
        return [path]
    if path.split(".")[-1] == "document":
        return [f"{path}.devices", f"{path}.profile"]
    if isinstance(named, GraphQLInputObjectType):
        return [place for name, field in named.fields.items() for place in _ids(f"{path}.{name}", field.type)]
    return []


def _value(name: str, type_: Any, path: str, target: str | None, foreign: str) -> Any:
    bare, named = get_nullable_type(type_), get_named_type(type_)
    if name == "document":
        return _rule(path, target, foreign)
    if named.name == "ID":
        id_ = foreign if path == target else str(uuid4())
        return [id_] if isinstance(bare, GraphQLList) else id_
    if isinstance(named, GraphQLInputObjectType):
        made = {
            inner: _value(inner, field.type, f"{path}.{inner}", target, foreign)
            for inner, field in named.fields.items()
            if (isinstance(field.type, GraphQLNonNull) and field.default_value is Undefined)
            or (target or "").startswith(f"{path}.{inner}")
        }
        return [made] if isinstance(bare, GraphQLList) else made
    if name == "key":
        return f"probe-{uuid4().hex[:12]}"
    if isinstance(named, GraphQLEnumType):
        if "CUSTOM" in named.values and (target or "").endswith(".roleId"):
            return "CUSTOM"
        if "PREREGISTERED" in named.values and (target or "").endswith(".groupIds"):
            return "PREREGISTERED"  # the other mode would ask for a profile first
        return next(iter(named.values))
    return SAMPLES[name]


def _rule(path: str, target: str | None, foreign: str) -> Any:
    if target == f"{path}.devices":
        return {**RULE, "scope": {"profile": None, "devices": [foreign]}}
    if target == f"{path}.profile":
        return {**RULE, "scope": {"profile": foreign}}
    return RULE


def _everything(type_: Any, depth: int) -> str:
    if is_leaf_type(type_):
        return ""
    assert isinstance(type_, GraphQLObjectType)
    parts = []
    for name, field in type_.fields.items():
        named = get_named_type(field.type)
        if any(is_required_argument(argument) for argument in field.args.values()):
            if name == "telemetry" and depth == 4:  # one object only: a page of them would cost too much
                parts.append('telemetry(metric: "temperature", from: "2026-01-01T00:00:00Z") { times values }')
        elif is_leaf_type(named):
            parts.append(name)
        elif depth > 1:
            parts.append(f"{name} {_everything(named, depth - 1)}")
    return "{ " + " ".join(parts or ["__typename"]) + " }"
