"""A building with a BACnet device on the loopback: its objects, and what a test does to them."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from bacpypes3.app import Application
from bacpypes3.basetypes import BinaryPV, EngineeringUnits, StatusFlags
from bacpypes3.errors import UnrecognizedService
from bacpypes3.local.analog import AnalogInputObject, AnalogOutputObject
from bacpypes3.local.binary import BinaryInputObject, BinaryOutputObject
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.multistate import MultiStateValueObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.object import CharacterStringValueObject

GOOD, FAULTY, OVERRIDDEN = (StatusFlags(flags) for flags in ([0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]))
FLAGS: Mapping[str, Any] = {"statusFlags": [0, 0, 0, 0], "eventState": "normal", "outOfService": False}


class _Device(Application):
    """A device that can be old (no ReadPropertyMultiple, no COV) or silent."""

    lacks: set[str]
    is_silent = False
    asked: list[str]

    async def indication(self, apdu: Any) -> None:
        name = type(apdu).__name__
        self.asked.append(name)
        if not self.is_silent:
            if name in self.lacks:
                setattr(self, f"do_{name}", self._refuse)
            await super().indication(apdu)

    async def _refuse(self, apdu: Any) -> None:
        raise UnrecognizedService


class BacnetPlant:
    """A running device; `objects["temperature"]` and so on."""

    def __init__(self, application: _Device, host: str, port: int, device: int) -> None:
        self.application, self.host, self.port, self.device = application, host, port, device
        self.objects: dict[str, Any] = {}

    @property
    def place(self) -> str:
        """Where it listens."""
        return f"{self.host}:{self.port}"

    @property
    def subscribers(self) -> int:
        """How many objects somebody watches."""
        return sum(len(d.cov_subscriptions) for d in self.application._cov_detections.values())

    def flag(self, name: str, flags: StatusFlags) -> None:
        """What a watched object's next change says beside its value; the library itself tells watchers of no flags."""
        detection = self.application._cov_detections.get(self.objects[name].objectIdentifier)
        if detection is not None:
            detection.statusFlags = flags

    def add(self, name: str, one: Any) -> None:
        """One more object."""
        self.application.add_object(one)
        self.objects[name] = one

    def _build(self) -> None:
        degrees = EngineeringUnits("degrees-celsius")
        made: dict[str, Any] = {
            "temperature": AnalogInputObject(
                objectIdentifier=("analog-input", 1),
                objectName="Room.Temp",
                description="Room 1",
                presentValue=21.3,
                covIncrement=0.1,
                units=degrees,
                **FLAGS,
            ),
            "valve": AnalogOutputObject(
                objectIdentifier=("analog-output", 1),
                objectName="Valve",
                presentValue=0.0,
                covIncrement=0.1,
                units=EngineeringUnits("percent"),
                **FLAGS,
            ),
            "door": BinaryInputObject(
                objectIdentifier=("binary-input", 1), objectName="Door", presentValue=BinaryPV("active"), **FLAGS
            ),
            "fan": BinaryOutputObject(
                objectIdentifier=("binary-output", 1), objectName="Fan", presentValue=BinaryPV("inactive"), **FLAGS
            ),
            "mode": MultiStateValueObject(
                objectIdentifier=("multi-state-value", 1),
                objectName="Mode",
                presentValue=2,
                numberOfStates=4,
                **FLAGS,
            ),
            "state": CharacterStringValueObject(
                objectIdentifier=("characterstring-value", 1), objectName="State", presentValue="idle", **FLAGS
            ),
        }
        for name, one in made.items():
            self.add(name, one)


def free_port(host: str = "127.0.0.1") -> int:
    """A UDP port that nobody has."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def share_loopback(application: Application) -> None:
    """Send to other addresses of the loopback: the library takes 127.x with its own port for itself."""
    (link,) = application.link_layers.values()
    link.server.local_address = (link.server.local_address[0], 0)


@asynccontextmanager
async def building(
    *, host: str = "127.0.0.1", mask: int = 32, port: int = 0, device: int = 1201, lacks: set[str] | None = None
) -> AsyncIterator[BacnetPlant]:
    """A device that answers meanwhile."""
    port = port or free_port(host)
    itself = DeviceObject(
        objectIdentifier=("device", device), objectName="AHU 1", vendorIdentifier=999, apduTimeout=500
    )
    place = NetworkPortObject(f"{host}/{mask}:{port}", objectIdentifier=("network-port", 1), objectName="port")
    application = _Device.from_object_list([itself, place])
    application.lacks, application.asked = lacks or set(), []
    running = BacnetPlant(application, host, port, device)
    running._build()
    (link,) = application.link_layers.values()
    await asyncio.wait_for(asyncio.gather(*link.server._transport_tasks), 10)
    try:
        yield running
    finally:
        for detection in list(application._cov_detections.values()):
            for subscription in list(detection.cov_subscriptions):
                application.cancel_subscription(subscription)
        for transaction in (*application.asap.clientTransactions, *application.asap.serverTransactions):
            transaction.stop_timer()
        application.close()
