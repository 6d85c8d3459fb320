"""The plain values of the contract: identifiers, instants, JSON and columns of instants."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NewType
from uuid import UUID

import strawberry
from graphql import GraphQLError, GraphQLScalarType, ValueNode
from graphql.language import IntValueNode, StringValueNode
from graphql.utilities import value_from_ast_untyped
from strawberry.types.scalar import ScalarDefinition

Json = NewType("Json", object)
"""Any JSON value: object, list, string, number, boolean or null."""

Labels = NewType("Labels", Mapping[str, str])
"""Free words about a thing: short texts by short names."""

Times = NewType("Times", list[int])
"""A column of instants, each in milliseconds since 1970-01-01 UTC."""

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)
_NUL = "\x00"


def parse_id(value: object) -> UUID:
    """A UUID from its canonical 36-character form; anything else is refused."""
    if isinstance(value, UUID):
        return value
    if isinstance(value, str) and _UUID.fullmatch(value):
        return UUID(value)
    raise GraphQLError("An id is a UUID, for example 0190e6f2-7d3c-7c7a-9f3b-2b7f0a1c5d11.")


def parse_instant(value: object) -> datetime:
    """An aware UTC instant from RFC 3339 text; a missing offset is refused because it would be ambiguous."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC)
    if isinstance(value, str) and _INSTANT.fullmatch(value):
        try:
            return datetime.fromisoformat(_to_micros(value.upper())).astimezone(UTC)
        except (ValueError, OverflowError):
            pass
    raise GraphQLError("A time is RFC 3339 with an offset, for example 2026-03-01T12:00:00Z.")


def format_instant(at: datetime) -> str:
    """RFC 3339 in UTC with a Z; microseconds only where there are any."""
    text = (at if at.tzinfo is UTC else at.astimezone(UTC)).isoformat()
    return text[:-6] + "Z"  # without its +00:00


def parse_json(value: object) -> Json:
    """A JSON value as it came; what PostgreSQL cannot store is refused by the field's guard."""
    return Json(value)


def refuse_unstorable(value: object, depth: int = 0) -> None:
    """Raise where text holds U+0000 or a lone surrogate, which PostgreSQL cannot store, or JSON is nested too deep."""
    if depth > 32:
        raise GraphQLError("This JSON is nested more than 32 levels deep.")
    if isinstance(value, str):
        if _NUL in value:
            raise GraphQLError("Text cannot contain the character U+0000.")
        if not value.isprintable():
            _refuse_surrogates(value)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            refuse_unstorable(key, depth + 1)
            refuse_unstorable(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            refuse_unstorable(item, depth + 1)


def _refuse_surrogates(value: str) -> None:
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise GraphQLError("Text must be valid Unicode.")


def parse_labels(value: object) -> Labels:
    """At most 20 texts of up to 120 characters, each under a name of 1 to 40."""
    if not isinstance(value, Mapping) or not all(isinstance(text, str) for text in value.values()):
        raise GraphQLError("Labels are an object whose values are texts.")
    if len(value) > 20 or not all(1 <= len(name) <= 40 and len(text) <= 120 for name, text in value.items()):
        raise GraphQLError("Labels are at most 20, with names of 1 to 40 and texts of up to 120 characters.")
    return Labels(value)


def _labels_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Labels:
    return parse_labels(value_from_ast_untyped(node, variables))


def _json_literal(node: ValueNode, variables: dict[str, Any] | None = None) -> Json:
    return parse_json(value_from_ast_untyped(node, variables))


def _id_literal(node: ValueNode, _variables: dict[str, Any] | None = None) -> UUID:
    if not isinstance(node, StringValueNode | IntValueNode):
        raise GraphQLError("An id is a UUID in quotes.", node)
    return parse_id(node.value)


def _to_micros(text: str) -> str:
    """Python reads at most six digits of a second's fraction: cut the rest."""
    return re.sub(r"(\.\d{6})\d+", r"\1", text)


def _uuid_as_id() -> ScalarDefinition:
    """The schema's own ``ID`` that reads and writes UUIDs.

    graphql-core guards the built-in name in ``__new__``; going round it lets clients write the standard ``ID`` while a
    malformed one is refused before any resolver runs.
    """
    implementation = object.__new__(GraphQLScalarType)
    implementation.__init__(  # type: ignore[misc]
        "ID",
        serialize=str,
        parse_value=parse_id,
        parse_literal=_id_literal,
        description="A UUID in its 36-character form.",
    )
    return ScalarDefinition(
        name="ID",
        description=implementation.description,
        specified_by_url=None,
        serialize=str,
        parse_value=parse_id,
        parse_literal=_id_literal,
        implementation=implementation,
        print_definition=False,
    )


SCALARS: dict[object, ScalarDefinition] = {
    UUID: _uuid_as_id(),
    datetime: strawberry.scalar(
        name="DateTime",
        description="An instant, RFC 3339; answers are always UTC with a Z.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=format_instant,
        parse_value=parse_instant,
    ),
    Json: strawberry.scalar(
        name="JSON",
        description="Any JSON value: object, list, string, number, boolean or null.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc8259",
        serialize=lambda value: value,
        parse_value=parse_json,
        parse_literal=_json_literal,
    ),
    Labels: strawberry.scalar(
        name="Labels",
        description="Free words about a thing: an object of at most 20 texts of up to 120 characters, under names of 1 "
        "to 40.",
        serialize=lambda value: value,
        parse_value=parse_labels,
        parse_literal=_labels_literal,
    ),
    Times: strawberry.scalar(
        name="Times",
        description="A column of instants: a list of milliseconds since 1970-01-01 UTC.",
        serialize=lambda value: value,
    ),
}
