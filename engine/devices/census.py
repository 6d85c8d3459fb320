"""How many devices there are of a kind: counted by the database, so that a hundred thousand are not read for it."""

from collections.abc import Collection, Sequence
from typing import TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from engine.devices import groups, tables
from engine.devices.model import DeviceStatus
from engine.store.tx import Tx

devices, profiles = tables.devices, tables.profiles
Labels: TypeAlias = ColumnElement[dict[str, str]]

LABELS: Labels = devices.c.labels
"""A device's labels, for whoever asks something of them."""


async def count(
    tx: Tx,
    *,
    profile: str | None = None,
    device_ids: Collection[UUID] | None = None,
    group_ids: Collection[UUID] | None = None,
    labelled: Sequence[ColumnElement[bool]] = (),
) -> int:
    """How many devices whoever asks may see, decommissioned ones left out, fit all that is given.

    ``group_ids``: in any of them; ``labelled`` are conditions on LABELS.
    """
    mine = devices.c.tenant_id == tx.principal.tenant_id
    wanted = [mine, devices.c.status != DeviceStatus.DECOMMISSIONED, *labelled]
    if profile is not None:
        wanted.append(devices.c.profile_id.in_(_profile(tx, profile)))
    if device_ids is not None:
        wanted.append(devices.c.id.in_(device_ids))
    if group_ids is not None:
        found = await groups.by_ids(tx, group_ids)
        wanted.append(or_(False, *(groups.holds(tx, group) for group in found)))
    (row,) = await tx.rows_of_many(select(func.count().label("n")).select_from(devices).where(and_(*wanted)))
    return int(row["n"])


async def by_profile(tx: Tx) -> dict[str, int]:
    """How many devices whoever asks may see, decommissioned ones left out, each profile has: by the profile's key."""
    mine = and_(devices.c.tenant_id == tx.principal.tenant_id, devices.c.status != DeviceStatus.DECOMMISSIONED)
    joined = devices.join(
        profiles, and_(profiles.c.tenant_id == devices.c.tenant_id, profiles.c.id == devices.c.profile_id)
    )
    counted = select(profiles.c.key, func.count().label("n")).select_from(joined).where(mine).group_by(profiles.c.key)
    return {row["key"]: int(row["n"]) for row in await tx.rows_of_many(counted)}


def _profile(tx: Tx, key: str) -> Select[tuple[UUID]]:
    return select(profiles.c.id).where(profiles.c.tenant_id == tx.principal.tenant_id, profiles.c.key == key)
