"""The mirror's routes and its OpenAPI document, looked at without a server."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from graphql import parse, validate

from resolvers.assembly import schema
from resolvers.openapi import document
from resolvers.requests import _version
from resolvers.routes import Restful, locations, routes

GRAPHQL = schema()._schema
ROUTES = routes(GRAPHQL)
DOCUMENT = document(GRAPHQL)
OPERATIONS = [
    (path, method, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method.value} {route.path}")
def test_the_document_of_a_route_is_valid_and_its_path_takes_what_it_names(route: Restful) -> None:
    assert validate(GRAPHQL, parse(route.document)) == []
    named = set(re.findall(r"\{(\w+)\}", route.path))
    assert named == {parameter.name for parameter in route.parameters if parameter.place == "path"}


def test_a_fixed_path_is_tried_before_one_with_a_placeholder() -> None:
    paths = [route.path for route in ROUTES]
    assert paths.index("/devices/counts") < paths.index("/devices/{id}")


def test_things_below_a_thing_are_shown_by_what_they_are_called_alone() -> None:
    alert = next(route for route in ROUTES if route.path == "/alerts/{id}" and route.kind == "query")
    assert "device { id key name }" in alert.document, "what another right protects, by what anybody may read of it"
    assert "rule { id name }" in alert.document
    made = next(route for route in ROUTES if route.path == "/devices" and route.kind == "mutation")
    assert "device { id key name" in made.document, "what was made is shown whole"


def test_every_kind_of_thing_that_is_made_has_a_place_or_a_reason() -> None:
    places = locations(ROUTES)
    made = {route.type.name for route in ROUTES if route.status == 201 and route.type}
    without = {name for name in made if name not in places and f"{name.removesuffix('Provisioned')}" not in places}
    secret = {route.type.name for route in ROUTES if route.type and route.shows_secret}
    assert {"TokenIssued", "CredentialIssued"} <= without
    no_place = {"CertificateAuthority", "CertificateSigned", "ClaimCertificateSigned", "Credential"}
    assert without - secret == no_place, "what is shown once has no route, credentials and authorities are in lists"


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for value in node.values():
            yield from _references(value)
    elif isinstance(node, list):
        for value in node:
            yield from _references(value)


def test_every_reference_leads_somewhere_and_nothing_is_described_in_vain() -> None:
    described = {f"#/components/schemas/{name}" for name in DOCUMENT["components"]["schemas"]}
    assert set(_references(DOCUMENT)) == described


def test_every_operation_has_a_name_of_its_own_words_and_the_refusals_of_its_field() -> None:
    names = [operation["operationId"] for _, _, operation in OPERATIONS]
    assert len(names) == len(set(names)) == len(ROUTES)
    for path, _method, operation in OPERATIONS:
        assert operation["description"].endswith((".", ")")), path
        assert {"400", "401"} <= operation["responses"].keys(), path
        assert all(parameter["description"] for parameter in operation["parameters"]), path


def test_bounds_are_published() -> None:
    devices = DOCUMENT["paths"]["/api/v1/devices"]["get"]["parameters"]
    first = next(parameter for parameter in devices if parameter["name"] == "first")
    assert first["schema"] == {"type": "integer", "minimum": 1, "maximum": 200, "default": 50}
    key = DOCUMENT["components"]["schemas"]["DeviceProvision"]["properties"]["key"]
    assert (key["maxLength"], key["pattern"]) == (40, "^[A-Za-z0-9_-]{1,40}$")


def test_secrets_and_scopes_are_marked_in_the_schema() -> None:
    secret = {route.type.name for route in ROUTES if route.type and route.shows_secret}
    assert {"TokenIssued", "CredentialIssued", "DeviceProvisioned"} <= secret
    answers = re.sub(r"^input .*?^}$", "", schema().as_str(), flags=re.MULTILINE | re.DOTALL)
    said = re.findall(r"^  (\w*(?:secret|token)\w*): String!(.*)$", answers, re.MULTILINE | re.I)
    assert said
    assert [name for name, marks in said if "@secret" not in marks] == [], "a text called so is shown once, and marked"
    assert json.dumps(DOCUMENT).count('"x-needs"') > 25


class _Request:
    def __init__(self, header: str | None) -> None:
        self.headers = {} if header is None else {"if-match": header}


@pytest.mark.parametrize(
    ("header", "version"),
    [
        (None, None),
        ("*", None),
        ('"v7"', 7),
        ('"v7.0a1b2c3d4e5f"', 7),
        (' "v7" ', 7),
        ('W/"v7"', 2_147_483_647),
        ('"7"', 2_147_483_647),
        ('"v99999999999"', 2_147_483_647),
        ('"v0"', 2_147_483_647),
    ],
)
def test_an_etag_is_read_as_the_version_it_stands_for(header: str | None, version: int | None) -> None:
    assert _version(_Request(header)) == version  # type: ignore[arg-type]
