"""These tests speak to a real gateway."""

from tests.support.gateway import api, gateway, served, token

__all__ = ["api", "gateway", "served", "token"]
