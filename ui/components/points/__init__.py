"""A gateway's point table on its device's page."""

from ui.components.points.card import points
from ui.components.points.state import Points

__all__ = ["Points", "points"]
