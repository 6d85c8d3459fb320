"""The OpenAPI document for devices is the generated one, and whole; the adapter's tests hold answers against it."""

import re
from typing import Any

import pytest
import yaml
from jsonschema_rs import Draft202012Validator

from schema.wire import http, openapi

COMMITTED = yaml.safe_load(openapi.FILE.read_text())


def test_the_committed_document_is_the_generated_one() -> None:
    assert openapi.FILE.read_text() == openapi.text()


def test_every_path_is_served_and_names_its_parameters() -> None:
    for path, item in COMMITTED["paths"].items():
        [(method, operation)] = item.items()
        named = [parameter for parameter in operation["parameters"] if parameter["in"] == "path"]
        assert {parameter["name"] for parameter in named} == set(re.findall(r"\{(\w+)\}", path))
        assert all(re.search(parameter["schema"]["pattern"], "a-7") for parameter in named)
        parsed = http.parse(re.sub(r"\{\w+\}", "a-7", path))
        assert parsed is not None
        assert (http.up_tail(parsed[1]) is not None) == (method == "post")


def test_every_reference_leads_somewhere_and_each_scheme_is_described() -> None:
    for reference in re.findall(r"#/components/schemas/(\w+)", openapi.FILE.read_text()):
        assert reference in COMMITTED["components"]["schemas"]
    assert {name for each in COMMITTED["security"] for name in each} == set(COMMITTED["components"]["securitySchemes"])


@pytest.mark.parametrize("path", [path for path, item in COMMITTED["paths"].items() if "post" in item])
def test_every_published_example_is_valid(path: str) -> None:
    content: Any = COMMITTED["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    name = content["schema"]["$ref"].rpartition("/")[2]
    for example in content["examples"].values():
        Draft202012Validator(COMMITTED["components"]["schemas"][name]).validate(example["value"])
