"""A register scan: which registers of a range a machine knows, as points that somebody may keep."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ingest.edge.document import Node, Wrong
from ingest.edge.driver import Cut, Proposal
from ingest.edge.modbus.address import BITS, TABLES, WRITABLE, Table

MOST_ADDRESSES = 10_000
MOST_PROPOSALS = 500
MOST_S = 60.0

FUNCTIONS: Mapping[Table, str] = {
    "coil": "read_coils",
    "discrete": "read_discrete_inputs",
    "holding": "read_holding_registers",
    "input": "read_input_registers",
}
"""How pymodbus calls the request that reads a table."""


@dataclass(frozen=True, slots=True)
class Range:
    """What to look at; `first` and `last` are addresses of one table of one unit."""

    unit: int
    table: Table
    first: int
    last: int
    device: str


def parse(wanted: Node) -> Range:
    """What somebody asks for, with defaults for all of it. Raises Wrong."""
    fields = wanted.fields()
    first = fields.integer("from", 0, low=0, high=65_535)
    last = fields.integer("to", min(first + 199, 65_535), low=0, high=65_535)
    if not first <= last < first + MOST_ADDRESSES:
        raise Wrong(fields.place_of("to"), f"Look at 1 to {MOST_ADDRESSES} addresses at a time; `to` is {last}.")
    table: Table = fields.choice("table", TABLES, "holding")
    unit = fields.integer("unit", 1, low=0, high=255)
    device = fields.text("device", f"unit-{unit}")
    fields.done()
    return Range(unit, table, first, last, device)


def pieces(range_: Range, max_read: int) -> Iterator[tuple[int, int]]:
    """Start and count of each read, the last one first, as a stack wants them."""
    size = min(max_read, 50)
    for start in reversed(range(range_.first, range_.last + 1, size)):
        yield start, min(size, range_.last + 1 - start)


def cut(range_: Range, found: Mapping[int, int | bool], at: int, why: str) -> Cut:
    """What was found before a scan had to end `at` an address, and how to go on with it."""
    words = f"It ended before {range_.table} {at}: {why}. What it had found by then stands; look again from {at}."
    return Cut(words, proposals(range_, found))


def proposals(range_: Range, found: Mapping[int, int | bool]) -> Sequence[Proposal]:
    """What was found, those that hold something first when there is too much."""
    kept = sorted(found, key=lambda at: (not found[at], at))[:MOST_PROPOSALS]
    return [
        Proposal(
            device=range_.device,
            metric=f"{range_.table}_{at}",
            address={"unit": range_.unit, range_.table: at},
            type="bool" if range_.table in BITS else "uint16",
            access="read-write" if range_.table in WRITABLE else "read",
            found=found[at],
        )
        for at in sorted(kept)
    ]
