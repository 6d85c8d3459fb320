"""What the store refuses."""

from engine.errors import Forbidden, Unavailable


class StoreUnavailable(Unavailable):
    """The database is away for the moment; try again in a few seconds."""

    code = "STORE_UNAVAILABLE"


class OutsideGroups(Forbidden):
    """You may only add and change devices of your groups, and this would lie outside them."""

    code = "OUTSIDE_GROUPS"


class TransactionOver(RuntimeError):
    """Somebody asks in a transaction that has ended: a fault of ours, or a question that nobody waits for any more."""


class TimescaleUnusable(RuntimeError):
    """The database's TimescaleDB is missing, too old, or holds something else than what was moved into it."""
