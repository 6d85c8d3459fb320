"""Webhooks: a signed POST to an address that a tenant typed, through the guard of outgoing requests."""

from datetime import datetime
from uuid import UUID

from standardwebhooks.webhooks import Webhook

from engine.notifications import render
from engine.notifications.errors import Undelivered
from engine.notifications.model import Message
from engine.outbound.errors import AddressRefused, NoAnswer
from engine.outbound.fetch import Outbound

MOST_BYTES = 16 * 1024
GONE = 410
REFUSED = "The address does not lead to the public internet, or not by https."


async def send(
    outbound: Outbound,
    message: Message,
    *,
    url: str,
    key: str,
    delivery_id: UUID,
    created_at: datetime,
    now: datetime,
    origin: str,
) -> None:
    """POST one message as Standard Webhooks has it: ``webhook-id``, ``-timestamp``, ``-signature`` (v1, HMAC-SHA256).

    2xx is delivered; 410 means that nobody wants it any more; everything else is tried again, redirects too, since none
    is followed. Raises Undelivered.
    """
    body = render.body(message, origin, created_at)
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Tidegate",
        "webhook-id": str(delivery_id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(key).sign(str(delivery_id), now, body.decode()),
    }
    try:
        answer = await outbound.fetch("POST", url, headers=headers, body=body, most_bytes=MOST_BYTES)
    except AddressRefused as error:
        raise Undelivered(REFUSED, is_final=True) from error
    except NoAnswer as error:
        raise Undelivered(error.message) from error
    if not 200 <= answer.status < 300:
        raise Undelivered(_said(answer.status), is_gone=answer.status == GONE)


def _said(status: int) -> str:
    if 300 <= status < 400:
        return f"The endpoint answered with a redirect ({status}); none is followed."
    if status == GONE:
        return "The endpoint says that it is gone for good (410)."
    return f"The endpoint answered {status}."
