"""GraphQL over WebSocket: the graphql-transport-ws protocol, as graphql-ws and Apollo speak it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from contextlib import aclosing
from functools import partial
from typing import Any

import orjson
from graphql import OperationType
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from engine.errors import EngineError, Unavailable
from engine.tenants.errors import TenantSuspended
from resolvers.auth import Caller, bearer, cookie
from resolvers.context import RequestContext
from resolvers.errors import refused
from resolvers.execution import Prepared, Refused, checked_variables
from resolvers.front import Front
from resolvers.limits import MAX_BODY_BYTES

log = logging.getLogger(__name__)

PROTOCOL = "graphql-transport-ws"
AT_ONCE = "tidegate.at_once"
"""Under this name a server that can say a text at once has its way to among a scope's extensions (infra/prompt.py)."""
INIT_WAIT_S = 10.0
MAX_OPERATIONS = 100


class Closed(Exception):
    """The conversation ends with a code and a reason of the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


_LATER = Closed(1013, "Try again later")


class GraphQLOverWebSocket:
    """Accepts the sockets on /graphql."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One socket, until either side ends it; an application of its own, whose messages pass nobody else."""
        socket = WebSocket(scope, receive, send)
        if PROTOCOL not in socket.scope["subprotocols"]:
            await socket.accept()
            await socket.close(4406, "Subprotocol not acceptable")
            return
        await socket.accept(PROTOCOL)
        await Conversation(self._front, socket).run()


class Conversation:
    """What is said on one socket."""

    def __init__(self, front: Front, socket: WebSocket) -> None:
        self._front = front
        self._socket = socket
        prompt = (socket.scope.get("extensions") or {}).get(AT_ONCE)
        self._say_at_once: Callable[[bytes, bytes], bool] | None = prompt["say"] if prompt else None
        self._secret: str | None = None
        self._caller: Caller | None = None
        self._is_open = False
        self._running: dict[str, asyncio.Task[None]] = {}
        self._leave: Callable[[], None] | None = None
        self._cutting: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Hear messages until the end; then end every operation."""
        init_wait = asyncio.create_task(self._wait_for_init())
        try:
            while True:
                await self._hear(await self._receive())
        except Closed as end:
            await self._close(end)
        except Unavailable:
            await self._close(_LATER)
        except WebSocketDisconnect:
            pass
        finally:
            if self._leave is not None:
                self._leave()
            tasks = [init_wait, *self._running.values(), *([self._cutting] if self._cutting else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self) -> dict[str, Any]:
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1005))
        text = message.get("text")
        if text is None:
            raise Closed(4400, "Messages are text")
        if len(text) > MAX_BODY_BYTES:
            raise Closed(4400, "Message too long")
        try:
            said = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise Closed(4400, "Messages are JSON") from None
        if not isinstance(said, dict) or not isinstance(said.get("type"), str):
            raise Closed(4400, "A message is an object with a type")
        return said

    async def _hear(self, said: dict[str, Any]) -> None:
        match said["type"]:
            case "connection_init":
                await self._init(said.get("payload"))
            case "ping":
                await self._say({"type": "pong"})
            case "pong":
                pass
            case "subscribe":
                self._subscribe(said)
            case "complete":
                self._stop(said.get("id"))
            case _:
                raise Closed(4400, "Unknown message type")

    async def _wait_for_init(self) -> None:
        await asyncio.sleep(INIT_WAIT_S)
        if not self._is_open:
            await self._close(Closed(4408, "Connection initialisation timeout"))

    async def _init(self, payload: object) -> None:
        if self._is_open:
            raise Closed(4429, "Too many initialisation requests")
        if payload is not None and not isinstance(payload, dict):
            raise Closed(4400, "The payload is an object")
        self._secret = self._find_secret(payload or {})
        try:
            self._caller = await self._front.authenticator.caller(self._secret) if self._secret else None
        except TenantSuspended as error:
            raise Closed(4403, error.message) from None
        if self._caller is None:
            raise Closed(4403, "Forbidden") if self._secret else Closed(4401, "Unauthorized")
        self._is_open = True
        assert self._secret is not None
        self._leave = self._front.watches.watch(self._secret, self._caller, self._cut)
        await self._say({"type": "connection_ack"})

    def _find_secret(self, payload: dict[str, Any]) -> str | None:
        """From the handshake's Authorization header, the init message, or our own page's cookie."""
        said = payload.get("authorization", payload.get("Authorization"))
        scheme, _, secret = said.partition(" ") if isinstance(said, str) else ("", "", "")
        if scheme.lower() == "bearer" and secret.strip():
            return secret.strip()
        return bearer(self._socket.headers) or cookie(self._socket, self._front.origins)

    def _subscribe(self, said: dict[str, Any]) -> None:
        if not self._is_open:
            raise Closed(4401, "Unauthorized")
        id_, payload = said.get("id"), said.get("payload")
        if not isinstance(id_, str) or not id_ or not isinstance(payload, dict):
            raise Closed(4400, "subscribe needs an id and a payload")
        name = payload.get("operationName")
        if not isinstance(payload.get("query"), str) or (name is not None and not isinstance(name, str)):
            raise Closed(4400, "The payload needs a query")
        if id_ in self._running:
            raise Closed(4409, f"Subscriber for {id_[:60]} already exists")
        if len(self._running) >= MAX_OPERATIONS:
            raise Closed(4429, "Too many operations")
        self._running[id_] = asyncio.create_task(self._operate(id_, payload))

    def _stop(self, id_: object) -> None:
        task = self._running.pop(id_, None) if isinstance(id_, str) else None
        if task:
            task.cancel()

    async def _operate(self, id_: str, payload: dict[str, Any]) -> None:
        """One operation from beginning to end."""
        operations, caller = self._front.operations, self._caller
        assert caller is not None
        context = RequestContext(self._front.services, caller.principal)
        try:
            prepared = operations.prepare(payload["query"])
            variables = checked_variables(payload.get("variables"))
            name = payload.get("operationName")
            if prepared.operation(name).operation is OperationType.SUBSCRIPTION:
                await self._follow(id_, prepared, name, variables, context)
            else:
                answer = await operations.run(prepared, name, variables, context)
                await self._socket.send(_text(_begin_of_next(id_), orjson.dumps(answer)))
            self._running.pop(id_, None)
            await self._say({"type": "complete", "id": id_})
        except Refused as error:
            if any(isinstance(each.original_error, Unavailable) for each in error.errors):
                await self._close(_LATER)  # clients come back by themselves after this code
            else:
                await self._fail(id_, error.answer()["errors"])
        except Unavailable:
            await self._close(_LATER)
        except EngineError as error:
            refusal = refused(error)
            await self._fail(id_, [{"message": refusal.message, "extensions": refusal.extensions()}])
        except (WebSocketDisconnect, RuntimeError):
            pass  # the socket went away while we were speaking; run() tidies up
        except Exception as error:
            refusal = refused(error)
            await self._fail(id_, [{"message": refusal.message, "extensions": refusal.extensions()}])
        finally:
            await context.close()

    async def _follow(
        self, id_: str, prepared: Prepared, name: str | None, variables: Any, context: RequestContext
    ) -> None:
        stream = await self._front.operations.stream(prepared, name, variables, context)
        begin = _begin_of_next(id_)
        if self._say_at_once is not None:
            stream.hand_to(partial(_hand_on, self._say_at_once, begin.encode()))
        async with aclosing(stream.events()) as events:
            async for event in events:
                await self._socket.send(_text(begin, await stream.answer(event)))

    async def _fail(self, id_: str, errors: list[dict[str, Any]]) -> None:
        self._running.pop(id_, None)
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await self._say({"type": "error", "id": id_, "payload": errors})

    async def _say(self, message: dict[str, Any]) -> None:
        await self._socket.send_text(orjson.dumps(message).decode())

    def _cut(self) -> None:
        """Who talks here is no longer who they were."""
        self._cutting = asyncio.create_task(self._close(Closed(4403, "Forbidden")))

    async def _close(self, end: Closed) -> None:
        if self._socket.application_state is not WebSocketState.DISCONNECTED:
            with contextlib.suppress(RuntimeError):
                await self._socket.close(end.code, end.reason[:120])


def _begin_of_next(id_: str) -> str:
    """What stands before each answer of this operation."""
    return f'{{"id":{orjson.dumps(id_).decode()},"type":"next","payload":'


def _text(begin: str, answer: bytes) -> Message:
    """An answer, whose bytes may be shared with other sockets, as a message to the server."""
    return {"type": "websocket.send", "text": f"{begin}{answer.decode()}}}"}


def _hand_on(say_at_once: Callable[[bytes, bytes], bool], begin: bytes, _event: object, answer: bytes) -> bool:
    """Say an answer at once, if that goes."""
    return say_at_once(begin, answer + b"}")
