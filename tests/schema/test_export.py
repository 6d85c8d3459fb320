"""The committed contract is the contract: what the code says and what was written down are the same."""

from resolvers import export


def test_the_committed_graphql_schema_is_the_one_that_is_served() -> None:
    assert (export.FOLDER / "schema.graphql").read_text() == export.sdl(), "run `tidegate schema` and commit"


def test_the_committed_openapi_document_is_the_one_that_is_served() -> None:
    assert (export.FOLDER / "openapi.json").read_bytes() == export.openapi(), "run `tidegate schema` and commit"
