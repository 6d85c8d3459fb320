"""Points that lie near each other are read at once: the fewest reads within what a machine can take."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ingest.edge.modbus.address import BITS, Address, Table
from ingest.edge.modbus.link import MOST_BITS
from ingest.edge.points import Point


@dataclass(frozen=True, slots=True)
class Block:
    """One read: `count` registers or bits from `start`, and the points in it."""

    unit: int
    table: Table
    start: int
    count: int
    points: tuple[Point, ...]


def address_of(point: Point) -> Address:
    """A point's address, which is one of ours."""
    assert isinstance(point.address, Address)
    return point.address


def merge(points: Iterable[Point], max_read: int, max_gap: int) -> list[Block]:
    """Every point in one block, and as few blocks as can be.

    From the left, each block takes what it can; since all bounds are on a block's length and its gaps, no other way
    needs fewer. Bits are sixteen to a register, so their gaps may be that much longer.
    """
    blocks: list[Block] = []
    for point in sorted(points, key=_place):
        address = address_of(point)
        is_bits = address.table in BITS
        most, gap = (min(16 * max_read, MOST_BITS), 16 * max_gap) if is_bits else (max_read, max_gap)
        last = blocks[-1] if blocks else None
        if last is None or not _fits(last, address, max(most, address.count), gap):
            blocks.append(Block(address.unit, address.table, address.start, address.count, (point,)))
            continue
        count = max(last.count, address.start + address.count - last.start)
        blocks[-1] = Block(last.unit, last.table, last.start, count, (*last.points, point))
    return blocks


def halves(block: Block) -> Sequence[Block]:
    """The block in two, cut at its widest gap; the machine may not know the registers in between."""
    points = sorted(block.points, key=_place)
    ends, reached = [], 0
    for point in points[:-1]:
        reached = max(reached, address_of(point).start + address_of(point).count)
        ends.append(reached)
    gaps = [address_of(after).start - end for end, after in zip(ends, points[1:], strict=True)]
    widest = max(gaps)
    middle = len(gaps) // 2
    cut = 1 + min((n for n, gap in enumerate(gaps) if gap == widest), key=lambda n: abs(n - middle))
    return [_block(points[:cut]), _block(points[cut:])]


def _block(points: Sequence[Point]) -> Block:
    first = address_of(points[0])
    end = max(address_of(point).start + address_of(point).count for point in points)
    return Block(first.unit, first.table, first.start, end - first.start, tuple(points))


def _fits(block: Block, address: Address, most: int, gap: int) -> bool:
    end = block.start + block.count
    return (
        (block.unit, block.table) == (address.unit, address.table)
        and address.start - end <= gap
        and max(end, address.start + address.count) - block.start <= most
    )


def _place(point: Point) -> tuple[int, str, int, int]:
    address = address_of(point)
    return address.unit, address.table, address.start, address.count
