"""A name that people read and a key that never changes: as long as nobody touches the key, it follows the name."""

import re
import unicodedata

import reflex as rx

KEY = re.compile(r"[A-Za-z0-9_-]{1,40}")


def propose_key(name: str) -> str:
    """A key from a name: `Kühlraum Nord 2` becomes `kuhlraum-nord-2`."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9_]+", "-", plain).strip("-")[:40].strip("-")


class Named(rx.State, mixin=True):
    """The name and key of something that is being made, or was; the state that uses it says when a key may follow."""

    name: str = ""
    key: str = ""

    _is_own_key: bool = False

    def _may_follow(self) -> bool:
        """Whether the key is still open: it is chosen once."""
        return True

    def _propose_key(self, name: str) -> str:
        """The key that goes with a name."""
        return propose_key(name)

    @rx.event
    def set_name(self, name: str) -> None:
        """The name; the key follows until somebody touches it."""
        self.name = name
        if self._may_follow() and not self._is_own_key:
            self.key = self._propose_key(name)

    @rx.event
    def set_key(self, key: str) -> None:
        """A key of the user's own; emptied, it follows the name again."""
        self.key, self._is_own_key = key.strip(), bool(key.strip())
