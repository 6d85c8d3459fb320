"""The devices' CoAP server: which request is which, who may, and what it is answered with."""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from aiocoap import Message
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber as Option

from ingest.adapters.base import Decision, Identifier, Refused, Uplink
from ingest.adapters.coap.answers import (
    ANOTHERS,
    BUSY,
    CROWDED,
    IN_THE_CLEAR,
    NEWER,
    NO_PROXY,
    NOT_ACCEPTED,
    NOT_FOUND,
    NOT_READ,
    REFUSED,
    STOPPING,
    STRANGER,
    Answer,
    in_format,
    refusal,
)
from ingest.adapters.coap.blocks import Bodies
from ingest.adapters.coap.exchanges import Address, Exchanges, Limits, Reply, small
from ingest.adapters.coap.keeper import Keeper, NotOpened
from ingest.adapters.coap.messages import Messages
from ingest.adapters.coap.observers import Observer, Observers, listed, nothing
from ingest.adapters.http.login import Logins, Proof
from ingest.adapters.http.polls import End, Polls
from ingest.adapters.http.room import Full
from schema.wire import coap as wire
from schema.wire import http

if TYPE_CHECKING:
    from ingest.adapters.coap.oscore import Opened, Protection

log = logging.getLogger(__name__)

LOOK_WITHIN_S: Final = 5.0
"""So long the database may take to say what waits for a device."""
LOOK_AGAIN_S: Final = 1.0
DRAIN_S: Final = 5.0

_WAYS_UP: Final = (Code.POST, Code.PUT)
_UNDERSTOOD: Final = frozenset(
    {Option.URI_HOST, Option.URI_PORT, Option.URI_PATH, Option.URI_QUERY, Option.ACCEPT, Option.BLOCK1, Option.BLOCK2}
)
"""Of the critical options; one that is critical and not known is no request that can be answered."""
_ENDED: Final[dict[End, Answer]] = {"newer": NEWER, "stopped": STOPPING, "changed": BUSY}


class CoapEndpoint:
    """Answers datagrams. `refused(device, why)` counts a message that never reaches the uplink (D3); `ask(device)` has
    what waits for a device sent to it: to its observation, or to its question among `polls`.
    """

    def __init__(
        self,
        identifier: Identifier,
        uplink: Uplink,
        polls: Polls,
        *,
        refused: Callable[[Decision, str], None],
        ask: Callable[[UUID], None],
        contexts: Keeper,
        takes_tokens: bool = False,
        limits: Limits = Limits(),
    ) -> None:
        """`contexts` of who protects messages. `takes_tokens`: in the clear, where nobody else can listen, or so it was
        said.
        """
        self._bodies = Bodies()
        self.observers = Observers(self._bodies)
        self._exchanges = Exchanges(self._serve, limits)
        self._logins = Logins(identifier)
        self._messages = Messages(uplink, refused)
        self._polls = polls
        self._refused = refused
        self._ask = ask
        self._contexts = contexts
        self._opening: Protection | None = None
        self._takes_tokens = takes_tokens
        self._notifying: set[asyncio.Task[bool]] = set()
        self._looks: dict[Observer, asyncio.Task[None]] = {}
        self._is_stopping = False

    async def start(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Listen; the port it is. Raises OSError.

        `reuse_port`: other processes may listen there too; what comes from one address goes to one of them.
        """
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self._exchanges, local_addr=(host, port), reuse_port=reuse_port
        )
        return int(transport.get_extra_info("sockname")[1])

    async def stop(self) -> None:
        """Take nothing more, notify nobody; what was taken is answered when it is committed."""
        self._is_stopping = True
        for look in self._looks.values():
            look.cancel()
        for notifying in self._notifying:
            notifying.cancel()
        await self._exchanges.close(DRAIN_S)

    def changed(self, device_id: UUID) -> None:
        """Something has changed with a device: who it is, is asked anew."""
        self._logins.forget(device_id)
        self._look_at(self.observers.observing(device_id))

    def changed_tenant(self, tenant_id: UUID) -> None:
        """Something has changed with all devices of a tenant."""
        self._logins.forget_tenant(tenant_id)
        self._look_at(self.observers.observing(tenant_id=tenant_id))

    def missed(self) -> None:
        """Changes may have been missed."""
        self._logins.forget_all()
        self._look_at(self.observers.observing())

    # ── a request ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def _serve(self, request: Message, address: Address, size: int) -> Reply:
        opened: Opened | None = None
        try:
            if request.opt.oscore is not None:
                opened = await (await self._protection()).open(request)
                request = opened.request
            device, proof, topic = await self._admitted(request, address, opened)
        except Refused as refused:
            return _told_no(REFUSED[refused.reason], size, opened)
        except (_No, NotOpened) as no:
            return _told_no(no.answer, size, opened)
        try:
            answer = await self._answer(request, address, device, proof, topic, opened)
        except Refused as refused:  # it has lost its rights meanwhile
            answer = REFUSED[refused.reason]
        except Full:
            answer = BUSY
        sent = partial(self._ask, device.device_id) if answer.observe is not None else _nothing
        message = answer.message()
        return Reply(message if opened is None else opened.answered(message), is_proven=True, sent=sent)

    async def _admitted(
        self, request: Message, address: Address, opened: Opened | None
    ) -> tuple[Decision, Proof, str | None]:
        """Whose request this is, and where it goes: a topic, or None for what waits. Raises Refused, _No."""
        key, topic = self._place(request)
        if self._is_stopping:
            raise _No(STOPPING)
        proof = self._shown(request) if opened is None else opened.proof
        device = await self._logins.identify(proof, str(address[0]))
        if device.device != key:
            self._refused(device, "device")
            raise _No(ANOTHERS)
        return device, proof, topic

    async def _protection(self) -> Protection:
        """What opens protected messages; its cryptography is imported with the first of them, beside everybody else."""
        if self._opening is None:
            module = await asyncio.to_thread(importlib.import_module, "ingest.adapters.coap.oscore")
            self._opening = self._opening or module.Protection(self._contexts)
        return self._opening

    def _shown(self, request: Message) -> Proof:
        """What somebody shows in the clear. Raises _No."""
        token = _token(request)
        if token is None:
            raise _No(STRANGER)
        if not self._takes_tokens:
            raise _No(IN_THE_CLEAR)
        return Proof("", token, None)

    def _place(self, request: Message) -> tuple[str, str | None]:
        """The device that the path names, and the topic it stands for. Raises _No."""
        for option in request.opt.option_list():
            if option.number in (Option.PROXY_URI, Option.PROXY_SCHEME):
                raise _No(NO_PROXY)
            if option.number.is_critical() and option.number not in _UNDERSTOOD:
                raise _No(refusal(Code.BAD_OPTION, f"The option {int(option.number)} is not understood."))
        segments = request.opt.uri_path
        key, rest = http.parse("/" + "/".join(segments)) or ("", "")
        topic = http.up_tail(rest)
        if (topic is None and rest != http.COMMANDS_PATH) or any("/" in each for each in segments):
            raise _No(NOT_FOUND)
        if request.code not in (_WAYS_UP if topic is not None else (Code.GET,)):
            raise _No(refusal(Code.METHOD_NOT_ALLOWED, "Use POST or PUT." if topic is not None else "Use GET."))
        return key, topic

    async def _answer(
        self,
        request: Message,
        address: Address,
        device: Decision,
        proof: Proof,
        topic: str | None,
        opened: Opened | None,
    ) -> Answer:
        if topic is not None:
            still = partial(self._logins.identify, proof, str(address[0]))
            return await self._messages.take(request, (address, device.device_id), device, topic, still)
        accept = request.opt.accept
        if accept not in (None, wire.JSON, wire.CBOR):
            return NOT_ACCEPTED
        block = request.opt.block2
        if block is not None and block.block_number:
            return self._bodies.part(device.device_id, (block.block_number, False, block.size_exponent))
        if request.opt.observe == 0:
            return self._observe(request, address, device, proof, opened)
        if request.opt.observe == 1:
            self.observers.remove(device.device_id)
        return await self._commands(device, accept, None if block is None else (0, False, block.size_exponent))

    # ── what waits ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _observe(
        self, request: Message, address: Address, device: Decision, proof: Proof, opened: Opened | None
    ) -> Answer:
        """The device observes from now on: what waits comes as notifications."""
        if self.observers.is_full and not self.observers.observing(device.device_id):
            return CROWDED
        token, accept = request.token, request.opt.accept

        def notify(answer: Answer) -> asyncio.Future[bool]:
            if opened is None:
                return self._exchanges.confirmed(answer.message(), token, address)
            notifying = asyncio.get_running_loop().create_task(self._notify(opened, answer.message(), token, address))
            self._notifying.add(notifying)
            notifying.add_done_callback(self._notifying.discard)
            return notifying

        observer = self.observers.add(device, proof, notify, accept)
        return nothing(accept)._replace(observe=observer.number)

    async def _notify(self, opened: Opened, message: Message, token: bytes, address: Address) -> bool:
        """Notify who observes under protection; whether it was acknowledged."""
        try:
            protected = await opened.notified(message)
        except Refused:
            return False
        return await self._exchanges.confirmed(protected, token, address)

    async def _commands(self, device: Decision, accept: int | None, block: Any) -> Answer:
        """What waits now; it counts as sent when it is answered with, for a lost answer is asked for again."""
        if self._polls.is_full:
            return CROWDED
        with self._polls.waiting(device) as poll:
            poll.hurry()
            await asyncio.wait([poll.ended], timeout=LOOK_WITHIN_S)
            if not poll.ended.done():
                return NOT_READ
            why = poll.ended.result()
            payloads = [payload for payload, answer in poll.given if not answer.done()]
            if why in _ENDED:
                return _ENDED[why]
            if not payloads:
                return nothing(accept)
            poll.settle(True)
        return self._bodies.first(device.device_id, *in_format(listed(payloads), accept), lambda _: None, block)

    def _look_at(self, observers: list[Observer]) -> None:
        """See whether these devices may still observe."""
        for observer in observers:
            older = self._looks.pop(observer, None)
            if older is not None:
                older.cancel()
            self._looks[observer] = asyncio.get_running_loop().create_task(self._look(observer))

    async def _look(self, observer: Observer) -> None:
        """Ask until it is known: what is not answered now may be that its rights are gone."""
        while not observer.is_gone:
            try:
                await self._logins.identify(observer.proof, "")
                break
            except Refused as refused:
                if refused.reason not in ("unavailable", "throttled"):
                    if self.observers.remove(observer.device.device_id, observer) is not None:
                        observer.notify(REFUSED[refused.reason])
                    break
            await asyncio.sleep(LOOK_AGAIN_S)
        del self._looks[observer]


class _No(Exception):
    """A request is answered before it is known whose it is."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        self.answer = answer


def _told_no(answer: Answer, size: int, opened: Opened | None) -> Reply:
    """A refusal: protected for who has proved to hold a context, small for anybody else."""
    if opened is None:
        return Reply(small(answer, size), is_proven=False)
    return Reply(opened.answered(answer.message()), is_proven=True)


def _token(request: Message) -> bytes | None:
    for query in request.opt.uri_query:
        name, _, value = query.partition("=")
        if name == wire.TOKEN and value:
            return str(value).encode()
    return None


def _nothing() -> None:
    pass
