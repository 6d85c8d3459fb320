"""Writes the contract down: schema.graphql and openapi.json, committed so that every change of a promise is seen."""

from pathlib import Path

import orjson

from resolvers.assembly import schema
from resolvers.openapi import document

FOLDER = Path(__file__).parent.parent / "schema"


def sdl() -> str:
    """The schema in GraphQL's own language, directives included."""
    return schema().as_str().rstrip() + "\n"


def openapi() -> bytes:
    """The OpenAPI document of the REST mirror."""
    return orjson.dumps(document(schema()._schema), option=orjson.OPT_INDENT_2) + b"\n"


def main() -> None:
    """Write both files."""
    (FOLDER / "schema.graphql").write_text(sdl(), encoding="utf-8")
    (FOLDER / "openapi.json").write_bytes(openapi())


if __name__ == "__main__":
    main()
