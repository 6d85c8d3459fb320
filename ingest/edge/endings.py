"""How tasks are ended that wait for a library's answers: by asking again until they have."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

log = logging.getLogger(__name__)

AGAIN_S = 0.5
TOLD_AFTER = 20


async def end(tasks: Sequence[asyncio.Task[Any]], again_s: float = AGAIN_S) -> None:
    """Cancel tasks, and return when all have ended, however; asked again after `again_s`, time enough to clean up.

    Once is not enough: until Python 3.12, `asyncio.wait_for` gives the answer that came in the moment of a cancellation
    and forgets that. A task that reads again and again would go on for ever then, and so would whoever waits for it.
    """
    asked = 0
    while left := [task for task in tasks if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=again_s)
        asked += 1
        if asked == TOLD_AFTER and (late := [task.get_name() for task in left if not task.done()]):
            log.warning("%s do not end, though asked %d times.", ", ".join(late), asked)
