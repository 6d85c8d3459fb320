"""E-mail: one message to one address, over the operator's mail server."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from ipaddress import ip_address
from typing import Self
from urllib.parse import unquote, urlsplit
from uuid import UUID

import aiosmtplib

from engine.notifications import render
from engine.notifications.errors import Undelivered
from engine.notifications.model import Message
from engine.settings import Settings

TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Mail:
    """The mail server of this installation, and who the mail comes from.

    ``smtps``: TLS from the start. Otherwise STARTTLS where the server offers it, and always where a password is sent to
    another machine.
    """

    host: str
    port: int
    is_tls: bool
    sender: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """The mail server that the settings name; None: mail is not set up."""
        if not settings.smtp_url or not settings.mail_from:
            return None
        parts = urlsplit(settings.smtp_url)
        is_tls = parts.scheme == "smtps"
        user, password = (None if each is None else unquote(each) for each in (parts.username, parts.password))
        port = parts.port or (465 if is_tls else 587 if user else 25)
        return cls(parts.hostname or "", port, is_tls, settings.mail_from, user or None, password)

    async def send(self, message: Message, *, to: str, delivery_id: UUID, origin: str) -> None:
        """Hand one message over. Raises Undelivered; final where the server will never take it."""
        letter = self.letter(message, to=to, delivery_id=delivery_id, origin=origin)
        try:
            await aiosmtplib.send(
                letter,
                sender=parseaddr(self.sender)[1],
                recipients=[to],
                hostname=self.host,
                port=self.port,
                username=self.user,
                password=self.password,
                use_tls=self.is_tls,
                start_tls=self._start_tls(),
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            refusal = error.recipients[0]
            raise Undelivered(_said("the address", refusal.code), is_final=refusal.code >= 500) from error
        except aiosmtplib.SMTPAuthenticationError as error:
            raise Undelivered("The mail server does not take the platform's password.") from error
        except aiosmtplib.SMTPResponseException as error:
            raise Undelivered(_said("the message", error.code)) from error
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise Undelivered("The mail server cannot be reached.") from error

    def letter(self, message: Message, *, to: str, delivery_id: UUID, origin: str) -> EmailMessage:
        """The e-mail itself, as text and as HTML. Its Message-ID follows from the delivery: a repetition is known."""
        name, address = parseaddr(self.sender)
        letter = EmailMessage(policy=SMTP)
        try:
            letter["From"] = Address(name, addr_spec=address)
            letter["To"] = Address(addr_spec=to)
        except (ValueError, IndexError, MessageError) as error:
            raise Undelivered("That is no e-mail address that mail can be sent to.", is_final=True) from error
        if not to.isascii():
            raise Undelivered("Mail goes to addresses of plain letters only.", is_final=True)
        # No title is an encoded word (RFC 2047): the library would decode it, line breaks and all, into new headers.
        letter["Subject"] = message.title.replace("=?", "= ?")
        letter["Date"] = format_datetime(datetime.now(UTC))
        letter["Message-ID"] = f"<{delivery_id}@{address.rpartition('@')[2]}>"
        letter["Auto-Submitted"] = "auto-generated"
        letter["X-Auto-Response-Suppress"] = "All"
        letter.set_content(f"{message.title}\n\n{render.text(message, origin)}\n\n-- \n{render.FOOT}\n")
        letter.add_alternative(render.html(message, origin), subtype="html")
        return letter

    def _start_tls(self) -> bool | None:
        if self.is_tls:
            return False
        return True if self.user and not _is_here(self.host) else None


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _said(what: str, code: int) -> str:
    return f"The mail server refuses {what} ({code})."
