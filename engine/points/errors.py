"""What point tables refuse."""

from engine.errors import Conflict, Invalid, NotFound


class PointTableInvalid(Invalid):
    """This point table cannot be used."""

    code = "POINT_TABLE_INVALID"


class PointTableTooLarge(Invalid):
    """A point table has at most 1 MiB, and 150 KiB compressed; split the machines between several edges."""

    code = "POINT_TABLE_TOO_LARGE"


class PointTableStale(Conflict):
    """Somebody else has changed the point table meanwhile; look at theirs first."""

    code = "POINT_TABLE_STALE"


class PointTableVersionNotFound(NotFound):
    """This version of the point table is not there, or kept no longer: the last 20 are."""

    code = "POINT_TABLE_VERSION_NOT_FOUND"
