"""The secret by which the web process knows its own ingest processes, which pass on what new devices say (ADR 33)."""

from collections.abc import Callable
from functools import cache

from engine.certificates import keyfile
from engine.settings import Settings

_BYTES = 32


def secret_of(settings: Settings) -> Callable[[], str]:
    """Gives the secret: what the operator has set, else that in the data folder, which is made on first use.

    What it returns raises KeyUnreadable.
    """
    path = settings.data_dir / "relay.key"

    @cache
    def secret() -> str:
        return settings.relay_secret or keyfile.read_or_make(path, _BYTES).hex()

    return secret
