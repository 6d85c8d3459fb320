"""Everything the engine refuses, and the names by which it refuses.

The tree::

    EngineError
    ├── Invalid        what was sent cannot be accepted as it is      (400/422)
    ├── NotFound       there is no such thing, or none you may see    (404)
    ├── Forbidden      who asks may not do that                       (403)
    ├── Conflict       the thing has moved on, or the name is taken   (409)
    ├── Expired        it was valid once and no longer is             (410)
    └── Unavailable    a part we depend on is away; try again         (503)

A domain error is a subclass with a ``code`` and a docstring whose first line is its message to people.
Errors are translated in three places only: resolvers, ingest and the worker.
"""

from typing import ClassVar


class EngineError(Exception):
    """Something was refused."""

    code: ClassVar[str] = "ENGINE_ERROR"

    def __init__(self, message: str | None = None, **details: object) -> None:
        self.message = message or _first_line(type(self))
        self.details = details
        super().__init__(self.message)


class Invalid(EngineError):
    """What was sent cannot be accepted as it is."""

    code = "INVALID"


class NotFound(EngineError):
    """There is no such thing, or none that you may see."""

    code = "NOT_FOUND"


class Forbidden(EngineError):
    """You may not do that."""

    code = "FORBIDDEN"


class Conflict(EngineError):
    """It has changed meanwhile, or the name is taken."""

    code = "CONFLICT"


class Expired(EngineError):
    """It was valid once and no longer is."""

    code = "EXPIRED"


class Unavailable(EngineError):
    """A part of the platform is away for the moment; try again."""

    code = "UNAVAILABLE"


def _first_line(kind: type[EngineError]) -> str:
    return (kind.__doc__ or kind.__name__).strip().splitlines()[0]
