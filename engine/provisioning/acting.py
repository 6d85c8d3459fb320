"""Who acts when a device comes in by itself: the way in, which has no rights but what this package does for it."""

from uuid import UUID

from engine.errors import EngineError
from engine.provisioning.model import Provisioner
from engine.store.audit import Deed
from engine.store.tx import Tx
from engine.tenancy import Principal


def principal(tenant_id: UUID, way: Provisioner | None, address: str) -> Principal:
    """The way in, or nobody in particular while one is looked for."""
    if way is None:
        return Principal(tenant_id, "provisioner", UUID(int=0), frozenset(), "", address)
    return Principal(tenant_id, "provisioner", way.id, frozenset(), f"{way.kind}: {way.name}", address)


def note(tx: Tx, way: Provisioner, device: str | None, error: EngineError) -> None:
    """Tell the audit log that a device was turned away."""
    said = {"device": (device or "")[:64]}
    tx.deeds.append(Deed("device.introduce", "provisioner", str(way.id), None, said, "refused", error.code))
