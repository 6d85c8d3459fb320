"""What one operation may ask for, refused before anything runs."""

import pytest
from graphql import FragmentDefinitionNode, OperationDefinitionNode, parse

from resolvers.assembly import schema
from resolvers.execution import Operations, Prepared, Refused
from resolvers.limits import MAX_ALIASES, MAX_COST, MAX_DEPTH, MAX_FIELDS, MAX_TOKENS, measure_cost, measure_shape
from resolvers.selections import fields_of
from schema.errors import TooCostly
from tests.support.api import Api
from tests.support.tenant import Tenant

OPERATIONS = Operations(schema())


def _cost(query: str, **variables: object) -> int:
    prepared: Prepared = OPERATIONS.prepare(query)
    return measure_cost(OPERATIONS.graphql, prepared.operation(None), prepared.fragments, variables)


def _refusal(query: str) -> str:
    with pytest.raises(Refused) as refused:
        OPERATIONS.prepare(query)
    return str(refused.value)


def test_a_document_of_too_many_tokens_is_not_even_parsed() -> None:
    assert "1000 tokens" in _refusal("{ " + "me { kind } " * 400 + "}")


@pytest.mark.parametrize("levels", [MAX_DEPTH, MAX_DEPTH + 1])
@pytest.mark.parametrize("behind", ["", "fragments"])
def test_an_operation_nested_too_deep_is_refused(levels: int, behind: str) -> None:
    """Also where fragments hide it. No type of today goes so deep, so this asks the measure itself."""
    text = "{ leaf }"
    rest = ""
    for level in range(levels - 1):
        if behind:
            rest += f" fragment f{level} on Any {text}"
            text = f"{{ a {{ ...f{level} }} }}"
        else:
            text = f"{{ a {text} }}"
    document = parse(text + rest)
    operation, *others = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    fragments = {node.name.value: node for node in others if isinstance(node, FragmentDefinitionNode)}
    if levels <= MAX_DEPTH:
        measure_shape([operation], fragments)
    else:
        with pytest.raises(TooCostly, match=f"{levels} levels"):
            measure_shape([operation], fragments)


def test_an_operation_that_renames_too_many_fields_is_refused() -> None:
    assert "renames" in _refusal("{ " + " ".join(f"a{n}: me {{ kind }}" for n in range(MAX_ALIASES + 1)) + " }")


def test_fragments_do_not_hide_aliases() -> None:
    spreads = " ".join(f"... on Query {{ a{n}: me {{ kind }} }}" for n in range(MAX_ALIASES + 1))
    assert "renames" in _refusal(f"{{ {spreads} }}")


def test_a_fragment_counts_once_in_a_selection_however_often_it_is_spread() -> None:
    """Otherwise a short text of fragments that each spread the next one twice keeps a process busy for years."""
    doubling = "".join(f" fragment F{n} on Query {{ ...F{n + 1} ...F{n + 1} }}" for n in range(12))
    document = parse(f"{{ ...F0 ...F0 }}{doubling} fragment F12 on Query {{ one: me {{ name }} two: me {{ name }} }}")
    operation, *fragments = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    by_name = {node.name.value: node for node in fragments if isinstance(node, FragmentDefinitionNode)}
    assert len(list(fields_of(operation.selection_set, by_name))) == 2
    measure_shape([operation], by_name)  # two renamings, not thousands


def _multiplying(times: int, name: str = "") -> str:
    """An operation whose fragments each have one field so many times, and with it the next fragment."""
    path = [("AlertPage", "items"), ("Alert", "device"), ("Device", "profile")]
    spread = [
        f" fragment F{n}{name} on {type_} {{ {f'{field} {{ ...F{n + 1}{name} }} ' * times}}}"
        for n, (type_, field) in enumerate(path)
    ]
    last = f" fragment F{len(path)}{name} on Profile {{ {'key ' * times}}}"
    return f"query Q{name} {{ alerts {{ ...F0{name} }} }}{''.join(spread)}{last}"


def test_one_field_many_times_does_not_multiply_through_fragments() -> None:
    """No renaming, not deep and short: six levels of nine would keep the process busy for seconds."""
    OPERATIONS.prepare(_multiplying(6))  # 1 + 6 + 36 + 216 + 1296
    assert f"more than {MAX_FIELDS} fields" in _refusal(_multiplying(9))


def test_several_operations_of_a_document_are_counted_together() -> None:
    assert f"more than {MAX_FIELDS} fields" in _refusal(_multiplying(6, "a") + " " + _multiplying(6, "b"))


def test_nothing_of_a_document_without_fragments_is_refused_for_its_fields() -> None:
    """The tokens end before: what the console and generated documents ask for stays far below."""
    OPERATIONS.prepare("{ alerts { items { " + "id " * 450 + "} } }")
    assert MAX_FIELDS >= 2 * MAX_TOKENS


def test_introspection_cannot_be_nested_to_explode() -> None:
    assert OPERATIONS.prepare("{ __schema { types { name fields { name type { name } } } } }")
    bomb = "{ __schema { types { fields { type { fields { type { fields { type { fields { name } } } } } } } } } }"
    assert "introspection depth" in _refusal(bomb).lower()


def test_a_list_costs_as_much_as_it_may_be_long() -> None:
    few = _cost("{ devices(first: 5) { items { id profile { key } } } }")
    many = _cost("{ devices(first: 200) { items { id profile { key } } } }")
    assert many > 30 * few
    assert _cost("query($n: Int!) { devices(first: $n) { items { id profile { key } } } }", n=200) == many
    assert _cost("{ devices { items { id profile { key } } } }") == _cost(
        "{ devices(first: 50) { items { id profile { key } } } }"
    )


def test_null_for_how_many_makes_leaving_it_out_no_cheaper() -> None:
    text = "query ($n: Int) { devices(first: $n) { items { id } } }"
    alone, both = OPERATIONS.prepare(text), OPERATIONS.prepare(text)
    operation = alone.operation(None)
    OPERATIONS._cost(both, operation, {"n": None})
    assert OPERATIONS._cost(both, operation, {}) == OPERATIONS._cost(alone, operation, {})


def test_cost_is_found_behind_fragments() -> None:
    plain = _cost("{ devices { items { latest { metric } } } }")
    hidden = _cost(
        "{ devices { ...p } } fragment p on DevicePage { items { ...d } } fragment d on Device { latest { metric } }"
    )
    assert hidden == plain


def test_an_operation_that_costs_too_much_is_refused() -> None:
    series = 'telemetry(metric: "t", from: "2026-01-01T00:00:00Z") { times }'
    with pytest.raises(TooCostly, match=str(MAX_COST)):
        _cost(f"{{ devices(first: 200) {{ items {{ a: {series} b: {series} c: {series} }} }} }}")


async def test_a_body_that_is_too_long_is_refused(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    answer = await api.client.post(
        "/graphql",
        content=b'{"query":"' + b" " * 70_000 + b'"}',
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("accept", "status"), [("application/graphql-response+json", 400), ("application/json", 200), ("*/*", 200)]
)
async def test_a_refused_operation_has_the_status_of_its_media_type(api: Api, accept: str, status: int) -> None:
    answer = await api.client.post("/graphql", json={"query": "{ nothing }"}, headers={"Accept": accept})
    assert answer.status_code == status
    assert "Cannot query field 'nothing'" in answer.json()["errors"][0]["message"]


async def test_who_takes_neither_media_type_is_told_so(api: Api) -> None:
    answer = await api.client.post("/graphql", json={"query": "{ __typename }"}, headers={"Accept": "image/png"})
    assert answer.status_code == 406


async def test_get_does_not_change_anything(api: Api, tenant: Tenant) -> None:
    token = await tenant.api_token()
    answer = await api.client.get(
        "/graphql",
        params={"query": 'mutation { ruleDelete(id: "0190e6f2-7d3c-7c7a-9f3b-2b7f0a1c5d11") { id } }'},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_what_a_variable_decides_is_compiled_anew_each_time_and_all_else_once() -> None:
    assert OPERATIONS.prepare("{ devices { items { id } } }").compiled == {}
    assert OPERATIONS.prepare("query($x: Boolean!) { devices { items { id @include(if: $x) } } }").compiled is None
