"""How much one operation may ask for: size, depth, aliases and cost, all measured before anything runs."""

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLList,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    IntValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
)
from strawberry.types.field import StrawberryField

from resolvers.selections import Fragments, fields_of
from schema.directives import Cost
from schema.errors import TooCostly

MAX_BODY_BYTES = 64 * 1024
MAX_LONG_BODY_BYTES = 2 * 1024 * 1024
"""Of a caller who is known, where an argument may be as long as a table of devices; the query itself stays short."""

MAX_TOKENS = 1000
MAX_DEPTH = 12
MAX_ALIASES = 30
MAX_FIELDS = 2_000
"""Of a whole document, of fragments wherever they are spread. Only fragments get beyond MAX_TOKENS: some that have
one field several times multiply from level to level, and whatever measures an operation goes through them all."""

MAX_COST = 5_000
_LIST_EXPECTED = 10

Roots = tuple[GraphQLNamedType, ...]


def measure_shape(operations: Iterable[OperationDefinitionNode], fragments: Fragments) -> None:
    """Raise TooCostly where a document's operations have more than MAX_FIELDS fields.

    And where one of them nests deeper than MAX_DEPTH or renames more than MAX_ALIASES fields. Runs after validation, so
    fragments exist and do not go round in circles. Introspection has its own depth rule.
    """
    fields = _Counter(MAX_FIELDS, f"This document asks for more than {MAX_FIELDS} fields, its fragments spread.")
    for operation in operations:
        aliases = _Counter(MAX_ALIASES, f"This operation renames more than {MAX_ALIASES} fields.")
        depth = _depth(operation.selection_set, fragments, fields, aliases)
        if depth > MAX_DEPTH:
            raise TooCostly(f"This operation is nested {depth} levels deep; at most {MAX_DEPTH} are allowed.")


class _Counter:
    """Counts up to what is allowed, and refuses the next one."""

    def __init__(self, most: int, refusal: str) -> None:
        self.count = 0
        self._most = most
        self._refusal = refusal

    def add(self) -> None:
        self.count += 1
        if self.count > self._most:
            raise TooCostly(self._refusal)


def _depth(selections: SelectionSetNode | None, fragments: Fragments, fields: _Counter, aliases: _Counter) -> int:
    deepest = 0
    for node in fields_of(selections, fragments):
        fields.add()
        if node.alias:
            aliases.add()
        if not node.name.value.startswith("__"):
            deepest = max(deepest, 1 + _depth(node.selection_set, fragments, fields, aliases))
    return deepest


def measure_cost(
    schema: GraphQLSchema, operation: OperationDefinitionNode, fragments: Fragments, variables: Mapping[str, Any]
) -> int:
    """What an operation costs with these variables; raises TooCostly above MAX_COST.

    An object counts 1 or its ``@cost(weight)``. What lies below a list counts as often as the list is expected to be
    long: the argument named by ``@cost(times)``, ``@cost(expected)``, or 10.
    """
    root = schema.get_root_type(operation.operation)
    cost = _Costs(schema, fragments, variables).of(operation.selection_set, root) if root else 0
    if cost > MAX_COST:
        raise TooCostly(f"This operation costs {cost}; at most {MAX_COST} is allowed. Ask for fewer items at once.")
    return cost


class _Costs:
    def __init__(self, schema: GraphQLSchema, fragments: Fragments, variables: Mapping[str, Any]) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = variables

    def of(self, selections: SelectionSetNode | None, parent: GraphQLNamedType) -> int:
        return sum(self._field(node, parent) for node in fields_of(selections, self._fragments))

    def _field(self, node: FieldNode, parent: GraphQLNamedType) -> int:
        field = parent.fields.get(node.name.value) if isinstance(parent, GraphQLObjectType) else None
        if field is None:  # introspection
            return 0
        cost = cost_of(field)
        named = get_named_type(field.type)
        weight = cost.weight if cost else int(isinstance(named, GraphQLObjectType))
        return weight + self._times(node, field, parent, cost) * self.of(node.selection_set, named)

    def _times(self, node: FieldNode, field: GraphQLField, parent: GraphQLNamedType, cost: Cost | None) -> int:
        if cost and isinstance(cost.times, str):
            return self._argument(node, field, cost.times)
        if cost and isinstance(cost.expected, int):
            return cost.expected
        is_list = isinstance(get_nullable_type(field.type), GraphQLList)
        # A page's items were counted by the field that asked for the page.
        return _LIST_EXPECTED if is_list and not parent.name.endswith("Page") else 1

    def _argument(self, node: FieldNode, field: GraphQLField, name: str) -> int:
        value: Any = field.args[name].default_value
        for argument in node.arguments or ():
            if argument.name.value == name:
                if isinstance(argument.value, IntValueNode):
                    value = int(argument.value.value)
                elif isinstance(argument.value, VariableNode):
                    value = self._variables.get(argument.value.name.value, value)
        return max(1, value) if isinstance(value, int) else _LIST_EXPECTED


def cost_of(field: GraphQLField) -> Cost | None:
    """The ``@cost`` of a field, if it has one."""
    definition = field.extensions.get("strawberry-definition")
    if not isinstance(definition, StrawberryField):
        return None
    return next((directive for directive in definition.directives if isinstance(directive, Cost)), None)
