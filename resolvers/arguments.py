"""Arguments that many fields share, and pages on their way out."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, TypeVar

import strawberry
from graphql import FieldNode, FragmentDefinitionNode, FragmentSpreadNode, InlineFragmentNode, SelectionNode

from engine import pages
from resolvers.context import Info
from schema.directives import Constraint
from schema.pages import Page, PageInfo

M = TypeVar("M")
T = TypeVar("T")

First = Annotated[
    int,
    strawberry.argument(description="How many items at most.", directives=[Constraint(min=1, max=pages.MAX_FIRST)]),
]
After = Annotated[
    str | None,
    strawberry.argument(
        description="The `endCursor` of the page before.", directives=[Constraint(min_length=1, max_length=500)]
    ),
]
Version = Annotated[
    int | None,
    strawberry.argument(
        description="The version you saw: the change is refused if there is a newer one. Leave it out to overwrite.",
        directives=[Constraint(min=1, max=2_147_483_647)],
    ),
]


def paged(page: pages.Page[M], view: Callable[[M], T]) -> Page[T]:
    """A page of the engine as the contract shows it."""
    info = PageInfo(has_next_page=page.has_next_page, end_cursor=page.end_cursor)
    return Page(items=[view(item) for item in page.items], page_info=info)


def asks_for(info: Info, *names: str) -> set[str]:
    """Which of ``names`` (as written in the schema) the operation selects anywhere below this field."""
    nodes, selected = info._raw_info.field_nodes, info.context.selected
    key = tuple(map(id, nodes))  # which live as long as their document
    if key not in selected:
        selected[key] = _selected(nodes, info._raw_info.fragments)
    return {name for name in names if name in selected[key]}


def _selected(nodes: Sequence[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]) -> frozenset[str]:
    found: set[str] = set()
    waiting: list[SelectionNode] = list(nodes)
    while waiting:
        node = waiting.pop()
        if isinstance(node, FieldNode):
            found.add(node.name.value)
        inside = fragments[node.name.value] if isinstance(node, FragmentSpreadNode) else node
        if isinstance(inside, FieldNode | InlineFragmentNode | FragmentDefinitionNode) and inside.selection_set:
            waiting.extend(inside.selection_set.selections)
    return frozenset(found)
