"""What the store refuses."""

from engine.errors import Unavailable


class StoreUnavailable(Unavailable):
    """The database is away for the moment; try again in a few seconds."""

    code = "STORE_UNAVAILABLE"
