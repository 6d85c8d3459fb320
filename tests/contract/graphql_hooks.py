"""What schemathesis must know about our GraphQL: how scalars look, and which errors are refusals, not failures."""

import json
import os
from datetime import datetime
from typing import Any

import graphql
import schemathesis
from hypothesis import strategies as st
from schemathesis.graphql import nodes

from schema.rules import EXAMPLE


def ast_from_value_untyped(value: Any) -> graphql.ValueNode:
    """A JSON value as it is written in a GraphQL document."""
    text = {True: "true", False: "false", None: "null"}.get(value) if value is None or isinstance(value, bool) else None
    if isinstance(value, dict):
        text = (
            "{" + ", ".join(f"{key}: {graphql.print_ast(ast_from_value_untyped(v))}" for key, v in value.items()) + "}"
        )
    elif isinstance(value, list):
        text = "[" + ", ".join(graphql.print_ast(ast_from_value_untyped(v)) for v in value) + "]"
    return graphql.parse_value(text or json.dumps(value))


_KNOWN = os.environ.get("TIDEGATE_TEST_IDS", "").split()
_RULE = EXAMPLE.json

schemathesis.graphql.scalar(
    "ID", st.one_of(st.sampled_from(_KNOWN) if _KNOWN else st.nothing(), st.uuids().map(str)).map(nodes.String)
)
schemathesis.graphql.scalar(
    "DateTime",
    st.one_of(st.datetimes(), st.datetimes(datetime(2090, 1, 1))).map(  # noqa: DTZ001  the Z follows
        lambda at: nodes.String(at.isoformat(timespec="seconds") + "Z")
    ),
)
schemathesis.graphql.scalar(
    "JSON", st.one_of(st.just(ast_from_value_untyped(json.loads(_RULE))), st.integers(0, 9).map(nodes.Int))
)
schemathesis.graphql.scalar("Labels", st.just(nodes.Object(fields=())))


@schemathesis.check
def refuses_in_words(_ctx: object, response: schemathesis.Response, _case: schemathesis.Case) -> None:
    """Refusals come as errors with HTTP 200, each with a code and a 4xx status; a failure of ours has neither."""
    assert response.status_code == 200, f"{response.status_code}: {response.text[:300]}"
    for error in response.json().get("errors", ()):
        said = error["extensions"]
        assert said["code"] != "INTERNAL", f"failed inside: {error['message']}"
        assert 400 <= said["status"] < 500, f"{said['code']} has the status {said['status']}"
        assert len(error["message"]) > 10, "no words"
