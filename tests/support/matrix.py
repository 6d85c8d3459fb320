"""The isolation matrix: every root field and every REST route of the contract, with every id and every name that it
takes for a thing, and every stream by each way that there is.
"""

from collections.abc import Collection, Iterator, Mapping
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
from schema.directives import Needs
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
    "clientSecret": "probe",
    "rule": {"cases": [], "otherwise": {}},
    "device": "probe",
    "afterMin": 0,
    "command": "probe",
    "child": "probe",
    "connection": "probe",
    "arguments": {},
    "text": "probe",
    "to": 1,
    "minutes": 5,
    "afterSeconds": 0,
    "values": {"temperature": 9},
    "untilAt": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
}
"""Values for required arguments that are no ids, by name. A new one needs a line here, or the test fails."""

NAMED: Mapping[str, str] = {
    "actor": "email",
    "domains": "domain",
    "email": "email",
    "labels": "label",
    "policy": "policy",
    "profile": "profile",
    "search": "search",
    "targetId": "id",
    "toTenant": "key",
}
"""Texts by which somebody else's thing can be meant, by argument, and what form they have."""

WITHIN: Mapping[str, tuple[str, ...]] = {
    "csv": ("profile", "groups"),
    "document": ("devices", "profile", "groups", "policy"),
    "filter": ("profile",),
    "previous": ("devices", "profile", "groups", "policy"),
    "rule": ("profile", "groups"),
}
"""Documents and tables that name things, and where."""

FREE = frozenset(
    {
        *("account", "action", "after", "addresses", "arguments", "attributes", "botToken", "certificate", "chat"),
        *("choices", "clientId", "clientSecret", "code", "command", "csr", "current", "description", "device", "end"),
        *("event", "issuer", "key", "kind", "label", "metrics", "name", "new", "note", "numbers", "password", "path"),
        *("publicKey", "reason", "scopes", "secret", "sender", "start", "subject", "tags", "template", "text"),
        *("timeZone", "unit", "url", "values", "verification", "webhookUrl"),
        *("child", "connection", "metric", "point", "wanted"),  # what the gateway's own edge calls them
    }
)
"""Texts and documents that say something, but mean no thing of somebody else's."""


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
    asked = list(_graphql(schema))
    live = [replace(cell, face="websocket") for cell in asked if cell.kind == "subscription"]
    return [*asked, *live, *_rest(schema)]


def texts(schema: GraphQLSchema) -> set[str]:
    """The names of all arguments, and of what lies in them, that are texts or documents."""
    found: set[str] = set()

    def look(name: str, type_: Any) -> None:
        named = get_named_type(type_)
        if named.name in ("String", "JSON"):
            found.add(name)
        elif isinstance(named, GraphQLInputObjectType):
            for inner, field in named.fields.items():
                look(inner, field.type)

    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        for field in root.fields.values() if root else ():
            for name, argument in field.args.items():
                look(name, argument.type)
    return found


def nobodys(cell: Cell) -> str:
    """What nobody's thing is called, in the form that a cell asks for."""
    word, name = (cell.target or "").split(".")[-1], uuid4().hex[:12]
    forms = {"email": f"{name}@nobody.example", "domain": f"{name}.example", "label": f"site={name}"}
    if not is_named(cell) or word == "targetId":
        return str(uuid4())
    return forms.get(NAMED.get(word, ""), f"nobody-{name}")


def is_named(cell: Cell) -> bool:
    """Whether a cell means a thing by a text or in a document, other than by an id."""
    *before, word = (cell.target or "").split(".")
    return word in NAMED or (bool(before) and before[-1] in WITHIN and word != "devices")


def thin(cell: Cell) -> Cell:
    """The same question, with nothing of the answer shown but what it is."""
    assert cell.field is not None
    named = get_named_type(cell.field.type)
    if cell.face == "rest" or is_leaf_type(named):
        return cell
    return asking(cell, "{ __typename }")


def asking(cell: Cell, selection: str) -> Cell:
    """The same question of a GraphQL field, with another selection."""
    assert cell.field is not None
    return replace(cell, document=cell.document.replace(_everything(get_named_type(cell.field.type), 4), selection))


def within(cell: Cell, scopes: Collection[str]) -> Cell:
    """The same question, without what lies below and needs a right that is not among ``scopes``."""
    assert cell.field is not None
    return cell if cell.face == "rest" else asking(cell, _everything(get_named_type(cell.field.type), 4, scopes))


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
    """Every place for an id in a field's arguments, or [None] where it takes none; then every place for a name."""
    found = [place for name, argument in field.args.items() for place in _places(name, argument.type)]
    ids: list[str | None] = [path for path, is_id in found if is_id]
    return [*(ids or [None]), *(path for path, is_id in found if not is_id)]


def _places(path: str, type_: Any) -> Iterator[tuple[str, bool]]:
    """Where below an argument a thing may be meant, and whether by an id."""
    named, word = get_named_type(type_), path.split(".")[-1]
    if named.name == "ID":
        yield path, True
    elif isinstance(named, GraphQLInputObjectType):
        for name, field in named.fields.items():
            yield from _places(f"{path}.{name}", field.type)
    elif named.name in ("String", "JSON") and word in WITHIN:
        yield from ((f"{path}.{place}", place == "devices") for place in WITHIN[word])
    elif named.name == "String" and word in NAMED:
        yield path, False


def _value(name: str, type_: Any, path: str, target: str | None, foreign: str) -> Any:
    bare, named = get_nullable_type(type_), get_named_type(type_)
    if named.name in ("String", "JSON") and name in WITHIN:
        return _naming(name, path, target, foreign)
    if named.name == "ID" or path == target:
        id_ = foreign if path == target else str(uuid4())
        return [id_] if isinstance(bare, GraphQLList) else id_
    if isinstance(named, GraphQLInputObjectType):
        made = {
            inner: _value(inner, field.type, f"{path}.{inner}", target, foreign)
            for inner, field in named.fields.items()
            if (isinstance(field.type, GraphQLNonNull) and field.default_value is Undefined)
            or f"{target or ''}.".startswith(f"{path}.{inner}.")
        }
        return [made] if isinstance(bare, GraphQLList) else made
    if name in ("key", "clientId"):
        return f"probe-{uuid4().hex[:12]}"
    if isinstance(named, GraphQLEnumType):
        if "CUSTOM" in named.values and (target or "").endswith(".roleId"):
            return "CUSTOM"
        if "PREREGISTERED" in named.values and (target or "").endswith(".groupIds"):
            return "PREREGISTERED"  # the other mode would ask for a profile first
        return next(iter(named.values))
    return SAMPLES[name]


def _naming(name: str, path: str, target: str | None, foreign: str) -> Any:
    """A document or table that names the target where that lies in it."""
    place = target.removeprefix(f"{path}.") if (target or "").startswith(f"{path}.") and target else ""
    said = foreign if place in ("profile", "policy") else [foreign]
    if name == "csv":
        return f"key,{place}\nprobe-of-a-table,{foreign}\n" if place else SAMPLES["csv"]
    if name == "rule":
        return {"cases": [], "otherwise": {place: said}} if place else SAMPLES["rule"]
    if name == "filter":
        return {"profile": [foreign]}
    if place == "policy":
        return {**RULE, "then": [{"do": "alert"}, {"do": "notify", "policy": foreign}]}
    return {**RULE, "scope": {"profile": None, place: said}} if place else RULE


def _everything(type_: Any, depth: int, scopes: Collection[str] | None = None) -> str:
    if is_leaf_type(type_):
        return ""
    assert isinstance(type_, GraphQLObjectType)
    parts = []
    for name, field in type_.fields.items():
        named = get_named_type(field.type)
        if scopes is not None and not _needed(field) <= set(scopes):
            continue
        if any(is_required_argument(argument) for argument in field.args.values()):
            if name == "telemetry" and depth == 4:  # one object only: a page of them would cost too much
                parts.append('telemetry(metric: "temperature", from: "2026-01-01T00:00:00Z") { times values }')
        elif is_leaf_type(named):
            parts.append(name)
        elif depth > 1:
            parts.append(f"{name} {_everything(named, depth - 1, scopes)}")
    return "{ " + " ".join(parts or ["__typename"]) + " }"


def _needed(field: GraphQLField) -> set[str]:
    """The rights that a field below the root declares."""
    definition = field.extensions.get("strawberry-definition")
    return {each.scope for each in getattr(definition, "directives", ()) if isinstance(each, Needs)}
