"""What an operation must hold rights for below its root fields: found once a document, asked before anything runs.

A field that leads to what another right protects says so by ``@needs``. Whoever lacks that right may still say which
thing it is: ``REFERENCE``, of a thing with an id of its own. Anything else below such a field refuses the whole
operation by name of the right, so that nothing has half run. Why so: ADR 39.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    get_named_type,
    value_from_ast_untyped,
)
from strawberry.types.field import StrawberryField

from resolvers.selections import Fragments, Variables, fields_of
from schema.directives import Needs

REFERENCE = ("id", "key", "name")
"""What of a thing anybody may read who has come to it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A right that an operation needs below a root field: for which field, and by which path it came there."""

    needs: Needs
    deed: str
    path: tuple[str, ...]
    node: FieldNode
    root: FieldNode

    def target(self, variables: Variables) -> object:
        """The id that the root field was asked with, if it takes one."""
        given = [argument.value for argument in self.root.arguments or () if argument.name.value == "id"]
        return value_from_ast_untyped(given[0], dict(variables)) if given else None


def is_node(type_: object) -> bool:
    """Whether things of this type have an id of their own."""
    return isinstance(type_, GraphQLObjectType) and "id" in type_.fields


def needs_of(field: GraphQLField) -> tuple[Needs, ...]:
    """The rights that a field declares."""
    definition = field.extensions.get("strawberry-definition")
    directives = definition.directives if isinstance(definition, StrawberryField) else ()
    return tuple(directive for directive in directives if isinstance(directive, Needs))


def asked_below(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    fragments: Fragments,
    variables: Variables | None = None,
) -> list[Asked]:
    """Every right that an operation needs below its root fields; with ``variables``, for what these leave in it."""
    root = schema.get_root_type(operation.operation)
    walk = _Walk(fragments, variables)
    found: list[Asked] = []
    for node in fields_of(operation.selection_set, fragments, variables):
        if root is not None and (field := root.fields.get(node.name.value)) is not None:
            found += walk.below(node, get_named_type(field.type), (_shown(node),), node)
    return found


@dataclass(frozen=True, slots=True)
class _Walk:
    fragments: Fragments
    variables: Variables | None

    def below(
        self, parent: FieldNode, type_: GraphQLNamedType, path: tuple[str, ...], root: FieldNode
    ) -> Iterator[Asked]:
        """What is needed by the fields chosen below ``parent``, all the way down."""
        for node in fields_of(parent.selection_set, self.fragments, self.variables):
            field = type_.fields.get(node.name.value) if isinstance(type_, GraphQLObjectType) else None
            if field is None:  # __typename
                continue
            here, named = (*path, _shown(node)), get_named_type(field.type)
            if (needs := needs_of(field)) and not (is_node(named) and self._only_refers(node)):
                deed = f"{_snake(type_.name)}_{_snake(node.name.value)}.read"
                yield from (Asked(need, deed, here, node, root) for need in needs)
            yield from self.below(node, named, here, root)

    def _only_refers(self, node: FieldNode) -> bool:
        chosen = (each.name.value for each in fields_of(node.selection_set, self.fragments, self.variables))
        return all(name in REFERENCE or name == "__typename" for name in chosen)


def _shown(node: FieldNode) -> str:
    return node.alias.value if node.alias else node.name.value


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
