"""What devices publish to a broker goes the way of all messages, and is acknowledged to the broker after COMMIT.

The broker has let the device in and checked its topic; so whose message it is, is what the topic says. Who is suspended
is refused all the same, and counted. What a broker cannot tell is who is there: a device that this process has heard of
counts as reachable for commands, and never as online.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple, Protocol
from uuid import UUID

from ingest.adapters.base import Decision, Message, Refused, Uplink, Verdict
from ingest.adapters.broker.client import Client, Delivery
from ingest.metrics import MESSAGES
from schema.wire import topics

log = logging.getLogger(__name__)

Names = tuple[str, str]
"""A tenant's key and a device's."""

KNOWN: Final = 50_000
AGAIN_S: Final = 1.0
DRAIN_S: Final = 5.0
NOBODY_FOR_S: Final = 10.0
"""So long a name that stands for nobody is not asked for again."""
_AT_ONCE: Final = 200


class Named(NamedTuple):
    """A device by its name. `is_shut_out`: its whole tenant is; of a device alone the writer knows it."""

    device: Decision
    is_shut_out: bool


class Registry(Protocol):
    """Knows who is called so."""

    async def named(self, names: Collection[Names]) -> Mapping[Names, tuple[Decision, bool]]:
        """The devices of these names, each with whether its tenant is suspended. Raises Refused("unavailable")."""
        ...


class BrokerAdapter:
    """Feeds the uplink from a broker; a `Way` down to the devices behind it. `tenant`: whose broker it is, if one's."""

    is_shared = True
    """What a device says comes by turns to whoever shares the subscription."""

    def __init__(
        self,
        client: Client,
        registry: Registry,
        uplink: Uplink,
        *,
        group: str,
        tenant: str = "",
        refused: Callable[[Decision, str], None],
        ask: Callable[[UUID], None],
    ) -> None:
        self._client = client
        self._registry = registry
        self._uplink = uplink
        self._filter = f"$share/{group}/t/{tenant or '+'}/d/+/up/#"
        self._tenant = tenant
        self._refused = refused
        self._ask = ask
        self._known: OrderedDict[Names, Named] = OrderedDict()
        self._names: dict[UUID, Names] = {}
        self._nobody: OrderedDict[Names, float] = OrderedDict()
        self._heard: OrderedDict[UUID, Decision] = OrderedDict()
        self._unknown: dict[Names, list[tuple[Delivery, str]]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._undecided = 0
        self._is_stopping = False
        self._is_drained = asyncio.Event()
        self._changes = 0

    def start(self) -> None:
        """Begin to take messages."""
        self._client.start(self._filter, self._take)

    async def run(self) -> None:
        """Return when the client has died, which it should not: the process is then to be restarted."""
        while self._client.is_alive:  # noqa: ASYNC110  # a thread tells nobody that it ends
            await asyncio.sleep(AGAIN_S)

    async def stop(self) -> None:
        """Take nothing more, acknowledge what is committed, leave; the rest stays with the broker."""
        self._client.pause()
        self._is_stopping = True
        if not self._undecided:
            self._is_drained.set()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._is_drained.wait(), DRAIN_S)
        if self._looking is not None:
            self._looking.cancel()
        await self._client.stop()

    def changed(self, device_id: UUID) -> None:
        """Something has changed with a device: who it is, is asked anew. A device may be new under a name."""
        self._changes += 1
        self._nobody.clear()
        self._heard.pop(device_id, None)
        names = self._names.pop(device_id, None)
        if names is not None:
            self._known.pop(names, None)

    def changed_tenant(self, tenant_id: UUID) -> None:
        """Something has changed with a tenant."""
        self._forget(lambda known: known.tenant_id == tenant_id)

    def missed(self) -> None:
        """Changes may have been missed."""
        self._forget(lambda _: True)

    # ── up ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, delivery: Delivery) -> None:
        self._undecided += 1
        whole = topics.WHOLE.fullmatch(delivery.topic)
        if whole is None or self._tenant not in ("", whole[1]):
            self._drop(delivery, "unknown_topic")
            return
        names, tail = (whole[1], whole[2]), whole[3]
        if names in self._unknown:  # those before it have not been handed on yet
            self._unknown[names].append((delivery, tail))
            return
        known = self._known.get(names)
        if known is not None:
            self._hand_on(known, delivery, tail)
        elif self._nobody.get(names, 0.0) > asyncio.get_running_loop().time():
            self._drop(delivery, "unknown_device")
        else:
            self._unknown[names] = [(delivery, tail)]
            self._look()

    def _hand_on(self, known: Named, delivery: Delivery, tail: str) -> None:
        if known.is_shut_out:
            self._refused(known.device, "tenant")
            self._end(delivery)
            return
        message = Message(
            known.device,
            tail,
            delivery.payload,
            1,
            delivery.received_at,
            dup=delivery.is_repeat,
            packet_id=delivery.mid if delivery.qos else None,
            transport="broker",
        )
        self._submit(message, delivery)
        if known.device.device_id not in self._heard:
            self._ask_for(known.device)

    def _submit(self, message: Message, delivery: Delivery) -> None:
        def decided(verdict: Verdict) -> None:
            if verdict is Verdict.UNAVAILABLE:  # it stays with the broker, and with us, until it can be stored
                asyncio.get_running_loop().call_later(AGAIN_S, self._submit, message, delivery)
            else:
                self._end(delivery)

        if self._uplink.is_full:
            self._uplink.when_drained(lambda: self._uplink.submit(message, decided))
        else:
            self._uplink.submit(message, decided)

    def _drop(self, delivery: Delivery, why: str) -> None:
        """It is nobody's: counted by this process, and not to be delivered again."""
        MESSAGES.labels(why).inc()
        self._end(delivery)

    def _end(self, delivery: Delivery) -> None:
        self._undecided -= 1
        if self._is_stopping and not self._undecided:
            self._is_drained.set()
        self._client.acknowledge(delivery)
        self._client.done(delivery)

    # ── who ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    def _look(self) -> None:
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look_up())

    async def _look_up(self) -> None:
        while self._unknown:
            asked, changes = list(self._unknown)[:_AT_ONCE], self._changes
            try:
                found = await self._registry.named(asked)
            except Refused:
                await asyncio.sleep(AGAIN_S)
                continue
            if changes != self._changes:
                continue  # what was answered may be older than the change that was just told
            for names in asked:
                known = self._remember(names, found.get(names))
                for delivery, tail in self._unknown.pop(names):
                    if known is None:
                        self._drop(delivery, "unknown_device")
                    else:
                        self._hand_on(known, delivery, tail)

    def _remember(self, names: Names, found: tuple[Decision, bool] | None) -> Named | None:
        if found is None:
            self._nobody[names] = asyncio.get_running_loop().time() + NOBODY_FOR_S
            self._nobody.move_to_end(names)
            if len(self._nobody) > KNOWN:
                self._nobody.popitem(last=False)
            return None
        known = self._known[names] = Named(*found)
        self._names[known.device.device_id] = names
        if len(self._known) > KNOWN:
            _, oldest = self._known.popitem(last=False)
            self._names.pop(oldest.device.device_id, None)
        return known

    def _forget(self, is_meant: Callable[[Decision], bool]) -> None:
        self._changes += 1
        self._nobody.clear()
        for names, known in [(names, known) for names, known in self._known.items() if is_meant(known.device)]:
            del self._known[names]
            self._names.pop(known.device.device_id, None)
        for device_id in [device_id for device_id, device in self._heard.items() if is_meant(device)]:
            del self._heard[device_id]

    def _ask_for(self, device: Decision) -> None:
        """It has been heard of: what waits for it may go down."""
        self._heard[device.device_id] = device
        if len(self._heard) > KNOWN:
            self._heard.popitem(last=False)
        self._ask(device.device_id)

    # ── down ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def sessions(self) -> Iterator[Decision]:
        """Who has been heard of."""
        return iter(list(self._heard.values()))

    def session(self, device_id: UUID) -> Decision | None:
        """The device, if it has been heard of."""
        return self._heard.get(device_id)

    def listens(self, device_id: UUID, topic_tail: str) -> bool:
        """Whether it can be reached, as far as can be known: the broker says when it knows of no subscriber."""
        return device_id in self._heard and self._client.is_connected and topic_tail.startswith("down/")

    def send(self, device_id: UUID, topic_tail: str, payload: bytes, qos: int = 1) -> asyncio.Future[bool]:
        """Publish; delivered when the broker has taken it for at least one subscriber."""
        device = self._heard[device_id]
        return self._client.publish(f"t/{topics.username(device.tenant, device.device)}/{topic_tail}", payload)
