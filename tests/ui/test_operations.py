"""Everything the console asks is part of the contract: no field of it is guessed."""

import re
from pathlib import Path

import pytest
from graphql import GraphQLSchema, parse, validate

import ui
from resolvers.assembly import schema
from ui.client import OPERATIONS

ISLANDS = Path(ui.__file__).parent / "islands"


@pytest.fixture(scope="module")
def contract() -> GraphQLSchema:
    found = schema() if callable(schema) else schema
    core: GraphQLSchema = found._schema
    return core


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_fits_the_contract(contract: GraphQLSchema, name: str) -> None:
    assert [error.message for error in validate(contract, parse(OPERATIONS[name]))] == []


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_an_operation_is_named_after_its_file(name: str) -> None:
    camel = "".join(part.capitalize() for part in name.split("_"))
    assert re.search(rf"\b(query|mutation|subscription) {camel}\b", OPERATIONS[name])


def test_the_subscriptions_of_the_islands_fit_the_contract(contract: GraphQLSchema) -> None:
    found = re.findall(r"`(subscription .*?)`", (ISLANDS / "live.js").read_text(), re.DOTALL)
    assert len(found) == 2
    for document in found:
        assert [error.message for error in validate(contract, parse(document))] == []


def test_every_operation_is_used() -> None:
    root = Path(ui.__file__).parent
    sources = "\n".join(path.read_text() for path in root.rglob("*.py") if ".web" not in path.parts)
    assert [name for name in OPERATIONS if f'"{name}"' not in sources] == []
