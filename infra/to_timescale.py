"""`tidegate migrate --to-timescale`: telemetry that is stored already is moved into TimescaleDB, day by day."""

import psycopg

from engine.store import timescale_move
from engine.store.errors import TimescaleUnusable
from engine.store.timescale_move import Moved
from infra.local.errors import SetupProblem


def move(owner_url: str) -> None:
    """Move all of it, saying how far that is; cut off, the same command goes on. Raises `SetupProblem`."""
    try:
        readings = timescale_move.move(owner_url, _say)
    except TimescaleUnusable as problem:
        raise SetupProblem(str(problem)) from None
    except psycopg.errors.LockNotAvailable:
        raise SetupProblem("Somebody holds telemetry for longer than ten seconds: say it again, it goes on.") from None
    print("telemetry lies in TimescaleDB" + (f": {readings:,} readings were moved" if readings is not None else ""))


def _say(moved: Moved) -> None:
    day = moved.part.removeprefix("telemetry_")
    print(f"{day[:4]}-{day[4:6]}-{day[6:]}: {moved.readings:,} readings, {moved.left} days to go", flush=True)
