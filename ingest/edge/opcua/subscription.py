"""What a server tells of its nodes by itself: one subscription, in order, without gaps as far as the server keeps them.

Notifications are numbered. After a broken connection the first new one shows by its number what was sent into the void
meanwhile; those are asked for again (Republish, Part 4, 5.13.6) and told before it, so that order holds.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from asyncua import ua
from asyncua.client.ua_session import UaSession
from asyncua.ua.uaerrors import UaError

from ingest.edge.driver import Tell
from ingest.edge.opcua.batches import Batches
from ingest.edge.opcua.errors import status_words
from ingest.edge.opcua.values import sample
from ingest.edge.points import Point

log = logging.getLogger(__name__)

_QUEUE = 1_000
"""Values of one node that a server keeps for us at most."""
_PUBLISHED_S = (0.05, 1.0)
_ALIVE_S = 10.0
"""A server with nothing to tell says so this often."""
_MOST_MISSED = 10_000
_GONE = {"BadNodeIdUnknown", "BadNodeIdInvalid"}
_NO_FILTER = {
    "BadFilterNotAllowed",
    "BadMonitoredItemFilterInvalid",
    "BadMonitoredItemFilterUnsupported",
    "BadDeadbandFilterInvalid",
}


class Subscription:
    """The nodes a server watches for us. It outlives the connection: `pause` when that is gone, then `attach` again."""

    def __init__(self, services: UaSession, session_s: float, batches: Batches) -> None:
        self._services = services
        self._batches = batches
        self._session_s = session_s
        self._id = 0
        self._points: dict[int, Point | None] = {}
        self._tell: Tell | None = None
        self._is_attached = asyncio.Event()
        self._nodes: dict[Point, ua.NodeId] = {}
        self._gone: set[Point] = set()
        self._told = 0
        self._silent_s = math.inf
        self._heard_at = time.monotonic()
        self._ended = ""

    @property
    def points(self) -> Sequence[Point]:
        """What is watched."""
        return [point for point in self._points.values() if point is not None]

    @property
    def ended(self) -> str:
        """Why the server tells nothing any more, empty while it does."""
        if not self._ended and self._is_attached.is_set() and time.monotonic() - self._heard_at > self._silent_s:
            return "The server has told nothing of its nodes for too long, not even that nothing changed."
        return self._ended

    async def begin(self, points: Sequence[Point]) -> None:
        """Make the subscription. Raises what the library raises."""
        fastest = min((point.report.every_s for point in points), default=1.0)
        period_s = min(max(fastest, _PUBLISHED_S[0]), _PUBLISHED_S[1])
        parameters = ua.CreateSubscriptionParameters()
        parameters.RequestedPublishingInterval = period_s * 1000
        parameters.RequestedMaxKeepAliveCount = max(1, round(_ALIVE_S / period_s))
        parameters.RequestedLifetimeCount = max(
            3 * parameters.RequestedMaxKeepAliveCount, math.ceil(self._session_s / period_s)
        )
        parameters.MaxNotificationsPerPublish = 10_000
        parameters.PublishingEnabled = True
        result = await self._services.create_subscription(parameters, self._published)
        self._id = result.SubscriptionId
        alive_s = result.RevisedPublishingInterval / 1000 * max(1, result.RevisedMaxKeepAliveCount)
        self._silent_s = 3 * alive_s + _ALIVE_S

    async def add(self, nodes: Mapping[Point, ua.NodeId]) -> None:
        """Watch those nodes that the server lets us watch. Raises what the library raises."""
        self._nodes |= nodes
        refused = await self._batches.each(list(nodes.items()), partial(self._add, with_filter=True))
        if refused:  # a server without deadbands: the edge has its own
            await self._batches.each([(p, nodes[p]) for p in refused], partial(self._add, with_filter=False))

    async def drop(self) -> None:
        """Take it away from the server, if that still knows it."""
        with contextlib.suppress(UaError, OSError, TimeoutError):
            await self._services.delete_subscriptions([self._id])

    async def check(self) -> None:
        """Find out about nodes that are gone, of which some servers say nothing. Raises what the library raises."""

        async def ask(batch: Sequence[Point]) -> list[tuple[Point, ua.DataValue]]:
            said = await self._services.read_attributes([self._nodes[p] for p in batch], ua.AttributeIds.Value)
            return list(zip(batch, said, strict=False))

        for point, value in await self._batches.each([point for point in self.points if point in self._nodes], ask):
            is_gone = value.StatusCode is not None and value.StatusCode.name in _GONE
            if is_gone and point not in self._gone and self._tell is not None:
                self._gone.add(point)
                self._tell(sample(point, value))
            elif not is_gone and point in self._gone:
                self._ended = "A node that was gone is there again"

    def attach(self, tell: Tell) -> None:
        """From now on tell what comes, beginning with what came meanwhile."""
        self._tell = tell
        self._heard_at = time.monotonic()
        self._is_attached.set()

    def pause(self) -> None:
        """Tell nothing until the next `attach`."""
        self._tell = None
        self._is_attached.clear()
        # the library's loop would ask a dead connection once a second; `ensure_publish_loop` starts it again
        if self._services._publish_task is not None:
            self._services._publish_task.cancel()

    def end(self) -> None:
        """Tell nothing any more."""
        self._tell = None
        self._ended = self._ended or "closed"
        self._is_attached.set()

    async def _add(self, batch: Sequence[tuple[Point, ua.NodeId]], *, with_filter: bool) -> list[Point]:
        handles: dict[int, Point] = {}
        requests = []
        for point, node in batch:
            handle = len(self._points) + 1
            self._points[handle] = handles[handle] = point  # before the answer: the first value may come with it
            requests.append(_request(point, node, handle, self._session_s, with_filter=with_filter))
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = self._id
        parameters.ItemsToCreate = requests
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        try:
            results = await self._services.create_monitored_items(parameters)
        except UaError:
            self._points |= dict.fromkeys(handles)  # whatever comes by these numbers is nobody's
            raise
        refused = []
        for (handle, point), result in zip(handles.items(), results, strict=True):
            if not result.StatusCode.is_good():
                self._points[handle] = None
                if with_filter and result.StatusCode.name in _NO_FILTER:
                    refused.append(point)
        return refused

    async def _published(self, result: ua.PublishResult) -> None:
        await self._is_attached.wait()
        self._heard_at = time.monotonic()
        message = result.NotificationMessage
        number = int(message.SequenceNumber)
        # what is only a sign of life has the number that the next message will have
        for missed in _between(self._told, number):
            if not await self._again(missed):
                break
        if message.NotificationData:
            self._told = number
            self._deliver(message.NotificationData)

    async def _again(self, number: int) -> bool:
        try:
            message = await self._services.republish(self._id, number)
        except (UaError, OSError, TimeoutError):
            message = None
        if message is None or not message.NotificationData:
            log.warning("edge.opcua.missed", extra={"from": number})
            return False
        self._deliver(message.NotificationData)
        return True

    def _deliver(self, notifications: Sequence[object]) -> None:
        for notification in notifications:
            if isinstance(notification, ua.DataChangeNotification):
                for item in notification.MonitoredItems:
                    point = self._points.get(item.ClientHandle)
                    if point is not None and self._tell is not None:
                        with contextlib.suppress(ValueError, OverflowError):
                            self._tell(sample(point, item.Value))
            elif isinstance(notification, ua.StatusChangeNotification) and notification.Status.is_bad():
                self._ended = status_words(notification.Status.value)


def _between(told: int, number: int) -> Iterator[int]:
    """The numbers after `told` and before `number`; none if that is no small step forward (a new count, a wrap)."""
    if 0 < number - told <= _MOST_MISSED:
        yield from range(told + 1, number)


def _request(
    point: Point, node: ua.NodeId, handle: int, session_s: float, *, with_filter: bool
) -> ua.MonitoredItemCreateRequest:
    parameters = ua.MonitoringParameters()
    parameters.ClientHandle = handle
    parameters.SamplingInterval = point.report.every_s * 1000
    parameters.QueueSize = min(_QUEUE, max(2, math.ceil(session_s / point.report.every_s)))
    parameters.DiscardOldest = True
    if with_filter and (wanted := _filter(point)) is not None:
        parameters.Filter = wanted
    request = ua.MonitoredItemCreateRequest()
    request.ItemToMonitor = ua.ReadValueId(NodeId=node, AttributeId=ua.AttributeIds.Value)
    request.MonitoringMode = ua.MonitoringMode.Reporting
    request.RequestedParameters = parameters
    return request


def _filter(point: Point) -> ua.DataChangeFilter | None:
    """What counts as a change: a new value, beyond the deadband if there is one; or every new time of the source."""
    if point.report.deadband > 0:
        return ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger.StatusValue,
            DeadbandType=ua.DeadbandType.Absolute,
            DeadbandValue=point.report.deadband / abs(point.scale),
        )
    if point.report.on_change:
        return None
    return ua.DataChangeFilter(Trigger=ua.DataChangeTrigger.StatusValueTimestamp)
