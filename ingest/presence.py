"""Who came and who went becomes rows of the journal, in order, through the same writer as their telemetry."""

from collections.abc import Mapping

import orjson

from ingest.adapters.base import Decision, GoneReason
from ingest.notes import CONNECTED, DISCONNECTED
from ingest.writer import Writer

_SHOWN = ("protocol", "client_id", "address", "keep_alive_s")


class JournalPresence:
    """The `Presence` that adapters tell. `epoch` lets readers drop what belongs to an older session."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def connected(self, device: Decision, at: float, detail: Mapping[str, object]) -> None:
        """A device logged in at `at` (unix seconds)."""
        client = {name: detail[name] for name in _SHOWN if name in detail}
        self._record(device, CONNECTED, at, {"client": client})

    def disconnected(self, device: Decision, at: float, reason: GoneReason) -> None:
        """A device's connection ended at `at` (unix seconds)."""
        self._record(device, DISCONNECTED, at, {"reason": reason})

    def _record(self, device: Decision, kind: str, at: float, more: Mapping[str, object]) -> None:
        body = {"device": str(device.device_id), "at": int(at * 1000), "epoch": device.session_epoch, **more}
        self._writer.record(device.tenant_id, kind, orjson.dumps(body, default=str))
