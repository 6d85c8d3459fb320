"""The worker that runs in production sends what is due by itself."""

import asyncio

from engine.notifications.model import DeliveryState, Step
from tests.engine.notifications.conftest import Desk
from tests.engine.test_worker import WAIT_S, Processes, processes
from tests.support.outside import post_office

__all__ = ["processes"]


async def test_a_running_worker_mails_without_being_asked(desk: Desk, processes: Processes) -> None:
    channel = await desk.channel("team")
    await desk.policy("team", Step(0, (channel.id,)))
    await desk.notify("team")
    with post_office() as post:
        processes._environment |= {
            "TIDEGATE_SMTP_URL": f"smtp://127.0.0.1:{post.port}",
            "TIDEGATE_MAIL_FROM": "tide@gate.example",
        }
        processes.start("worker")
        processes.start("tick")
        async with asyncio.timeout(WAIT_S):
            while (await desk.log())[0].state is not DeliveryState.DELIVERED:
                await asyncio.sleep(0.2)
    assert ["team@desk.example"] in post.recipients  # the worker serves whoever else has something to say, too
