"""How to reach Modbus machines, over TCP or a serial line, and what they can take at a time."""

from dataclasses import dataclass

from ingest.edge.document import Fields, Wrong

MOST_REGISTERS = 125
MOST_BITS = 2_000
"""What one read may ask for (Modbus application protocol 1.1b3, sections 6.1 to 6.4)."""


@dataclass(frozen=True, slots=True)
class Link:
    """Where the machines are. `host` and `port`, or `device` (a serial line) and its `baud_rate`, `parity` and so on.

    `max_read` and `max_gap` bound how many registers are read at once, and how many that nobody wants lie between two
    that are. `framing` is "rtu" for serial frames over TCP, as simple converters have them.
    """

    host: str = ""
    port: int = 0
    device: str = ""
    baud_rate: int = 0
    parity: str = "N"
    stop_bits: int = 1
    framing: str = "socket"
    timeout_s: float = 3.0
    max_read: int = MOST_REGISTERS
    max_gap: int = 10

    def __str__(self) -> str:
        return self.device or f"{self.host}:{self.port}"


def parse(fields: Fields, protocol: str) -> Link:
    """A connection's own fields. Raises Wrong."""
    timeout_s = fields.seconds("timeout", 3.0, low=0.05, high=60)
    max_read = fields.integer("max_read", MOST_REGISTERS, low=1, high=MOST_REGISTERS)
    max_gap = fields.integer("max_gap", 10, low=0, high=MOST_REGISTERS)
    if protocol == "modbus-tcp":
        host = fields.text("host", hint="a name or an address, such as 192.168.10.20")
        if not host.strip():
            raise Wrong(fields.place_of("host"), "`host` is empty; write a name or an address.")
        port = fields.integer("port", 502, low=1, high=65_535)
        framing = fields.choice("framing", ("socket", "rtu"), "socket")
        return Link(host, port, framing=framing, timeout_s=timeout_s, max_read=max_read, max_gap=max_gap)
    return Link(
        device=fields.text("device", hint="a serial line, such as /dev/ttyUSB0"),
        baud_rate=fields.integer("baud_rate", 19_200, low=300, high=4_000_000),
        parity=fields.choice("parity", ("E", "O", "N"), "E"),  # even is what the standard asks for
        stop_bits=fields.integer("stop_bits", 1, low=1, high=2),
        framing="rtu",
        timeout_s=timeout_s,
        max_read=max_read,
        max_gap=max_gap,
    )
