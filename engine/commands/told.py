"""What ingest tells the journal of commands; the drain makes sense of it."""

SENT = "command.sent"
"""A device has confirmed that it has a command."""
ANSWERED = "command.answered"
"""A device has said something of a command."""
