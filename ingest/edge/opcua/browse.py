"""What is there on an OPC-UA server, as a proposed point table: bounded in depth, number and time."""

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from asyncua import Node, ua
from asyncua.client.ua_session import UaSession
from asyncua.common.ua_utils import data_type_to_variant_type
from asyncua.ua.uaerrors import UaError

from ingest.edge.driver import Cut, Failed, Proposal, Turn
from ingest.edge.opcua.errors import Refused
from ingest.edge.opcua.session import Session
from ingest.edge.opcua.settings import address_of, text_of
from ingest.edge.opcua.units import unit_of
from ingest.edge.opcua.values import is_usable, raw_of, type_of
from ingest.edge.usable import Unusable

_FOR_S = 45.0
_DEPTH, _DEEPEST = 6, 12
_NUMBER, _MOST = 500, 2_000
_SEEN = 20_000
"""Nodes looked at in all: a server may be endless, or go round in circles."""
_AT_ONCE = 20
_CHILDREN = 1_000
_PROPERTY = ua.NodeId(ua.ObjectIds.PropertyType)
_SCALAR = {-1, -2, -3}


@dataclass(slots=True)
class _Found:
    node: ua.NodeId
    name: str
    owner: ua.NodeId
    owner_name: str
    units: ua.NodeId | None = None


@dataclass(slots=True)
class _Harvest:
    number: int
    variables: dict[ua.NodeId, _Found] = field(default_factory=dict)
    methods: list[_Found] = field(default_factory=list)
    seen: set[ua.NodeId] = field(default_factory=set)

    @property
    def is_full(self) -> bool:
        return len(self.variables) + len(self.methods) >= self.number or len(self.seen) >= _SEEN


async def browse(session: Session, wanted: Mapping[str, Any], turn: Turn) -> Sequence[Proposal]:
    """Proposed points below `wanted["under"]` (a node, else all), `depth` deep, at most `most`.

    Raises Failed when `wanted` is not understood, Cut when not all was looked at, Refused or Unreachable.
    """
    start, depth, number = await _wanted(session, wanted)
    harvest, missed = _Harvest(number), ""
    try:
        async with asyncio.timeout(_FOR_S):
            if not await _look(session, start, depth, harvest, turn):
                missed = f"there are more than {harvest.number} points, or very many nodes without any"
    except TimeoutError:
        missed = f"it took {_FOR_S:.0f} s already"
    proposals = await _proposals(session, harvest, turn)
    if missed:
        remedy = f"look again `under` one part of it, or ask for more (`most`, up to {_MOST})"
        raise Cut(f"Not all was looked at: {missed}. What was found stands; {remedy}.", proposals)
    return proposals


async def _wanted(session: Session, wanted: Mapping[str, Any]) -> tuple[ua.NodeId, int, int]:
    unknown = set(wanted) - {"under", "depth", "most"}
    if unknown:
        raise Failed(f"Nothing is known by the name {sorted(unknown)[0]!r}; there are: depth, most, under.")
    depth, number = wanted.get("depth", _DEPTH), wanted.get("most", _NUMBER)
    if type(depth) is not int or not 1 <= depth <= _DEEPEST:
        raise Failed(f"`depth` is a whole number from 1 to {_DEEPEST}.")
    if type(number) is not int or not 1 <= number <= _MOST:
        raise Failed(f"`most` is a whole number from 1 to {_MOST}.")
    under = wanted.get("under", "i=85")
    try:
        address = address_of(under)
    except (UaError, ValueError, TypeError, AttributeError):
        raise Failed("`under` is a node such as ns=2;s=Line1.") from None
    return await session.node_of(address), depth, number


async def _look(session: Session, start: ua.NodeId, depth: int, harvest: _Harvest, turn: Turn) -> bool:
    """Gather what there is; whether that was all, so deep."""
    level: list[tuple[ua.NodeId, str]] = [(start, "objects")]
    harvest.seen.add(start)
    for _ in range(depth):
        below: list[tuple[ua.NodeId, str]] = []
        for first in range(0, len(level), _AT_ONCE):
            batch = level[first : first + _AT_ONCE]
            async with turn():
                children = await _children(session, batch)
            for (owner, owner_name), references in zip(batch, children, strict=True):
                for reference in references:
                    if harvest.is_full:
                        return False
                    if (inner := _take(reference, owner, owner_name, harvest)) is not None:
                        below.append(inner)
        level = below
        if not level:
            break
    return True


def _take(
    reference: ua.ReferenceDescription, owner: ua.NodeId, owner_name: str, harvest: _Harvest
) -> tuple[ua.NodeId, str] | None:
    """Keep what the reference leads to; itself, if something may lie below it."""
    node = ua.NodeId(reference.NodeId.Identifier, reference.NodeId.NamespaceIndex, reference.NodeId.NodeIdType)
    name = (reference.BrowseName.Name or "") if reference.BrowseName is not None else ""
    if reference.NodeClass == ua.NodeClass.Variable and reference.TypeDefinition == _PROPERTY:
        if name == "EngineeringUnits" and owner in harvest.variables:
            harvest.variables[owner].units = node
        return None
    if node in harvest.seen or node.NamespaceIndex == 0:  # what every server has about itself
        return None
    harvest.seen.add(node)
    found = _Found(node, name, owner, owner_name)
    if reference.NodeClass == ua.NodeClass.Method:
        harvest.methods.append(found)
        return None
    if reference.NodeClass == ua.NodeClass.Variable:
        harvest.variables[node] = found
        return node, owner_name
    return (node, name) if reference.NodeClass == ua.NodeClass.Object else None


async def _children(session: Session, batch: Sequence[tuple[ua.NodeId, str]]) -> list[list[ua.ReferenceDescription]]:
    async def ask(some: Sequence[tuple[ua.NodeId, str]]) -> Sequence[ua.BrowseResult]:
        parameters = ua.BrowseParameters()
        parameters.RequestedMaxReferencesPerNode = _CHILDREN
        parameters.NodesToBrowse = [_down(node) for node, _ in some]
        results: Sequence[ua.BrowseResult] = await session.services.browse(parameters)
        return results

    children = []
    for result in await session.ask(session.batches.each(batch, ask)):
        references = list(result.References or ())
        more = result.ContinuationPoint
        while more and len(references) < _SEEN:
            further = ua.BrowseNextParameters(ReleaseContinuationPoints=False, ContinuationPoints=[more])
            (rest,) = await session.ask(session.services.browse_next(further))
            references += rest.References or ()
            more = rest.ContinuationPoint
        children.append(references)
    return children


def _down(node: ua.NodeId) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node,
        BrowseDirection=ua.BrowseDirection.Forward,
        ReferenceTypeId=ua.NodeId(ua.ObjectIds.HierarchicalReferences),
        IncludeSubtypes=True,
        NodeClassMask=ua.NodeClass.Object | ua.NodeClass.Variable | ua.NodeClass.Method,
        ResultMask=ua.BrowseResultMask.All,
    )


async def _proposals(session: Session, harvest: _Harvest, turn: Turn) -> list[Proposal]:
    namespaces = await session.namespaces()
    variables = list(harvest.variables.values())
    nodes = [found.node for found in variables]
    types = await _attribute(session, turn, nodes, ua.AttributeIds.DataType)
    ranks = await _attribute(session, turn, nodes, ua.AttributeIds.ValueRank)
    levels = await _attribute(session, turn, nodes, ua.AttributeIds.UserAccessLevel)
    values = await _attribute(session, turn, nodes, ua.AttributeIds.Value)
    with_units = [found for found in variables if found.units is not None]
    unit_values = await _attribute(session, turn, [f.units for f in with_units if f.units], ua.AttributeIds.Value)
    units = {found.node: unit_of(_plain(said)) for found, said in zip(with_units, unit_values, strict=True)}
    known: dict[ua.NodeId, ua.VariantType | None] = {}
    names: set[tuple[str, str]] = set()
    proposals = []
    for found, type_, rank, level, value in zip(variables, types, ranks, levels, values, strict=True):
        variant_type = await _variant_type(session.services, _plain(type_), known)
        access = _access(_plain(level))
        if variant_type is None or not is_usable(variant_type) or _plain(rank) not in _SCALAR or access is None:
            continue
        device, metric = _names(found, names)
        present = None
        with contextlib.suppress(Unusable):
            present = raw_of(value.Value) if value.StatusCode is None or value.StatusCode.is_good() else None
        address = {"node": _text(found.node, namespaces)}
        proposals.append(
            Proposal(device, metric, address, type_of(variant_type), access, units.get(found.node), present, found.name)
        )
    for found in harvest.methods:
        device, metric = _names(found, names)
        address = {"node": _text(found.node, namespaces), "object": _text(found.owner, namespaces)}
        proposals.append(Proposal(device, metric, address, "auto", "command", words=found.name))
    return proposals


async def _attribute(
    session: Session, turn: Turn, nodes: Sequence[ua.NodeId], which: ua.AttributeIds
) -> list[ua.DataValue]:
    async def ask(batch: Sequence[ua.NodeId]) -> Sequence[ua.DataValue]:
        async with turn():
            said = await session.services.read_attributes(list(batch), which)
        return said if len(said) == len(batch) else [ua.DataValue() for _ in batch]

    try:
        return await session.ask(session.batches.each(nodes, ask))
    except Refused:
        return [ua.DataValue() for _ in nodes]


async def _variant_type(
    services: UaSession, data_type: object, known: dict[ua.NodeId, ua.VariantType | None]
) -> ua.VariantType | None:
    if not isinstance(data_type, ua.NodeId):
        return None
    if data_type not in known:
        try:
            known[data_type] = await data_type_to_variant_type(Node(services, data_type))
        except (UaError, ValueError, TypeError):
            known[data_type] = None
    return known[data_type]


def _plain(said: ua.DataValue) -> Any:
    return said.Value.Value if said.Value is not None else None


def _access(level: object) -> str | None:
    if not isinstance(level, int):
        return "read"
    may_read, may_write = level & 1, level & 2
    return "read-write" if may_read and may_write else "read" if may_read else "write" if may_write else None


def _text(node: ua.NodeId, namespaces: Sequence[str]) -> str:
    index = int(node.NamespaceIndex)
    return text_of(node, namespaces[index] if 0 < index < len(namespaces) else None)


def _names(found: _Found, taken: set[tuple[str, str]]) -> tuple[str, str]:
    """Names of the platform for what the server calls otherwise, each pair once."""
    device = re.sub(r"[^A-Za-z0-9_-]+", "-", found.owner_name).strip("-")[:40] or "device"
    metric = re.sub(r"[^A-Za-z0-9_.-]+", "_", found.name).strip("_")[:60] or "value"
    candidate, number = metric, 2
    while (device, candidate) in taken:
        candidate, number = f"{metric[:56]}_{number}", number + 1
    taken.add((device, candidate))
    return device, candidate
