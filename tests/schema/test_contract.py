"""What the contract promises about itself: everything is described, every root field says what it needs."""

from collections.abc import Iterator
from enum import Enum

import pytest
from graphql import (
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLScalarType,
    is_specified_scalar_type,
)
from strawberry.types.field import StrawberryField

import schema as package
from engine.tenancy import ALL_SCOPES, SCOPES, Role
from resolvers.assembly import Mutation, Query, Subscription, schema
from resolvers.guard import Guard
from resolvers.routes import routes
from schema.directives import Needs, Rest
from schema.enums import shown

GRAPHQL = schema()._schema


def _described() -> Iterator[tuple[str, str | None]]:
    for name, type_ in GRAPHQL.type_map.items():
        if name.startswith("__") or (isinstance(type_, GraphQLScalarType) and is_specified_scalar_type(type_)):
            continue
        yield name, type_.description
        if isinstance(type_, GraphQLObjectType | GraphQLInputObjectType):
            for field_name, field in type_.fields.items():
                yield f"{name}.{field_name}", field.description
                if isinstance(field, GraphQLField):
                    for argument_name, argument in field.args.items():
                        yield f"{name}.{field_name}({argument_name})", argument.description
        if isinstance(type_, GraphQLEnumType):
            for value_name, value in type_.values.items():
                yield f"{name}.{value_name}", value.description
    for directive in GRAPHQL.directives:
        yield f"@{directive.name}", directive.description


def test_everything_is_described_in_a_sentence() -> None:
    silent = [name for name, said in _described() if not said or len(said) < 8 or said.strip()[-1] not in ".)"]
    assert silent == []


def test_an_enum_is_not_shown_with_a_value_that_nobody_explains() -> None:
    class Tide(Enum):
        EBB = "ebb"
        FLOOD = "flood"

    with pytest.raises(TypeError, match="EBB, FLOOD"):
        shown(Tide, "Which way the water goes.", EBB="Out.")


def _root_fields() -> Iterator[StrawberryField]:
    for root in (Query, Mutation, Subscription):
        yield from root.__strawberry_definition__.fields  # type: ignore[attr-defined]


@pytest.mark.parametrize("field", list(_root_fields()), ids=lambda field: field.python_name)
def test_every_root_field_says_what_it_needs_and_is_guarded(field: StrawberryField) -> None:
    needs = [directive for directive in field.directives if isinstance(directive, Needs)]
    assert needs
    assert needs[0].scope == "" or {each.scope for each in needs} <= ALL_SCOPES | SCOPES[Role.PLATFORM]
    assert [guard.needs for guard in field.extensions if isinstance(guard, Guard)] == [tuple(needs)]


def test_every_root_field_has_a_route_of_its_own() -> None:
    without = [field.python_name for field in _root_fields() if not any(isinstance(d, Rest) for d in field.directives)]
    assert without == []
    found = [(route.method, route.path) for route in routes(GRAPHQL)]
    assert len(found) == len(set(found))


def test_no_enum_value_is_shown_that_the_platform_does_not_know() -> None:
    for type_ in GRAPHQL.type_map.values():
        if isinstance(type_, GraphQLEnumType) and not type_.name.startswith("__"):
            assert all(value.value is not None for value in type_.values.values())


def test_the_package_called_schema_is_ours() -> None:
    assert package.__doc__ is not None
    assert "promise" in package.__doc__.lower()
