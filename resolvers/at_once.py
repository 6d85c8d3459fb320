"""Runs what need not wait within whoever calls, without a task of its own."""

from collections.abc import Awaitable
from typing import Any


def at_once(sending: Awaitable[Any]) -> bool:
    """Run what waits for nothing but room, before it does anything, if it need not wait; whether it ran.

    A server's ``send`` is that: it waits until its socket can take more, and then writes. One that would wait is left,
    and whoever calls awaits another (ADR 80). Raises what it raises.
    """
    steps = sending.__await__()
    for _ in steps:
        steps.close()
        return False
    return True
