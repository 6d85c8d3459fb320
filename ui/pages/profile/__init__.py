"""One profile: what its devices send and how often, what they can be told, what can be set on them, and who said so."""

from ui.pages.profile.page import profile
from ui.pages.profile.state import Profile

__all__ = ["Profile", "profile"]
