"""How bad something is, as rules, alerts and notifications say it."""

from engine.rules.model import Severity
from schema.enums import shown

__all__ = ["Severity"]

shown(
    Severity,
    "How bad it is, from a note to an emergency.",
    INFO="Worth knowing; nobody has to do anything.",
    MINOR="Somebody should look in the next days.",
    MAJOR="Somebody should look today.",
    CRITICAL="Somebody should look at once.",
)
