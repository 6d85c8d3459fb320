"""Slack, Teams, Telegram and text messages, through apprise.

Apprise takes addresses that can name local files and any host; so it never sees one. Its services are made here from
checked fields, of a closed list of kinds, without attachments and without following redirects.
"""

import asyncio
import logging
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, PersistentStoreMode
from apprise.plugins.clicksend import NotifyClickSend
from apprise.plugins.messagebird import NotifyMessageBird
from apprise.plugins.slack import NotifySlack
from apprise.plugins.telegram import NotifyTelegram
from apprise.plugins.twilio import NotifyTwilio
from apprise.plugins.workflows import NotifyWorkflows

from engine.notifications import render
from engine.notifications.contacts import SmsProvider
from engine.notifications.errors import Undelivered
from engine.notifications.model import ChannelKind, Message

TIMEOUT_S = 30.0
NAMES = {
    ChannelKind.SLACK: "Slack",
    ChannelKind.TEAMS: "Teams",
    ChannelKind.TELEGRAM: "Telegram",
    ChannelKind.SMS: "The carrier",
}
_STATUS = re.compile(r"error=(\d{3})")
_TYPES = {"critical": NotifyType.FAILURE, "major": NotifyType.WARNING, "minor": NotifyType.WARNING}
# Threads of their own, since apprise waits in them: neither passwords nor name look-ups wait behind it.
_threads = ThreadPoolExecutor(8, "chat")
# What apprise warns of in the present call; its own threads take the context along.
_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class _Ear(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        said = _heard.get()
        if said is not None:
            said.append(record.getMessage())


_log = logging.getLogger("apprise")
_log.addHandler(_Ear(logging.WARNING))
# Both name addresses that hold tokens when they are asked for more.
_log.propagate = False
_log.setLevel(logging.WARNING)
logging.getLogger("urllib3").setLevel(logging.INFO)


async def send(
    kind: ChannelKind,
    message: Message,
    *,
    to: str,
    settings: Mapping[str, object],
    secrets: Mapping[str, str],
    origin: str,
) -> None:
    """Hand one message over to a service. ``to``: the number of a text message. Raises Undelivered."""
    try:
        service = _service(kind, to, settings, secrets)
    except (TypeError, KeyError) as error:  # apprise says so for fields that it does not like
        raise Undelivered("The channel's settings are not right; change them.", is_final=True) from error
    sending = asyncio.get_running_loop().run_in_executor(_threads, _notify, service, kind, message, origin)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            said = await sending
    except TimeoutError as error:
        raise Undelivered(f"{NAMES[kind]} did not answer in {TIMEOUT_S:.0f} seconds.") from error
    if said is not None:
        status = _STATUS.search(said)
        answered = f"answered {status.group(1)}" if status else "could not be reached"
        raise Undelivered(f"{NAMES[kind]} {answered}.")


# apprise's services have no annotations
_make_slack: Any = NotifySlack
_make_teams: Any = NotifyWorkflows
_make_telegram: Any = NotifyTelegram
_make_twilio: Any = NotifyTwilio
_make_clicksend: Any = NotifyClickSend
_make_messagebird: Any = NotifyMessageBird


def _service(kind: ChannelKind, to: str, settings: Mapping[str, object], secrets: Mapping[str, str]) -> Any:
    asset = AppriseAsset(storage_mode=PersistentStoreMode.MEMORY)
    asset.http_redirects = False
    asset.image_url_mask = asset.image_url_logo = ""  # no picture from elsewhere
    common = {"asset": asset, "secure": True}
    match kind:
        case ChannelKind.SLACK:
            return _make_slack(
                token_a=secrets["a"],
                token_b=secrets["b"],
                token_c=secrets["c"],
                include_image=False,
                include_footer=False,
                **common,
            )
        case ChannelKind.TEAMS:
            return _make_teams(
                workflow=secrets["workflow"],
                signature=secrets["signature"],
                host=secrets["host"],
                port=443,
                power_automate=bool(secrets["automate"]),
                routing_id=secrets["routing"] or None,
                include_image=False,
                **common,
            )
        case ChannelKind.TELEGRAM:
            return _make_telegram(
                bot_token=secrets["token"], targets=[str(settings["chat"])], detect_owner=False, **common
            )
        case ChannelKind.SMS:
            return _text_message(SmsProvider(str(settings["provider"])), to, settings, secrets["secret"], common)
        case _:
            raise KeyError(kind)


def _text_message(
    provider: SmsProvider, to: str, settings: Mapping[str, object], secret: str, common: Mapping[str, Any]
) -> Any:
    account, sender = str(settings["account"]), str(settings["sender"])
    match provider:
        case SmsProvider.TWILIO:
            return _make_twilio(account_sid=account, auth_token=secret, source=sender, targets=[to], **common)
        case SmsProvider.CLICKSEND:
            return _make_clicksend(user=account, password=secret, targets=[to], **common)
        case SmsProvider.MESSAGEBIRD:
            return _make_messagebird(apikey=secret, source=sender, targets=[to], **common)


def _notify(service: Any, kind: ChannelKind, message: Message, origin: str) -> str | None:
    """None when it went; otherwise what apprise said last, which may hold secrets and is for the status alone."""
    title, words, form = message.title, render.text(message, origin), NotifyFormat.TEXT
    if kind is ChannelKind.SMS:
        title, words = "", render.short(message, origin)
    elif kind is ChannelKind.TEAMS:  # as text, apprise would escape the dots of addresses too
        title, words, form = render.markdown_plain(title), render.markdown(message, origin), NotifyFormat.MARKDOWN
    apprise = Apprise(asset=service.asset)
    apprise.add(service)
    said: list[str] = []
    _heard.set(said)
    went = apprise.notify(
        words, title=title, notify_type=_TYPES.get(message.severity, NotifyType.INFO), body_format=form
    )
    return None if went else (said[-1] if said else "")
