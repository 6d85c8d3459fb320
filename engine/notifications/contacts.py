"""Where a channel leads: the fields that each kind has, checked; what may be shown, and what is sealed.

No address is ever used as somebody typed it but a webhook's, which passes the guard of outgoing requests. Of the
addresses that Slack and Teams give out only the parts are kept, and the address is put together again from them.
"""

import base64
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs, urlsplit

from engine.errors import Invalid
from engine.notifications.errors import ChannelMalformed
from engine.notifications.model import ChannelKind
from engine.outbound.fetch import Outbound
from engine.tenants.errors import EmailMalformed
from engine.tenants.invitations import address_of

MOST_ADDRESSES = 20
MOST_NUMBERS = 5
_SLACK = re.compile(r"https://hooks\.slack\.com/services/(T[A-Z0-9]{6,14})/(B[A-Z0-9]{6,14})/([A-Za-z0-9]{16,40})/?")
_TEAMS_HOST = re.compile(r"[a-z0-9.-]{1,200}\.(logic\.azure\.com|api\.powerplatform\.com)")
_TEAMS_PATH = re.compile(
    r"/(?:(powerautomate)/automations/direct(?:/cu/([A-Za-z0-9_-]{1,40}))?/)?workflows/([A-Za-z0-9]{16,64})"
    r"/triggers/manual/paths/invoke"
)
_TEAMS_SIG = re.compile(r"[A-Za-z0-9_-]{10,100}")
_TELEGRAM_TOKEN = re.compile(r"[0-9]{6,16}:[A-Za-z0-9_-]{30,50}")
_TELEGRAM_CHAT = re.compile(r"-?[0-9]{3,20}|@[A-Za-z][A-Za-z0-9_]{4,31}")
_NUMBER = re.compile(r"\+[1-9][0-9]{6,14}")
_SENDER = re.compile(r"\+[1-9][0-9]{6,14}|[A-Za-z0-9]{3,11}")
_ACCOUNT = re.compile(r"[A-Za-z0-9._@+-]{1,100}")
_TWILIO_ACCOUNT = re.compile(r"AC[0-9a-f]{32}")
_KEY = re.compile(r"[A-Za-z0-9-]{8,100}")


class SmsProvider(StrEnum):
    """Who carries text messages."""

    TWILIO = "twilio"
    CLICKSEND = "clicksend"
    MESSAGEBIRD = "messagebird"


@dataclass(frozen=True, slots=True)
class Contact:
    """Where a channel leads. ``settings`` may be shown; ``secrets`` are sealed; ``target`` is for people.

    Without secrets, a channel that is changed keeps those it has.
    """

    kind: ChannelKind
    target: str
    settings: Mapping[str, object]
    secrets: Mapping[str, str] = field(repr=False)


def email(addresses: Sequence[str]) -> Contact:
    """E-mail to up to 20 addresses, each told by itself. Raises ChannelMalformed."""
    try:
        clean = list(dict.fromkeys(address_of(each) for each in addresses))
    except EmailMalformed as error:
        raise ChannelMalformed("One of these is not an e-mail address.") from error
    if not 1 <= len(clean) <= MOST_ADDRESSES:
        raise ChannelMalformed(f"Name 1 to {MOST_ADDRESSES} e-mail addresses.")
    return Contact(ChannelKind.EMAIL, _several(clean), {"addresses": clean}, {})


def webhook(outbound: Outbound, url: str) -> Contact:
    """A program of the tenant's; only the host is shown, since the rest of an address is often its secret.

    The key that signs what is sent is made here. Raises AddressRefused.
    """
    parts = outbound.check(url)
    key = "whsec_" + base64.b64encode(os.urandom(32)).decode()
    return Contact(ChannelKind.WEBHOOK, parts.netloc, {}, {"url": url, "key": key})


def slack(webhook_url: str) -> Contact:
    """A Slack channel by the address of its incoming webhook. Raises ChannelMalformed."""
    found = _SLACK.fullmatch(webhook_url.strip())
    if found is None:
        raise ChannelMalformed(
            "Paste the incoming webhook's address from Slack: https://hooks.slack.com/services/T…/B…/…"
        )
    secrets = dict(zip(("a", "b", "c"), found.groups(), strict=True))
    return Contact(ChannelKind.SLACK, "Slack, incoming webhook", {}, secrets)


def teams(webhook_url: str) -> Contact:
    """A Teams channel by the address of its workflow "post to a channel when a webhook request is received"."""
    try:
        parts = urlsplit(webhook_url.strip())
        port, query = parts.port, parse_qs(parts.query)
    except ValueError:
        raise _no_teams() from None
    host, path = _TEAMS_HOST.fullmatch(parts.hostname or ""), _TEAMS_PATH.fullmatch(parts.path)
    signature = query.get("sig", [""])[0]
    is_plain = parts.scheme == "https" and port in (None, 443) and "@" not in parts.netloc and not parts.fragment
    if host is None or path is None or not is_plain or not _TEAMS_SIG.fullmatch(signature):
        raise _no_teams()
    automate, routing, workflow = path.groups()
    secrets = {"host": host.group(), "workflow": workflow, "signature": signature}
    secrets |= {"automate": automate or "", "routing": routing or ""}
    return Contact(ChannelKind.TEAMS, "Teams, workflow", {}, secrets)


def telegram(bot_token: str | None, chat: str) -> Contact:
    """A Telegram chat by a bot that is in it (None: the one it has). Raises ChannelMalformed."""
    if bot_token is not None and not _TELEGRAM_TOKEN.fullmatch(bot_token.strip()):
        raise ChannelMalformed("A bot's token is like 123456789:AAF…; BotFather shows it.")
    if not _TELEGRAM_CHAT.fullmatch(chat.strip()):
        raise ChannelMalformed("A chat is a number like -1001234567890, or a public channel's @name.")
    secrets = {} if bot_token is None else {"token": bot_token.strip()}
    return Contact(ChannelKind.TELEGRAM, f"chat {chat.strip()}", {"chat": chat.strip()}, secrets)


def sms(provider: SmsProvider, account: str, secret: str | None, sender: str, numbers: Sequence[str]) -> Contact:
    """Text messages to up to 5 numbers, by an account of the tenant's with a carrier. Raises ChannelMalformed.

    ``account``: Twilio's account SID, ClickSend's user name; MessageBird needs none. ``secret``: Twilio's auth token,
    ClickSend's API key, MessageBird's access key; None: the one it has. ``sender``: a number, or a name of 3 to 11
    letters and digits.
    """
    clean = list(dict.fromkeys(re.sub(r"[ ()/.-]", "", each) for each in numbers))
    if not 1 <= len(clean) <= MOST_NUMBERS or not all(map(_NUMBER.fullmatch, clean)):
        raise ChannelMalformed(f"Name 1 to {MOST_NUMBERS} numbers with their country, like +4915112345678.")
    if not _SENDER.fullmatch(sender.strip()):
        raise ChannelMalformed("The sender is a number like +4915112345678, or 3 to 11 letters and digits.")
    account_form = _TWILIO_ACCOUNT if provider is SmsProvider.TWILIO else _ACCOUNT
    if provider is not SmsProvider.MESSAGEBIRD and not account_form.fullmatch(account.strip()):
        raise ChannelMalformed(
            "Twilio's account is an SID like AC0123…" if provider is SmsProvider.TWILIO else "Name the account."
        )
    if secret is not None and not _KEY.fullmatch(secret.strip()):
        raise ChannelMalformed("The account's key does not look like one: letters, digits and dashes.")
    settings = {"provider": provider.value, "account": account.strip(), "sender": sender.strip(), "numbers": clean}
    return Contact(ChannelKind.SMS, _several(clean), settings, {} if secret is None else {"secret": secret.strip()})


def places(kind: ChannelKind, target: str, settings: Mapping[str, object]) -> list[str]:
    """The places that a channel leads to, each told by a delivery of its own."""
    several = {ChannelKind.EMAIL: "addresses", ChannelKind.SMS: "numbers"}.get(kind)
    found = settings.get(several) if several else None
    return [str(each) for each in found] if isinstance(found, list) else [target]


def _several(these: Sequence[str]) -> str:
    return these[0] if len(these) == 1 else f"{these[0]} and {len(these) - 1} more"


def _no_teams() -> Invalid:
    return ChannelMalformed(
        "Paste the address that the workflow shows in Teams: https://….logic.azure.com/workflows/… "
        "or https://….api.powerplatform.com/…"
    )
