"""Enums of the engine as the contract shows them: each value with what it means, since the engine knows no GraphQL."""

from enum import Enum

import strawberry
from strawberry.types.enum import StrawberryEnumDefinition


def shown(kind: type[Enum], description: str, *, name: str | None = None, **meanings: str) -> None:
    """Make ``kind`` a type of the contract, called ``name`` there; ``meanings`` is a sentence for each value."""
    strawberry.enum(kind, name=name, description=description)
    definition: StrawberryEnumDefinition = kind.__strawberry_definition__  # type: ignore[attr-defined]
    if set(meanings) != set(kind.__members__):
        raise TypeError(f"Say what each value of {kind.__name__} means: {', '.join(kind.__members__)}.")
    for value in definition.values:
        value.description = meanings[value.name]
