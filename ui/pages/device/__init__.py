"""One device: what it says now, its history, how it connects, and the end of its life."""

from ui.pages.device.page import device
from ui.pages.device.state import Device

__all__ = ["Device", "device"]
