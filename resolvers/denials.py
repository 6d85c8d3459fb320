"""Which denials are worth a line of the audit log: a client that tries the same in a loop is told of once a minute."""

import time
from collections import OrderedDict
from uuid import UUID

WITHIN_S = 60.0
MOST_OF_ONE = 20
"""So many different things one actor is noted for within a minute; whoever tries out everything is known by then."""
MOST_ACTORS = 5_000

_Deed = tuple[str, str]
"""What was tried, and on what."""


class Denials:
    """What was noted of whom within the last minute, in this process."""

    def __init__(self) -> None:
        self._noted: OrderedDict[tuple[UUID, UUID], dict[_Deed, float]] = OrderedDict()

    def is_news(self, tenant_id: UUID, actor_id: UUID, action: str, target: str, at: float | None = None) -> bool:
        """Whether this denial is to be noted; then it is taken as noted. ``at`` is in seconds of any steady clock."""
        at = time.monotonic() if at is None else at
        known = self._noted.pop((tenant_id, actor_id), {})
        fresh = {deed: noted for deed, noted in known.items() if at - noted < WITHIN_S}
        is_news = (action, target) not in fresh and len(fresh) < MOST_OF_ONE
        if is_news:
            fresh[action, target] = at
        self._noted[tenant_id, actor_id] = fresh
        if len(self._noted) > MOST_ACTORS:
            self._noted.popitem(last=False)
        return is_news
