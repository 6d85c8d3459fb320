"""What point tables refuse."""

from engine.errors import Conflict, Invalid


class PointTableInvalid(Invalid):
    """This point table cannot be used."""

    code = "POINT_TABLE_INVALID"


class PointTableTooLarge(Invalid):
    """A point table has at most 120 KiB; split the machines between several edges, or keep it in the edge's file."""

    code = "POINT_TABLE_TOO_LARGE"


class PointTableStale(Conflict):
    """Somebody else has changed the point table meanwhile; look at theirs first."""

    code = "POINT_TABLE_STALE"
