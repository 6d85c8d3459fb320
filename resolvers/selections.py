"""Which fields a selection asks for: those of its fragments among them, each fragment once, as they are executed."""

from collections.abc import Iterator, Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    SelectionSetNode,
    value_from_ast_untyped,
)

Fragments = Mapping[str, FragmentDefinitionNode]
Variables = Mapping[str, Any]


def fields_of(
    selections: SelectionSetNode | None,
    fragments: Fragments,
    variables: Variables | None = None,
    _seen: set[str] | None = None,
) -> Iterator[FieldNode]:
    """The fields of a selection; with ``variables``, without what these leave out by ``@include`` and ``@skip``.

    A fragment counts once in a selection, however often it is spread there: otherwise thirty fragments, each of which
    spreads the next one twice, would be a thousand million fields.
    """
    seen = set() if _seen is None else _seen
    for node in selections.selections if selections else ():
        if variables is not None and not _is_asked(node.directives or (), variables):
            continue
        if isinstance(node, FieldNode):
            yield node
        elif isinstance(node, InlineFragmentNode):
            yield from fields_of(node.selection_set, fragments, variables, seen)
        elif isinstance(node, FragmentSpreadNode) and node.name.value not in seen:
            seen.add(node.name.value)
            yield from fields_of(fragments[node.name.value].selection_set, fragments, variables, seen)


def _is_asked(directives: Any, variables: Variables) -> bool:
    for directive in directives:
        if (name := directive.name.value) in ("include", "skip"):
            said = value_from_ast_untyped(directive.arguments[0].value, dict(variables))
            if said is not (name == "include"):
                return False
    return True
