"""Some of these tests have a gateway beside the ingest process, as in production."""

from tests.support.gateway import api, gateway, served

__all__ = ["api", "gateway", "served"]
