"""Turning whatever went wrong into what a caller may know: GraphQL errors and RFC 9457 problems."""

import logging
import re
import secrets
from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError

from engine.errors import EngineError
from resolvers.metrics import REFUSALS
from schema.errors import Refusal, refusal

log = logging.getLogger(__name__)

_OBJECT = re.compile(r"(, found| Found): [{\['\"].*|(?<=value): [{\[].*", re.DOTALL)
"""How graphql-core ends a message about an object or a list that does not fit: with what was sent."""


def refused(error: BaseException) -> Refusal:
    """What a caller is told about ``error``.

    Refusals say themselves. GraphQL's own messages (syntax, validation, coercion) say what was wrong with the request.
    Anything else is our fault: it is logged once, whole, under a correlation id, and only the id goes out.
    """
    cause = error
    while isinstance(cause, GraphQLError) and cause.original_error is not None:
        cause = cause.original_error
    if isinstance(cause, EngineError):
        return refusal(cause)
    if isinstance(cause, GraphQLError):
        return Refusal(400, "BAD_REQUEST", _without_object(cause.message), {})
    return _hidden(cause)


def _without_object(message: str) -> str:
    """What is wrong with an object that was sent, without all of it: it may hold a password or a token."""
    said = _OBJECT.sub("", message)
    return message if said == message else said.rstrip(".") + ("" if said.endswith("?") else ".")


def _hidden(cause: BaseException) -> Refusal:
    correlation_id = secrets.token_hex(8)
    log.error("request.failed", exc_info=cause, extra={"correlation_id": correlation_id})
    return Refusal(500, "INTERNAL", f"Something failed on our side. Correlation id: {correlation_id}", {})


def formatted(error: GraphQLError) -> dict[str, Any]:
    """A GraphQL error as it goes out: message, locations, path and ``extensions {code, status, slug, details}``."""
    refusal_ = refused(error)
    REFUSALS.labels(refusal_.code).inc()
    said: dict[str, Any] = {"message": refusal_.message}
    if error.locations:
        said["locations"] = [location.formatted for location in error.locations]
    if error.path is not None:
        said["path"] = error.path
    said["extensions"] = refusal_.extensions()
    return said


def retry_after(status: int, details: Mapping[str, object]) -> dict[str, str]:
    """The header that says when to come again, for the statuses that have one; what is known, else five seconds."""
    return {"Retry-After": str(details.get("retry_after_s", 5))} if status in (429, 503) else {}


def problem(refusal_: Refusal, instance: str | None = None) -> dict[str, Any]:
    """A refusal as an RFC 9457 problem document."""
    REFUSALS.labels(refusal_.code).inc()
    said: dict[str, Any] = {
        "type": f"/problems/{refusal_.slug}",
        "title": refusal_.code.replace("_", " ").capitalize(),
        "status": refusal_.status,
        "detail": refusal_.message,
        "code": refusal_.code,
    }
    if refusal_.details:
        said["details"] = dict(refusal_.details)
    if instance:
        said["instance"] = instance
    return said
