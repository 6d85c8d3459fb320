"""What does not fit is named, and what was sent is not repeated: it may hold a password or a token."""

from typing import Any

import pytest
from graphql import build_schema, graphql_sync

from resolvers.errors import refused

SCHEMA = build_schema("input Login { age: Int! secret: String! } type Query { f(one: Login, many: [Login!]): Int }")
WRONG: list[tuple[str, Any, str]] = [
    ("one: Login", [{"secret": "sesame"}], "to be an object"),
    ("one: Login", {"secret": "sesame"}, "required field 'age'"),
    ("one: Login", {"age": 1, "secret": {"is": "sesame"}}, "String cannot represent"),
    ("one: Login", {"age": 1, "secret": ["sesame"]}, "String cannot represent"),
    ("one: Login", "sesame", "to be an object"),
    ("many: [Login!]", ["sesame"], "to be an object"),
]


@pytest.mark.parametrize(("asked", "sent", "said"), WRONG)
def test_what_was_sent_is_not_repeated(asked: str, sent: Any, said: str) -> None:
    name, kind = asked.split(": ")
    errors = graphql_sync(SCHEMA, f"query ($v: {kind}) {{ f({name}: $v) }}", variable_values={"v": sent}).errors
    (error,) = errors or ()
    assert "sesame" in error.message  # else there would be nothing to leave out
    message = refused(error).message
    assert said in message
    assert "sesame" not in message
