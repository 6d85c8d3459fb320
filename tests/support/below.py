"""Every field below the root fields that shows what another right protects than the one that led to it.

Found in the schema: a type belongs to the right that its root queries need; what no root query shows is a part of
whatever leads to it. Which right a root field needs, and which values belong to another right, is said by hand in
rights.py; nothing is read from the resolvers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import GraphQLField, GraphQLObjectType, GraphQLSchema, get_named_type, is_leaf_type, is_required_argument

from tests.support import rights

REFERENCE = ("id", "key", "name")
_REFERS = ("Id", "Ids", "Key", "Name", "Version")
"""How the names of fields end that only say which thing of another noun is meant."""
_ARGUMENTS = {"telemetry": '(metric: "temperature", from: "2026-01-01T00:00:00Z")'}


@dataclass(frozen=True)
class Below:
    """A field that another right protects, and the way to it from a root field."""

    kind: str
    root: str
    path: tuple[str, ...]
    parent: str
    field: str
    right: str
    type: object

    def __str__(self) -> str:
        return f"{self.kind} {self.root}.{'.'.join(self.path)}"

    @property
    def is_thing(self) -> bool:
        """Whether there is something that may be read of it without the right."""
        return isinstance(self.type, GraphQLObjectType) and "id" in self.type.fields

    def selections(self) -> Iterator[str]:
        """One selection of the root field for each field that the right protects."""
        if self.is_thing:
            assert isinstance(self.type, GraphQLObjectType)
            protected = {name: field for name, field in self.type.fields.items() if name not in REFERENCE}
            yield from (self._to(f"{{ {_plainest(name, field)} }}") for name, field in protected.items())
        elif isinstance(self.type, GraphQLObjectType):
            yield from (self._to(f"{{ {_plainest(name, field)} }}") for name, field in self.type.fields.items())
        else:
            yield self._to("")

    def reference(self) -> str:
        """A selection of the root field that only says which thing it is."""
        return self._to(self.known())

    def known(self) -> str:
        """A selection of the thing that only says which it is."""
        assert isinstance(self.type, GraphQLObjectType)
        known = [name for name in REFERENCE if name in self.type.fields]
        return f"{{ __typename {' '.join(known)} }}"

    def _to(self, selection: str) -> str:
        last = f"{self.field}{_ARGUMENTS.get(self.field, '')} {selection}"
        for name in reversed(self.path[:-1]):
            last = f"{name} {{ {last} }}"
        return f"{{ {last} }}"


def owners(schema: GraphQLSchema) -> dict[str, frozenset[str]]:
    """The rights by which root queries show each type; empty: whoever is signed in."""
    found: dict[str, set[str]] = {}
    assert schema.query_type is not None
    for name, field in schema.query_type.fields.items():
        type_ = get_named_type(field.type)
        if isinstance(type_, GraphQLObjectType):
            if type_.name.endswith("Page"):
                type_ = get_named_type(type_.fields["items"].type)
            found.setdefault(type_.name, set()).add(rights.right_to_read(name))
    return {name: frozenset(by) for name, by in found.items()}


def everything_below(schema: GraphQLSchema) -> list[Below]:
    """Every way from a root field to a field that another right protects."""
    roots = {"query": schema.query_type, "mutation": schema.mutation_type, "subscription": schema.subscription_type}
    own = owners(schema)
    found: list[Below] = []
    for kind, root in roots.items():
        for name, field in root.fields.items() if root else ():
            right = rights.right_to_read(name)
            found += _walk(own, Below(kind, name, (), "", "", right, get_named_type(field.type)))
    return found


def visible(schema: GraphQLSchema, root: str, type_: object) -> str:
    """A selection of all that whoever may ask a root field may see: of what other rights protect, which thing it is."""
    return _visible(owners(schema), Below("", root, (), "", "", rights.right_to_read(root), type_))


def _visible(own: dict[str, frozenset[str]], here: Below) -> str:
    if not isinstance(here.type, GraphQLObjectType):
        return ""
    parts = []
    for name, field in here.type.fields.items():
        type_ = get_named_type(field.type)
        there = Below("", here.root, (), here.type.name, name, _right_of(own, here, name, type_), type_)
        if there.right == here.right and not any(is_required_argument(argument) for argument in field.args.values()):
            parts.append(f"{name} {_visible(own, there)}")
        elif there.is_thing:
            parts.append(f"{name} {there.known()}")
    return f"{{ {' '.join(parts)} }}"


def _walk(own: dict[str, frozenset[str]], here: Below) -> Iterator[Below]:
    if not isinstance(here.type, GraphQLObjectType) or len(here.path) > 8:
        return
    for name, field in here.type.fields.items():
        type_ = get_named_type(field.type)
        right = _right_of(own, here, name, type_)
        there = Below(here.kind, here.root, (*here.path, name), here.type.name, name, right, type_)
        if right != here.right or (here.type.name, name) in rights.BELOW:
            yield there
        yield from _walk(own, there)


def _right_of(own: dict[str, frozenset[str]], here: Below, name: str, type_: object) -> str:
    assert isinstance(here.type, GraphQLObjectType)
    if (here.type.name, name) in rights.BELOW:
        return rights.BELOW[here.type.name, name]
    by = own.get(type_.name, frozenset()) if isinstance(type_, GraphQLObjectType) else frozenset()
    if not by or here.right in by or "" in by:
        return here.right
    (right,) = by
    return right


def _plainest(name: str, field: GraphQLField) -> str:
    """A field with as little below it as can be asked."""
    needed = any(is_required_argument(argument) for argument in field.args.values())
    given = _ARGUMENTS[name] if needed else ""
    return f"{name}{given}" if is_leaf_type(get_named_type(field.type)) else f"{name}{given} {{ __typename }}"


def namesakes(schema: GraphQLSchema) -> set[tuple[str, str]]:
    """Values called after a noun of another right than the one that led to them, but for mere references."""
    own, found, seen = owners(schema), set(), set()

    def look(here: Below) -> None:
        assert isinstance(here.type, GraphQLObjectType)
        for name, field in here.type.fields.items():
            type_ = get_named_type(field.type)
            there = Below(here.kind, here.root, (), here.type.name, name, _right_of(own, here, name, type_), type_)
            if isinstance(type_, GraphQLObjectType):
                if (type_.name, there.right) not in seen:
                    seen.add((type_.name, there.right))
                    look(there)
            elif _foreign_nouns(name, here.right) and not name.endswith(_REFERS):
                found.add((here.type.name, name))

    for root in (schema.query_type, schema.mutation_type, schema.subscription_type):
        for name, field in root.fields.items() if root else ():
            if isinstance(type_ := get_named_type(field.type), GraphQLObjectType):
                look(Below("", name, (), "", "", rights.right_to_read(name), type_))
    return found


def _foreign_nouns(name: str, right: str) -> set[str]:
    """The nouns in a field's name whose right to read is another one."""
    words = set("".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).split())
    nouns = {noun: read for noun, (read, _) in rights.NOUNS.items() if read and noun.islower()}
    return {noun for noun, read in nouns.items() if read != right and words & {noun, f"{noun}s"}}
