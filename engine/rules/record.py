"""What one device has sent, kept as lists: a message is made of them only when it is asked for."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from operator import le
from typing import NamedTuple


class Sent(NamedTuple):
    """One message of a device: event time, seq, when it was received (times in ms), and its values."""

    at: int
    seq: int
    received: int
    values: Mapping[str, object]


class Record:
    """Messages of one device in the order in which they were received; ``columns`` by metric, None for not sent."""

    __slots__ = ("columns", "received", "seqs", "times")

    def __init__(
        self, times: list[int], seqs: list[int], received: list[int], columns: Mapping[str, list[object]]
    ) -> None:
        self.times, self.seqs, self.received, self.columns = times, seqs, received, columns

    @classmethod
    def of(
        cls, times: list[int], seqs: list[int], received: list[int], columns: Mapping[str, list[object]]
    ) -> "Record":
        """The record of messages that are in the order of (event time, seq)."""
        if all(map(le, received, islice(received, 1, None))):
            return cls(times, seqs, received, columns)
        order = sorted(range(len(times)), key=received.__getitem__)  # what was received together stays in order
        times, seqs, received = ([each[place] for place in order] for each in (times, seqs, received))
        ordered = {metric: [column[place] for place in order] for metric, column in columns.items()}
        return cls(times, seqs, received, ordered)

    def __len__(self) -> int:
        return len(self.times)

    def __iter__(self) -> Iterator[Sent]:
        return self.between(0, len(self))

    def between(self, start: int, end: int) -> Iterator[Sent]:
        """The messages from one place up to another."""
        columns: Sequence[tuple[str, list[object]]] = tuple(self.columns.items())
        for place in range(start, min(end, len(self))):
            values = {metric: column[place] for metric, column in columns if column[place] is not None}
            yield Sent(self.times[place], self.seqs[place], self.received[place], values)
