"""What a simulated device does when it is asked to do something: it takes the command, does it, and reports."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from infra.local.signals import Signal, Unwilling
from schema.wire import topics

Publish = Callable[[str, bytes], Awaitable[None]]

REMEMBERED = 100
"""Commands whose answers a device keeps: the same id again is the same command, which is answered, not done again."""


class Obedience:
    """The commands of one device. `pause_s` is how long it takes to do what it is asked."""

    def __init__(self, tenant: str, key: str, model: Signal, pause_s: float = 1.5) -> None:
        self._who = tenant, key
        self._model = model
        self._pause_s = pause_s
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: OrderedDict[str, dict[str, Any]] = OrderedDict()

    @property
    def topic_filter(self) -> str:
        """Where its commands come."""
        return topics.build(*self._who, "down/cmd/") + "#"

    def hear(self, _topic: str, payload: bytes) -> None:
        """Note a command; whoever answers does it later, so that the receipt goes out at once."""
        try:
            said = orjson.loads(payload)
        except ValueError:
            return  # not a command of this platform
        if isinstance(said, dict) and {"id", "command", "arguments"} <= said.keys():
            self._waiting.put_nowait(said)

    async def answer(self, publish: Publish) -> None:
        """Do what was asked, one after the other, until cancelled; raises OSError when the connection is gone."""
        while True:
            said = await self._waiting.get()
            try:
                await self._answer(said, publish)
            except (OSError, asyncio.CancelledError):
                self._waiting.put_nowait(said)  # it is answered on the next connection
                raise

    async def _answer(self, said: dict[str, Any], publish: Publish) -> None:
        known = self._answers.get(said["id"])
        result = known or self._do(said)
        if result["status"] == "rejected":
            await self._say(publish, said["id"], "command_ack", result)
            return
        await self._say(publish, said["id"], "command_ack", {"status": "accepted"})
        if known is None:
            await asyncio.sleep(self._pause_s)
        await self._say(publish, said["id"], "command_result", result)

    def _do(self, said: dict[str, Any]) -> dict[str, Any]:
        try:
            result = {"status": "succeeded", "result": self._model.obey(said["command"], said["arguments"])}
        except Unwilling as unwilling:
            result = {"status": "rejected", "reason": str(unwilling)}
        except (KeyError, TypeError, ValueError):  # the profile was changed: it declares what this model never learnt
            result = {"status": "rejected", "reason": "It does not understand these arguments."}
        self._answers[said["id"]] = result
        if len(self._answers) > REMEMBERED:
            self._answers.popitem(last=False)
        return result

    async def _say(self, publish: Publish, command_id: str, kind: str, body: dict[str, Any]) -> None:
        topic = topics.build(*self._who, topics.UP[kind], id=command_id)
        await publish(topic, orjson.dumps(body))
