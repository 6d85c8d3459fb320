"""The names of devices and groups, for lists in which the contract gives only their ids."""

import asyncio
import re
from collections.abc import Iterable, Mapping

from ui.client import Refused
from ui.console import Console

GONE = "a removed device"
UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""What an id looks like; an address may have anything else in its place."""


async def with_names(console: Console, known: Mapping[str, str], device_ids: Iterable[str]) -> dict[str, str]:
    """`known` together with the names of those of the devices that are not in it yet."""
    unknown = sorted(set(device_ids) - known.keys())
    names = await asyncio.gather(*(_name_of(console, device_id) for device_id in unknown))
    return {**known, **dict(zip(unknown, names, strict=True))}


async def group_names(console: Console) -> dict[str, str]:
    """The names of the groups, by id; none for who may not see them."""
    try:
        found = (await console.ask("group_names"))["deviceGroups"]["items"]
    except Refused:
        return {}
    return {each["id"]: each["name"] for each in found}


async def _name_of(console: Console, device_id: str) -> str:
    try:
        device = (await console.ask("device_name", id=device_id))["device"]
    except Refused:
        return GONE
    return str(device["name"] or device["key"])
