"""What the journal refuses."""

from engine.errors import Expired, Invalid


class CursorTooOld(Expired):
    """The place you want to resume from is no longer kept; load the present state and start again from there."""

    code = "CURSOR_TOO_OLD"


class ReadersMalformed(Invalid):
    """One to 16 readers can share a tenant's journal."""

    code = "READERS_MALFORMED"
