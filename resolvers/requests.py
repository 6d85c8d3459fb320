"""Reading a REST request: texts from the URL and JSON from the body become the variables of the route's operation."""

import re
from collections.abc import Mapping
from typing import Any

import orjson
from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLList,
    GraphQLNamedType,
    get_named_type,
    get_nullable_type,
)
from starlette.requests import Request

from engine.errors import EngineError
from resolvers.http import read_body
from resolvers.routes import Parameter, Restful
from schema.errors import BadInput

_INT = re.compile(r"-?(0|[1-9]\d{0,9})")
_FLOAT = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,3})?")
_ETAG = re.compile(r'"v(\d{1,10})(?:\.[0-9a-f]+)?"')
_MAX_KEY = 255
_NEVER = 2_147_483_647


class NotJson(EngineError):
    """Send the body as application/json."""

    code = "UNSUPPORTED_MEDIA_TYPE"


async def variables(route: Restful, request: Request, body: bytes) -> dict[str, Any]:
    """The operation's variables; raises BadInput for whatever the route does not know or cannot read."""
    found: dict[str, Any] = {}
    _from_query(route, request, found)
    for parameter in route.parameters:
        if parameter.place == "path":
            found[parameter.variable] = _from_texts(parameter, [request.path_params[parameter.name]])
        elif parameter.place == "if-match" and (version := _version(request)) is not None:
            found[parameter.variable] = version
    if route.takes_body:
        _from_body(route, _json(request, body, route_needs_body=route.needs_body), found)
    elif body.strip() not in (b"", b"{}"):
        raise BadInput("This request takes no body.")
    if route.is_stream and (last := request.headers.get("last-event-id")):
        found["after"] = last
    return found


async def body_of(route: Restful, request: Request) -> bytes:
    """The request's whole body; raises BodyTooLarge."""
    return await read_body(request, route.max_body_bytes)


def idempotency_key(request: Request) -> str | None:
    """The Idempotency-Key header; raises BadInput where it cannot be one."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 1 <= len(key) <= _MAX_KEY or not key.isascii() or not key.isprintable():
        raise BadInput(f"An Idempotency-Key has 1 to {_MAX_KEY} printable ASCII characters.")
    return key


def _from_query(route: Restful, request: Request, found: dict[str, Any]) -> None:
    known = {p.name: p for p in route.parameters if p.place == "query"}
    for name in dict.fromkeys(request.query_params.keys()):
        if name not in known:
            raise BadInput(f"There is no parameter {name[:60]!r} here.", argument=name[:60])
        texts = request.query_params.getlist(name)
        found[name] = _from_texts(known[name], texts)
    for name, parameter in known.items():
        if parameter.is_required and name not in found:
            raise BadInput(f"The parameter {name!r} is missing.", argument=name)


def _from_texts(parameter: Parameter, texts: list[str]) -> object:
    type_ = get_nullable_type(parameter.argument.type)
    named = get_named_type(type_)
    if isinstance(type_, GraphQLList):
        return [_from_text(parameter.name, named, text) for text in texts]
    if len(texts) > 1:
        raise BadInput(f"The parameter {parameter.name!r} is given more than once.", argument=parameter.name)
    return _from_text(parameter.name, named, texts[0])


def _from_text(name: str, type_: GraphQLNamedType, text: str) -> object:
    if type_.name == "Boolean" and text in ("true", "false"):
        return text == "true"
    if type_.name == "Int" and _INT.fullmatch(text):
        return int(text)
    if type_.name == "Float" and _FLOAT.fullmatch(text):
        return float(text)
    if type_.name in ("Boolean", "Int", "Float"):
        raise BadInput(f"The parameter {name!r} must be a {type_.name.lower()}.", argument=name)
    if isinstance(type_, GraphQLEnumType) and text not in type_.values:
        raise BadInput(f"The parameter {name!r} must be one of {', '.join(type_.values)}.", argument=name)
    return text


def _json(request: Request, body: bytes, *, route_needs_body: bool) -> dict[str, Any]:
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if body and media != "application/json":
        raise NotJson
    if not body and route_needs_body:
        raise BadInput("The body is missing.")
    try:
        given = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError:
        raise BadInput("The body is not valid JSON.") from None
    if not isinstance(given, dict):
        raise BadInput("The body must be a JSON object.")
    return given


def _from_body(route: Restful, given: Mapping[str, Any], found: dict[str, Any]) -> None:
    if route.body is not None:
        _require_lists(get_nullable_type(route.body.argument.type), given, "")
        found[route.body.variable] = given
        return
    known = {p.name: p for p in route.parameters if p.place == "body"}
    for name, value in given.items():
        if name not in known:
            raise BadInput(f"There is no field {name[:60]!r} here.", argument=name[:60])
        _require_lists(get_nullable_type(known[name].argument.type), value, name)
        found[name] = value
    for name, parameter in known.items():
        if parameter.is_required and name not in given:
            raise BadInput(f"The field {name!r} is missing.", argument=name)


def _require_lists(type_: object, value: object, path: str) -> None:
    """GraphQL takes one thing where a list is asked for; JSON Schema, and so this mirror, does not."""
    if value is None:
        return
    if isinstance(type_, GraphQLList):
        if not isinstance(value, list):
            raise BadInput(f"{path} must be a list.", argument=path)
        for item in value:
            _require_lists(get_nullable_type(type_.of_type), item, path)
    elif isinstance(type_, GraphQLInputObjectType) and isinstance(value, Mapping):
        for name, field in type_.fields.items():
            _require_lists(get_nullable_type(field.type), value.get(name), f"{path}.{name}".lstrip("."))


def _version(request: Request) -> int | None:
    """The version in If-Match: None for ``*`` or no header; one that nothing ever reaches for an ETag not of ours."""
    header = request.headers.get("if-match")
    if header is None or header.strip() == "*":
        return None
    match = _ETAG.fullmatch(header.strip())
    return min(int(match[1]) or _NEVER, _NEVER) if match else _NEVER
