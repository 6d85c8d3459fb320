"""When a delivery that failed is tried again: soon at first, then ever more rarely, for about three days."""

import random
from datetime import datetime, timedelta

FIRST_S = 5.0
FACTOR = 3.0
LONGEST_S = 6 * 3_600.0
LIFE_S = 72 * 3_600.0
JITTER = 0.2
"""Each wait differs by up to so much of itself, so that what failed together does not come back together."""


def wait_s(attempts: int, age_s: float, at_random: float | None = None) -> float | None:
    """How long to wait after ``attempts`` tries in vain; None: it is given up.

    ``age_s``: how long ago it was first to be sent; ``at_random``: from 0 to 1, drawn where it is not given.
    5 s, 15 s, 45 s, 2 min, 7 min, 20 min, 1 h, 3 h, then every 6 h, each up to 20% less or more.
    """
    drawn = random.random() if at_random is None else at_random  # noqa: S311  # no secret
    longest = min(FIRST_S * FACTOR ** min(attempts - 1, 20), LONGEST_S)
    wait = longest * (1 - JITTER + 2 * JITTER * drawn)
    return None if age_s + wait > LIFE_S else wait


def is_dead(failures: int, failing_since: datetime | None, now: datetime, days: float, at_least: int = 10) -> bool:
    """Whether a channel that failed ``failures`` times in a row, since then, is to be switched off."""
    return failing_since is not None and failures >= at_least and now - failing_since >= timedelta(days=days)
