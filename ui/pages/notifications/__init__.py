"""Notifications: who is told, by which channel, and what became of it."""

from ui.pages.notifications.page import notifications
from ui.pages.notifications.state import Notifications

__all__ = ["Notifications", "notifications"]
