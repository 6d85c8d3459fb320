"""What the conformance suite asks of a protocol: a device that speaks it, and one row in the table of adapters.

To add an adapter, write one module beside this one with a class that keeps `Speaker`, and a `Row` of it in `rows.py`:
the same tests then run through it, and the scorecard gets its line by itself. Where the protocol cannot do a thing,
the row `lacks` it, with the reason that the scorecard shows; whatever a row does not lack is tested. Commit
ingest/adapters/SCORECARD.md, which a whole run of the suite writes, with the row.

The suite runs one real ingest process with a real database for all rows, and kills it. A port that is not among those
of `tests.support.process.IngestProcess` is added there, with its variable. The process takes from a Mosquitto too. What
stands beside a single device (an edge with its machine) is started by the speaker's `connect` and ended by its `close`;
a machine is a class of `machines`, and what is asked of machines alone stands in `test_machines`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol
from uuid import UUID

from engine.devices.model import Device
from tests.support.mosquitto import Mosquitto
from tests.support.opcua_plant import OpcuaPlant
from tests.support.process import IngestProcess
from tests.support.tenant import Tenant

Column = Literal["uplink", "downlink", "ack after COMMIT", "reconnect", "auth", "back-pressure", "poison", "load"]
COLUMNS: tuple[Column, ...] = (
    "uplink",
    "downlink",
    "ack after COMMIT",
    "reconnect",
    "auth",
    "back-pressure",
    "poison",
    "load",
)


class Refused(Exception):
    """The platform does not let this device in, or takes nothing more of it; trying again would not help."""


@dataclass(frozen=True)
class Reading:
    """What a device has measured, as it means it; without a time it is stamped where it is received."""

    values: Mapping[str, Any]
    time_ms: int | None = None
    seq: int | None = None
    quality: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Order:
    """A command as its device heard it."""

    id: UUID
    command: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True)
class Login:
    """Where a device goes, who it is and what it proves it with. `process` may be dead at the moment.

    `gateway` speaks for the device, if it is a machine; then the `token` is the gateway's.
    """

    process: IngestProcess
    broker: Mosquitto
    opcua: OpcuaPlant
    tenant: Tenant
    device: Device
    token: str
    gateway: Device | None = None

    @property
    def who(self) -> Device:
        """Whoever logs in."""
        return self.gateway or self.device

    @property
    def name(self) -> str:
        """`{tenant}/d/{device}`: what it logs in as."""
        return f"{self.tenant.key}/d/{self.who.key}"


class Speaker(Protocol):
    """Whoever speaks one protocol, and repeats itself as its maker would have it do when it is not heard."""

    async def connect(self) -> None:
        """Be ready to speak. Raises Refused."""

    async def tell(self, reading: Reading) -> None:
        """Send a reading, again and again until the protocol's own promise is given. Raises Refused."""

    async def babble(self, payload: bytes) -> None:
        """Send what is no reading, once, and wait until it is answered or known to be taken."""

    async def close(self) -> None:
        """Leave, and end what was started; also when nothing was."""


class Listener(Speaker, Protocol):
    """A device that takes commands by itself; what a machine is told, its edge writes to it."""

    async def order(self) -> Order:
        """The next command that comes down, confirmed as the protocol confirms it."""

    async def obey(self, order: Order) -> None:
        """Acknowledge a command, and say that it succeeded with the result 1."""


Carried = Literal["time", "seq", "uncertain", "bad"]


@dataclass(frozen=True)
class Row:
    """One adapter. `remarks`: what a ✓ means here, where that is not what it means elsewhere.

    `behind`: what stands between a device and the platform, and promises to keep what it has taken.
    `carries`: what the protocol can say beside values; the time of what carries none is that of whoever hears it.
    """

    name: str
    speaker: Callable[[Login], Speaker]
    lacks: Mapping[Column, str] = field(default_factory=dict)
    remarks: Mapping[Column, str] = field(default_factory=dict)
    behind: Literal["nothing", "broker", "edge"] = "nothing"
    carries: frozenset[Carried] = frozenset({"time", "seq", "uncertain", "bad"})

    def __str__(self) -> str:
        return self.name
