"""What the inbox refuses."""

from engine.errors import Conflict, NotFound


class MessageNotFound(NotFound):
    """There is no such message in the inbox: it was replayed or discarded, or you may not see it."""

    code = "INBOX_MESSAGE_NOT_FOUND"


class GroupNotFound(NotFound):
    """There is no such group in the inbox: all of it was replayed or discarded, or you may not see it."""

    code = "INBOX_GROUP_NOT_FOUND"


class NothingKept(Conflict):
    """Nothing of this can be replayed: only its number, or only the beginning of the message, was kept."""

    code = "INBOX_NOTHING_KEPT"
