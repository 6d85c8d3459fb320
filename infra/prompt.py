"""A WebSocket that can say a text at once, without the layers and tasks in between (ADR 80).

One reading goes to thousands of sockets. What each of them costs beside the kernel's part is what this leaves out:
uvicorn's own `send` does the same by six functions and three objects a message.
"""

from functools import lru_cache

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State

from resolvers.sockets import AT_ONCE


class PromptWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which tells its application how to say something at once."""

    def handle_connect(self, event: Request) -> None:
        """A client wants to begin; what uvicorn makes its scope of has one more thing."""
        super().handle_connect(event)
        if self.response.status_code == 101:  # uvicorn has refused it otherwise, and made no scope
            self.scope["extensions"] = {**(self.scope["extensions"] or {}), AT_ONCE: {"say": self.say_at_once}}

    def say_at_once(self, begin: bytes, rest: bytes) -> bool:
        """Send a text of two parts, if the connection is open and takes more; whether it was sent.

        Where it does not, the application waits by `send`, as ever, so that nobody is written to without bound.
        """
        if self.conn.state is not State.OPEN or self.conn.extensions or not self.writable.is_set():
            return False
        if self.transport.is_closing():
            return False
        self.transport.write(b"".join((_head(len(begin) + len(rest)), begin, rest)))
        return True


@lru_cache(maxsize=4_096)
def _head(size: int) -> bytes:
    """The head of a text frame of so many bytes, as the library writes it."""
    return Frame(Opcode.TEXT, bytes(size)).serialize(mask=False)[:-size]
