"""How many nodes a server takes in one request: servers have limits, which not all of them tell, or keep to."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from asyncua import ua

_Item = TypeVar("_Item")
_Answer = TypeVar("_Answer")
_MOST = 100
"""What most small servers take."""
_TOO_MANY = {"BadTooManyOperations", "BadRequestTooLarge", "BadResponseTooLarge", "BadEncodingLimitsExceeded"}


class Batches:
    """Of one session: a server that refuses so many is asked for half of them, from then on."""

    def __init__(self) -> None:
        self.size = _MOST

    async def each(
        self, items: Sequence[_Item], ask: Callable[[Sequence[_Item]], Awaitable[Sequence[_Answer]]]
    ) -> list[_Answer]:
        """What `ask` gives for all items, asked for in batches. Raises what the library raises."""
        answers: list[_Answer] = []
        first = 0
        while first < len(items):
            batch = items[first : first + self.size]
            try:
                answers += await ask(batch)
            except ua.UaStatusCodeError as error:
                if len(batch) == 1 or ua.StatusCode(error.code).name not in _TOO_MANY:
                    raise
                self.size = len(batch) // 2
                continue
            first += len(batch)
        return answers
