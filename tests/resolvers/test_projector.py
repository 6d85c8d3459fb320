"""The short way through plain data says exactly what graphql-core says, also where something is wrong."""

import asyncio
import gc
import weakref
from datetime import datetime
from enum import Enum
from types import SimpleNamespace
from typing import Annotated, Any, cast
from uuid import UUID, uuid4

import pytest
import strawberry
from graphql import DocumentNode, ExecutionResult, execute, parse
from hypothesis import given
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

from resolvers.projector import Compiled, Projector, _written
from schema.scalars import SCALARS, Json


@strawberry.enum
class Colour(Enum):
    RED = "red"


@strawberry.type
class Leaf:
    id: UUID
    text: str
    count: int
    ratio: float
    flag: bool
    maybe: str | None
    colour: Colour
    at: datetime
    data: Json
    tags: list[str]


@strawberry.type
class Branch:
    name: str
    leaf: Leaf
    leaves: list[Leaf]
    few: list[Leaf] | None

    @strawberry.field
    def shout(self) -> str:
        return str(self.name).upper()

    @strawberry.field
    def first(self, info: strawberry.Info) -> Leaf | None:
        return cast(Leaf, info.context.leaves[0])  # of none: an error

    @strawberry.field
    def known(self, info: strawberry.Info) -> list[Leaf]:
        return cast(list[Leaf], info.context.leaves)

    @strawberry.field
    def said(self, info: strawberry.Info) -> str:
        return info.field_name  # more than the short way knows

    @strawberry.field
    def twig(self) -> "Twig":
        return cast(Twig, self)


@strawberry.type
class Twig:
    @strawberry.field
    def known(self, info: strawberry.Info) -> list[Leaf] | None:
        return cast(list[Leaf], info.context.few)

    @strawberry.field
    def shout(self) -> str:
        return cast(str, self.name)  # type: ignore[attr-defined]


@strawberry.type
class Query:
    @strawberry.field
    def branch(self, info: strawberry.Info) -> Branch | None:
        return cast(Branch, info.context)


SCHEMA = strawberry.Schema(Query, config=StrawberryConfig(scalar_map=SCALARS))
LEAF = "{ id text n: count ratio flag maybe colour at data tags }"
QUERIES = [
    f"{{ branch {{ name shout leaf {LEAF} leaves {LEAF} few {LEAF} }} }}",
    "{ branch { __typename leaf { __typename text } leaves { t: text u: text } } }",
    "{ branch { ...b } } fragment b on Branch { leaf { ...l flag } leaves { ... on Leaf { count } ...l } } "
    "fragment l on Leaf { text count }",
    f"{{ branch {{ name shout first {LEAF} known {LEAF} said twig {{ shout known {LEAF} }} }} }}",
    "{ branch { name a: twig { b: known { c: text } shout } known { count } } }",
    "{ branch { leaf { text @skip(if: true) count @include(if: true) } leaves { text @include(if: false) flag } } }",
]

values = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**40), 2**40), st.floats(), st.text(max_size=3), st.just(Colour.RED)
)


def _good() -> dict[str, Any]:
    return {
        "id": uuid4(),
        "text": "x",
        "count": 1,
        "ratio": 1.5,
        "flag": True,
        "maybe": None,
        "colour": Colour.RED,
        "at": datetime.fromisoformat("2026-01-01T00:00:00+00:00"),
        "data": {"a": [1]},
        "tags": ["a"],
    }


leaves = st.builds(
    lambda wrong: SimpleNamespace(**{**_good(), **wrong}),
    st.dictionaries(st.sampled_from(["text", "count", "ratio", "flag", "maybe", "tags"]), values, max_size=2),
)
branches = st.builds(
    SimpleNamespace,
    name=st.one_of(st.text(max_size=3), st.none()),
    leaf=st.one_of(leaves, st.none()),
    leaves=st.lists(leaves, max_size=3),
    few=st.one_of(st.none(), st.lists(st.one_of(leaves, st.none()), max_size=2)),
    shout=st.just("X"),
)


DOCUMENTS = {query: parse(query) for query in QUERIES}
COMPILED: dict[str, Compiled] = {query: {} for query in QUERIES if "@" not in query}


class Remembering(Projector):
    """As operations run that were asked before."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.compiled = next((COMPILED.get(query) for query, known in DOCUMENTS.items() if self._is_of(known)), None)

    def _is_of(self, document: DocumentNode) -> bool:
        return any(self.operation is each for each in document.definitions)


def _said(executor: type[Any], query: str, branch: object) -> tuple[object, object]:
    result = execute(
        SCHEMA._schema,
        DOCUMENTS.get(query) or parse(query),
        context_value=branch,
        executor_class=executor,
        operation_extensions=None,
    )
    assert isinstance(result, ExecutionResult)
    return repr(result.data), sorted((str(e.path), e.message, str(e.locations)) for e in result.errors or [])


@pytest.mark.parametrize("query", QUERIES)
@given(branch=branches)
def test_both_ways_say_the_same(query: str, branch: object) -> None:
    said = _said(StrawberryGraphQLCoreExecutionContext, query, branch)
    assert _said(Projector, query, branch) == said
    assert _said(Remembering, query, branch) == said


@pytest.fixture
def completed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """The types of what graphql-core completes."""
    types: list[object] = []
    slow = StrawberryGraphQLCoreExecutionContext.complete_value

    def counted(self: Any, *given_: Any) -> Any:
        types.append(given_[0])
        return slow(self, *given_)

    monkeypatch.setattr(StrawberryGraphQLCoreExecutionContext, "complete_value", counted)
    return types


def test_good_data_takes_the_short_way(completed: list[object]) -> None:
    """Otherwise the test above would compare graphql-core with itself."""
    many = [SimpleNamespace(**_good()) for _ in range(20)]
    branch = SimpleNamespace(name="b", leaf=many[0], leaves=many, few=None)
    assert _said(Projector, f"{{ branch {{ name leaves {LEAF} }} }}", branch)[1] == []
    assert len(completed) < 6


def test_what_lies_in_lists_and_what_functions_give_takes_the_short_way(completed: list[object]) -> None:
    many = [SimpleNamespace(**_good()) for _ in range(20)]
    branch = SimpleNamespace(name="b", leaf=many[0], leaves=many, few=many)
    query = f"{{ branch {{ shout known {LEAF} twig {{ shout known {LEAF} }} few {LEAF} first {{ text }} }} }}"
    assert _said(Projector, query, branch)[1] == []
    assert len(completed) < 3


def test_those_who_select_the_same_share_what_was_written_for_it() -> None:
    many = [SimpleNamespace(**_good()) for _ in range(2)]
    branch = SimpleNamespace(name="b", leaf=many[0], leaves=many, few=None)
    before = _written.cache_info().misses
    assert _said(Projector, "{ branch { name leaves { a: text } } }", branch)[1] == []
    assert _written.cache_info().misses == before + 2
    assert _said(Projector, "query Again { branch { name ...l } } fragment l on Branch { leaves { a: text } }", branch)
    assert _written.cache_info().misses == before + 2


def test_an_operation_that_is_over_leaves_nothing_for_the_garbage_collector() -> None:
    class Known(SimpleNamespace):
        pass

    many = [SimpleNamespace(**_good())]
    branch = Known(name="b", leaf=many[0], leaves=many, few=None)
    left = weakref.ref(branch)
    gc.disable()
    try:
        assert _said(Projector, f"{{ branch {{ name said leaves {LEAF} }} }}", branch)[1] == []
        del branch
        assert left() is None
    finally:
        gc.enable()


def test_what_must_be_waited_for_is_asked_once_on_the_short_way_and_then_the_long_way() -> None:
    asked: list[object] = []

    @strawberry.type
    class Slow:
        @strawberry.field
        def text(self) -> str:
            async def later() -> str:
                return "later"

            asked.append(self)
            return cast(str, later())

    @strawberry.type
    class Root:
        @strawberry.field
        def slow(self) -> list[Slow]:
            return [Slow(), Slow(), Slow()]

    schema = strawberry.Schema(Root)._schema
    query = parse("{ slow { text } }")
    result = asyncio.run(cast(Any, execute(schema, query, executor_class=Projector, operation_extensions=None)))
    assert (result.data, result.errors) == ({"slow": [{"text": "later"}] * 3}, None)
    assert len(asked) == 4


def test_objects_of_several_types_in_one_place_are_each_read_as_what_they_are() -> None:
    @strawberry.type
    class Pump:
        name: str

    @strawberry.type
    class Room:
        name: str
        floor: str

    @strawberry.type
    class Building:
        @strawberry.field
        def things(self) -> list[Annotated[Pump | Room, strawberry.union("Thing")]]:
            return [Pump(name="p"), Room(name="r", floor="1")]

    schema = strawberry.Schema(Building)._schema
    query = parse("{ things { ... on Pump { pump: name } ... on Room { room: name floor } } }")
    result = execute(schema, query, executor_class=Projector, operation_extensions=None)
    assert (result.data, result.errors) == ({"things": [{"pump": "p"}, {"room": "r", "floor": "1"}]}, None)
