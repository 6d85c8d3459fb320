"""The driver of one OPC-UA server: what the edge asks of every protocol, in this one's words."""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from asyncua import Node, ua
from asyncua.common.ua_utils import data_type_to_variant_type

from ingest.edge.driver import Away, Failed, Lost, Proposal, Sample, Tell, Turn
from ingest.edge.opcua import methods
from ingest.edge.opcua.browse import browse
from ingest.edge.opcua.errors import OpcuaError, Refused, Unreachable, status_words
from ingest.edge.opcua.session import Session
from ingest.edge.opcua.settings import Address, Settings
from ingest.edge.opcua.subscription import Subscription
from ingest.edge.opcua.values import sample, variant_of
from ingest.edge.points import Connection, Point, Raw


class OpcuaDriver:
    """One server; see `ingest.edge.driver.Driver` for what each method promises."""

    def __init__(self, connection: Connection, folder: Path) -> None:
        assert isinstance(connection.settings, Settings)
        self._settings = connection.settings
        self._session = Session(connection.settings, folder)
        self._types: dict[ua.NodeId, ua.VariantType] = {}

    async def open(self, lost: Lost) -> None:
        try:
            await self._session.open(lost)
        except OpcuaError as error:
            raise Away(str(error).rstrip(".")) from error

    async def close(self) -> None:
        await self._session.close()

    async def watch(self, points: Sequence[Point], tell: Tell) -> Collection[Point]:
        try:
            subscription = self._session.subscription
            if subscription is None or not set(subscription.points) <= set(points):
                subscription = await self._subscribe(points)
        except Unreachable as error:
            raise Away(str(error).rstrip(".")) from error
        except Refused:
            return ()  # a server without subscriptions, or without room for one more
        subscription.attach(tell)
        return subscription.points

    async def read(self, points: Sequence[Point]) -> Sequence[Sample]:
        try:
            nodes, samples = await self._nodes(points)
            wanted = list(nodes.items())
            first = 0
            while first < len(wanted):
                batch = wanted[first : first + self._session.batches.size]
                samples += await self._read(batch)
                first += len(batch)
            return samples
        except Unreachable as error:
            raise Away(str(error).rstrip(".")) from error

    async def write(self, point: Point, raw: Raw) -> None:
        try:
            node = await self._session.node_of(_address(point))
            variant = variant_of(raw, await self._type(node))
            value = ua.WriteValue(NodeId=node, AttributeId=ua.AttributeIds.Value, Value=ua.DataValue(variant))
            parameters = ua.WriteParameters(NodesToWrite=[value])
            (status,) = await self._session.ask(self._session.services.write(parameters))
        except Unreachable as error:
            raise Away(str(error).rstrip(".")) from error
        except Refused as error:
            raise Failed(f"{point.name}: {error}") from error
        if not status.is_good():
            raise Failed(f"{point.name}: {status_words(status.value)}")

    async def call(self, point: Point, arguments: Mapping[str, Any]) -> Any:
        address = _address(point)
        try:
            method = await self._session.node_of(address)
            owner = await self._session.node_of(address.owner) if address.owner is not None else None
            result = await methods.call(self._session, method, owner, arguments)
        except Unreachable as error:
            raise Away(str(error).rstrip(".")) from error
        except Refused as error:
            raise Failed(f"{point.name}: {error}") from error
        return json.loads(json.dumps(result, default=str))

    async def discover(self, wanted: Mapping[str, Any], turn: Turn) -> Sequence[Proposal]:
        try:
            return await browse(self._session, wanted, turn)
        except Unreachable as error:
            raise Away(str(error).rstrip(".")) from error
        except Refused as error:
            raise Failed(str(error)) from error

    async def _subscribe(self, points: Sequence[Point]) -> Subscription:
        nodes, _ = await self._nodes(points)
        subscription = Subscription(self._session.services, self._settings.session_s, self._session.batches)
        await self._session.ask(subscription.begin(points))
        try:
            await self._session.ask(subscription.add(nodes))
        except Refused:
            await subscription.drop()
            raise
        self._session.subscription = subscription
        return subscription

    async def _nodes(self, points: Sequence[Point]) -> tuple[dict[Point, ua.NodeId], list[Sample]]:
        """The nodes of those points that have one now, and errors for the others."""
        nodes, wrong = {}, []
        for point in points:
            try:
                nodes[point] = await self._session.node_of(_address(point))
            except Refused as error:
                wrong.append(Sample(point, error=str(error), quality="bad"))
        return nodes, wrong

    async def _read(self, batch: Sequence[tuple[Point, ua.NodeId]]) -> list[Sample]:
        try:
            said = await self._session.ask(self._session.batches.each([node for _, node in batch], self._values))
            if len(said) == len(batch):
                return [sample(point, value) for (point, _), value in zip(batch, said, strict=True)]
            reason = "The server answered for another number of nodes than it was asked for."
        except Refused as error:
            reason = str(error)
        if len(batch) == 1:
            return [Sample(batch[0][0], error=reason, quality="bad")]
        half = len(batch) // 2  # one whose value nobody can decode, or too many in a way that nobody says
        return [*await self._read(batch[:half]), *await self._read(batch[half:])]

    async def _values(self, nodes: Sequence[ua.NodeId]) -> Sequence[ua.DataValue]:
        parameters = ua.ReadParameters()
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        parameters.NodesToRead = [ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value) for node in nodes]
        said: Sequence[ua.DataValue] = await self._session.services.read(parameters)
        return said

    async def _type(self, node: ua.NodeId) -> ua.VariantType:
        if node not in self._types:
            services = self._session.services
            (said,) = await self._session.ask(services.read_attributes([node], ua.AttributeIds.DataType))
            if said.StatusCode is not None and not said.StatusCode.is_good():
                raise Refused(status_words(said.StatusCode.value))
            data_type = said.Value.Value if said.Value is not None else None
            if not isinstance(data_type, ua.NodeId):
                raise Refused("The server does not say which type the node has.")
            self._types[node] = await self._session.ask(data_type_to_variant_type(Node(services, data_type)))
        return self._types[node]


def _address(point: Point) -> Address:
    assert isinstance(point.address, Address)
    return point.address
