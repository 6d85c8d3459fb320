"""How the contract refuses: one list of short names with their HTTP status, used by both faces."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.errors import Conflict, EngineError, Expired, Forbidden, Invalid, NotFound, Unavailable
from engine.quotas.errors import QuotaExceeded
from engine.tenants.errors import InvitedTooOften


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a caller is told: HTTP status, machine-readable code, a sentence for people, and details."""

    status: int
    code: str
    message: str
    details: Mapping[str, object]

    @property
    def slug(self) -> str:
        """The code as it appears in a problem's type: ``NOT_FOUND`` is ``not-found``."""
        return slug(self.code)

    def extensions(self) -> dict[str, object]:
        """The ``extensions`` of a GraphQL error."""
        said: dict[str, object] = {"code": self.code, "status": self.status, "slug": self.slug}
        if self.details:
            said["details"] = dict(self.details)
        return said


class Unauthenticated(EngineError):
    """Sign in first, or send a valid bearer token."""

    code = "UNAUTHENTICATED"


class TooMany(EngineError):
    """Too many requests; wait and try again."""

    code = "TOO_MANY_REQUESTS"


class TooCostly(EngineError):
    """This operation asks for too much at once."""

    code = "TOO_COSTLY"


class BadInput(EngineError):
    """An argument is outside its bounds."""

    code = "BAD_INPUT"


class Unstorable(Invalid):
    """Text cannot contain the character U+0000."""

    code = "UNSTORABLE"


STATUS: tuple[tuple[type[EngineError], int], ...] = (
    (BadInput, 400),
    (TooCostly, 400),
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (Expired, 410),
    (Invalid, 422),
    (TooMany, 429),
    (QuotaExceeded, 429),
    (InvitedTooOften, 429),
    (Unavailable, 503),
    (EngineError, 400),
)
"""The HTTP status of each kind of refusal; the first kind that fits counts."""


def refusal(error: EngineError) -> Refusal:
    """What a caller is told about ``error``."""
    status = next(status for kind, status in STATUS if isinstance(error, kind))
    return Refusal(status, error.code, error.message, {key: _plain(value) for key, value in error.details.items()})


def slug(code: str) -> str:
    """A code as a path segment: lower case, dashes."""
    return code.lower().replace("_", "-")


def _plain(value: object) -> object:
    """Details travel as JSON: what JSON does not know becomes its text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return str(value)
