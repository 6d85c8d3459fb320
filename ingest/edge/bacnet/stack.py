"""The edge's own place in a BACnet/IP network: what it asks, and what devices tell it unasked.

On top of bacpypes3's application: refusals become words, changes come as whole notifications, nobody may write to us.
"""

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from bacpypes3.apdu import (
    ConfirmedCOVNotificationRequest,
    ErrorRejectAbortNack,
    SimpleAckPDU,
    SubscribeCOVRequest,
    UnconfirmedCOVNotificationRequest,
    WritePropertyRequest,
)
from bacpypes3.app import Application
from bacpypes3.basetypes import PropertyIdentifier
from bacpypes3.errors import ExecutionError, ServicesError
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.pdu import Address as Station
from bacpypes3.primitivedata import ObjectIdentifier
from bacpypes3.vendor import get_vendor_info

from ingest.edge.bacnet.settings import Settings
from ingest.edge.bacnet.words import Refused, Silent, refusal

# Odd packets of devices are logged with tracebacks; what matters of them comes as words from whoever asked.
logging.getLogger("bacpypes3").setLevel(logging.CRITICAL + 1)

_Answer = TypeVar("_Answer")
_RETRIES = 1
_VENDOR = 0
"""ASHRAE's own number: the standard's objects and properties, and no vendor's."""

Values = dict[str, Any]
"""By property; an exception where what a device sent is no value of it."""
Changed = Callable[[Values], None]


class Taken(Exception):
    """The UDP port cannot be had; the message says why."""


class _Application(Application):  # type: ignore[misc]  # the library has no types
    """Devices ask us who we are and tell us of changes; they cannot change anything here."""

    changes: dict[tuple[Station, int], tuple[ObjectIdentifier, Changed]]

    async def do_WritePropertyRequest(self, apdu: WritePropertyRequest) -> None:
        raise ExecutionError(errorClass="property", errorCode="writeAccessDenied")

    async def do_ConfirmedCOVNotificationRequest(self, apdu: ConfirmedCOVNotificationRequest) -> None:
        if not self._hand_on(apdu):
            raise ServicesError(errorCode="unknownSubscription")
        await self.response(SimpleAckPDU(context=apdu))

    async def do_UnconfirmedCOVNotificationRequest(self, apdu: UnconfirmedCOVNotificationRequest) -> None:
        self._hand_on(apdu)

    def _hand_on(self, apdu: Any) -> bool:
        wanted = self.changes.get((apdu.pduSource, int(apdu.subscriberProcessIdentifier)))
        if wanted is None or wanted[0] != apdu.monitoredObjectIdentifier:
            return False
        kind = get_vendor_info(_VENDOR).get_object_class(wanted[0][0])
        values: Values = {}
        for said in apdu.listOfValues:
            property_type = kind.get_property_type(said.propertyIdentifier) if kind is not None else None
            if property_type is not None:
                try:
                    value = said.value.cast_out(property_type, null=True)
                except Exception as error:  # whatever a device puts there
                    value = error
                values[str(said.propertyIdentifier)] = value
        wanted[1](values)
        return True


class Stack:
    """One UDP port in one network. `open` once, then ask; `close` gives everything back."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._application: Any = None
        self._next_process = 1

    async def open(self) -> None:
        """Take the port. Raises Taken."""
        settings = self._settings
        host = settings.interface.split("/")[0]
        try:  # the library would wait for the port forever, or share it with another program
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.bind((host, settings.port))
        except OSError as error:
            raise Taken(
                f"The edge cannot use {host}:{settings.port} (UDP): {error.strerror}. Give `interface` the address of "
                "this machine in that network, and end other BACnet programs on that port."
            ) from error
        device = DeviceObject(
            objectIdentifier=("device", settings.instance),
            objectName=f"Tidegate edge {settings.instance}",
            vendorIdentifier=_VENDOR,
            vendorName="Tidegate",
            modelName="edge",
            apduTimeout=int(settings.timeout_s * 1000 / (_RETRIES + 1)),
            numberOfApduRetries=_RETRIES,
        )
        place = NetworkPortObject(
            f"{settings.interface}:{settings.port}", objectIdentifier=("network-port", 1), objectName="network"
        )
        application = _Application.from_object_list([device, place])
        application.changes = {}
        # a device may still be busy with the numbers of the driver before, and take ours for repeats
        application.next_invoke_id = secrets.randbelow(256)
        self._application = application
        (link,) = application.link_layers.values()
        try:
            await asyncio.wait_for(asyncio.gather(*link.server._transport_tasks), settings.timeout_s)
        except (OSError, TimeoutError) as error:
            raise Taken(f"The edge cannot use {settings.interface} (UDP {settings.port}).") from error

    def close(self) -> None:
        """Give port and timers back."""
        application, self._application = self._application, None
        if application is None:
            return
        for link in application.link_layers.values():
            for task in link.server._transport_tasks:
                task.cancel()
        for transaction in (*application.asap.clientTransactions, *application.asap.serverTransactions):
            transaction.stop_timer()
        application.changes.clear()
        application.close()

    async def who_is(
        self, low: int | None = None, high: int | None = None, station: Station | None = None
    ) -> Sequence[tuple[int, Station]]:
        """The devices that answer: number and place. Raises Silent without a network to ask around in."""
        if station is None and not self._settings.has_broadcast:
            raise Silent(f"{self._settings.interface} has no neighbours to ask; name the `host` of the device.")
        found = self._application.who_is(low, high, station, timeout=self._settings.timeout_s)
        return [(int(answer.iAmDeviceIdentifier[1]), answer.pduSource) for answer in await found]

    async def read(
        self, station: Station, object_: ObjectIdentifier, property_: PropertyIdentifier, index: int | None = None
    ) -> Any:
        """One property. Raises Refused or Silent."""
        return await self._ask(self._application.read_property(station, object_, property_, index))

    async def read_many(
        self, station: Station, wanted: Sequence[tuple[ObjectIdentifier, Sequence[Any]]]
    ) -> Sequence[tuple[ObjectIdentifier, PropertyIdentifier, int | None, Any]]:
        """Many properties at once (ReadPropertyMultiple); what is refused of them is an ErrorType among the values."""
        flat: list[Any] = []
        for object_, properties in wanted:
            flat += [object_, list(properties)]
        return list(await self._ask(self._application.read_property_multiple(station, flat)) or ())

    async def write(
        self,
        station: Station,
        object_: ObjectIdentifier,
        property_: PropertyIdentifier,
        value: object,
        index: int | None,
        priority: int | None,
    ) -> None:
        """Write one property. Raises Refused or Silent."""
        await self._ask(self._application.write_property(station, object_, property_, value, index, priority))

    async def subscribe(
        self, station: Station, object_: ObjectIdentifier, lifetime_s: int, changed: Changed, process: int | None = None
    ) -> int:
        """Let a device tell of changes of an object for so long; the number to renew that by. Raises BacnetError."""
        application = self._application
        if process is None:
            process, self._next_process = self._next_process, self._next_process + 1
        application.changes[station, process] = (object_, changed)
        request = SubscribeCOVRequest(
            subscriberProcessIdentifier=process,
            monitoredObjectIdentifier=object_,
            issueConfirmedNotifications=True,
            lifetime=lifetime_s,
            destination=station,
        )
        await self._ask(application.request(request))
        return process

    async def unsubscribe(self, station: Station, object_: ObjectIdentifier, process: int) -> None:
        """The device need not tell any more. Raises Refused or Silent."""
        self._application.changes.pop((station, process), None)
        request = SubscribeCOVRequest(
            subscriberProcessIdentifier=process, monitoredObjectIdentifier=object_, destination=station
        )
        await self._ask(self._application.request(request))

    def forget(self, station: Station, process: int) -> None:
        """Listen no more for a subscription that did not come about."""
        self._application.changes.pop((station, process), None)

    def property_type(self, object_: ObjectIdentifier, property_: PropertyIdentifier) -> type | None:
        """The type that the standard gives a property."""
        kind = get_vendor_info(_VENDOR).get_object_class(object_[0])
        return kind.get_property_type(property_) if kind is not None else None

    async def _ask(self, request: Awaitable[_Answer]) -> _Answer:
        try:
            answer = await request
        except ErrorRejectAbortNack as said:
            raise refusal(said) from None
        except Exception as error:
            raise Refused(f"The device's answer cannot be used ({type(error).__name__}).") from error
        if isinstance(answer, ErrorRejectAbortNack):
            raise refusal(answer)
        if isinstance(answer, str) and type(answer) is str:  # the library's "-no object class-" and the like
            raise Refused("The device has an object or property that the edge does not know.")
        return answer
