"""Notifications as the contract shows them: channels, policies, and the log of what went out."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.notifications import contacts, model, policies
from engine.notifications.model import ChannelKind, DeliveryState
from schema.directives import Constraint, Secret
from schema.enums import shown
from schema.severities import Severity

shown(
    ChannelKind,
    "What a channel leads to.",
    EMAIL="People's mailboxes.",
    WEBHOOK="A program, by signed HTTP requests (Standard Webhooks).",
    SLACK="A channel of a Slack workspace.",
    TEAMS="A channel or chat of Microsoft Teams.",
    TELEGRAM="A chat of a Telegram bot.",
    SMS="Mobile phones, by text message.",
)
shown(
    DeliveryState,
    "How far a delivery has come.",
    WAITING="It has not been tried yet.",
    SENDING="It is being tried now.",
    RETRYING="It was tried in vain, and will be again.",
    DELIVERED="The other side has taken it.",
    GIVEN_UP="It was tried in vain, and will not be again.",
)
shown(
    contacts.SmsProvider,
    "Who carries text messages.",
    TWILIO="Twilio, by an account's SID and token.",
    CLICKSEND="ClickSend, by a user name and API key.",
    MESSAGEBIRD="MessageBird (Bird), by an access key.",
)

_NAME = Constraint(min_length=1, max_length=60)
_URL = Constraint(min_length=9, max_length=2_000)
_FIELD = Constraint(max_length=200)
_CLOCK = Constraint(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$")


@strawberry.type(description="What of a Telegram channel is no secret.")
class TelegramSettings:
    """A chat."""

    chat: str = strawberry.field(description="The chat's number, or the @name of a public channel.")


@strawberry.type(description="What of an SMS channel is no secret; its numbers are among the channel's places.")
class SmsSettings:
    """An account with a carrier."""

    provider: contacts.SmsProvider = strawberry.field(description="Who carries the messages.")
    account: str = strawberry.field(description="Twilio's account SID, ClickSend's user name; empty for MessageBird.")
    sender: str = strawberry.field(description="Whom messages come from: a number, or a name.")


@strawberry.type(description="A way to reach people or a program. What is secret about it is never shown again.")
class Channel:
    """A channel, without its secrets."""

    id: UUID = strawberry.field(description="The channel's id.")
    kind: ChannelKind = strawberry.field(description="What it leads to.")
    name: str = strawberry.field(description="What people call it.")
    target: str = strawberry.field(description="Where it leads, as far as that may be shown.")
    places: list[str] = strawberry.field(description="The addresses or numbers it leads to; each is told by itself.")
    telegram: TelegramSettings | None = strawberry.field(description="Its settings, where it is Telegram.")
    sms: SmsSettings | None = strawberry.field(description="Its settings, where it is text messages.")
    is_enabled: bool = strawberry.field(description="Whether anything is sent by it.")
    disabled_reason: str | None = strawberry.field(description="Why it is switched off, in words.")
    failures: int = strawberry.field(description="How many tries in a row were in vain.")
    failing_since: datetime | None = strawberry.field(description="Since when nothing has come through.")
    last_error: str | None = strawberry.field(description="Why the last try was in vain, in words.")
    last_success_at: datetime | None = strawberry.field(description="When something last came through.")
    version: int = strawberry.field(description="Rises with every change; send it back to change safely.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @classmethod
    def of(cls, channel: model.Channel) -> Self:
        """The contract's view of ``channel``."""
        return cls(
            id=channel.id,
            kind=channel.kind,
            name=channel.name,
            target=channel.target,
            places=contacts.places(channel.kind, channel.target, channel.settings),
            telegram=_telegram(channel),
            sms=_sms(channel),
            is_enabled=channel.is_enabled,
            disabled_reason=channel.disabled_reason,
            failures=channel.failures,
            failing_since=channel.failing_since,
            last_error=channel.last_error,
            last_success_at=channel.last_success_at,
            version=channel.version,
            created_at=channel.created_at,
            updated_at=channel.updated_at,
        )


def _telegram(channel: model.Channel) -> TelegramSettings | None:
    return TelegramSettings(chat=str(channel.settings["chat"])) if channel.kind is ChannelKind.TELEGRAM else None


def _sms(channel: model.Channel) -> SmsSettings | None:
    if channel.kind is not ChannelKind.SMS:
        return None
    provider, account, sender = (str(channel.settings[name]) for name in ("provider", "account", "sender"))
    return SmsSettings(provider=contacts.SmsProvider(provider), account=account, sender=sender)


@strawberry.type(description="A channel after it was made or changed, and the key of a webhook where it is a new one.")
class ChannelSaved:
    """The key is shown once."""

    channel: Channel = strawberry.field(description="The channel.")
    secret: str | None = strawberry.field(
        description="The key that signs what a webhook is sent (Standard Webhooks, `whsec_…`). Never shown again.",
        directives=[Secret()],
    )


@strawberry.input(description="E-mail to up to 20 addresses.")
class EmailContact:
    """Settings of an e-mail channel."""

    addresses: list[str] = strawberry.field(
        description="The addresses; each gets a message of its own.", directives=[Constraint(max_length=20)]
    )


@strawberry.input(description="A program that takes POST requests, signed as Standard Webhooks has it.")
class WebhookContact:
    """Settings of a webhook channel."""

    url: str = strawberry.field(description="Its address: https, on the public internet.", directives=[_URL])


@strawberry.input(description="A Slack channel.")
class SlackContact:
    """Settings of a Slack channel."""

    webhook_url: str = strawberry.field(
        description="The address of an incoming webhook, https://hooks.slack.com/services/….", directives=[_URL]
    )


@strawberry.input(description="A channel in Microsoft Teams.")
class TeamsContact:
    """Settings of a Teams channel."""

    webhook_url: str = strawberry.field(
        description="The address that the workflow “post to a channel when a webhook request is received” shows.",
        directives=[_URL],
    )


@strawberry.input(description="A Telegram chat that a bot of yours is in.")
class TelegramContact:
    """Settings of a Telegram channel."""

    bot_token: str | None = strawberry.field(
        description="The bot's token, as BotFather shows it. Left out of a change, the one it has stays.",
        default=None,
        directives=[_FIELD],
    )
    chat: str = strawberry.field(
        description="The chat's number, or the @name of a public channel.", directives=[_FIELD]
    )


@strawberry.input(description="Text messages, by an account of yours with a carrier.")
class SmsContact:
    """Settings of an SMS channel."""

    provider: contacts.SmsProvider = strawberry.field(description="Who carries the messages.")
    account: str = strawberry.field(
        description="Twilio's account SID, ClickSend's user name; MessageBird needs none.",
        default="",
        directives=[_FIELD],
    )
    secret: str | None = strawberry.field(
        description="Twilio's auth token, ClickSend's API key, MessageBird's access key. Left out of a change by the "
        "same carrier, the one it has stays.",
        default=None,
        directives=[_FIELD],
    )
    sender: str = strawberry.field(
        description="Whom messages come from: a number like +4915112345678, or 3 to 11 letters and digits.",
        directives=[_FIELD],
    )
    numbers: list[str] = strawberry.field(
        description="Up to 5 numbers, with their country.", directives=[Constraint(max_length=5)]
    )


@strawberry.input(description="A new channel: its name, and the settings of one kind.")
class ChannelCreate:
    """Input of channelCreate."""

    name: str = strawberry.field(description="What people call it.", directives=[_NAME])
    email: EmailContact | None = strawberry.field(description="Where it is e-mail.", default=None)
    webhook: WebhookContact | None = strawberry.field(description="Where it is a program.", default=None)
    slack: SlackContact | None = strawberry.field(description="Where it is Slack.", default=None)
    teams: TeamsContact | None = strawberry.field(description="Where it is Microsoft Teams.", default=None)
    telegram: TelegramContact | None = strawberry.field(description="Where it is Telegram.", default=None)
    sms: SmsContact | None = strawberry.field(description="Where it is text messages.", default=None)


@strawberry.input(description="Changes to a channel; what is left out stays. It stays of its kind.")
class ChannelUpdate:
    """Input of channelUpdate."""

    name: str | None = strawberry.field(description="What people call it.", default=None, directives=[_NAME])
    is_enabled: bool | None = strawberry.field(
        description="False: nothing is sent by it, and what waits for it is given up.", default=None
    )
    email: EmailContact | None = strawberry.field(description="Other addresses.", default=None)
    webhook: WebhookContact | None = strawberry.field(description="Another address; it gets a new key.", default=None)
    slack: SlackContact | None = strawberry.field(description="Another webhook of Slack's.", default=None)
    teams: TeamsContact | None = strawberry.field(description="Another workflow of Teams'.", default=None)
    telegram: TelegramContact | None = strawberry.field(description="Another chat, or another bot too.", default=None)
    sms: SmsContact | None = strawberry.field(
        description="Other numbers or another sender; another account too.", default=None
    )


@strawberry.type(description="One step of a policy: who is told, and how long after the first.")
class NotificationStep:
    """A step."""

    after_min: int = strawberry.field(description="Minutes after the first step; 0 for the first one.")
    channel_ids: list[UUID] = strawberry.field(description="The channels that are told.")


@strawberry.type(description="From when to when only what is critical comes through; the rest comes afterwards.")
class NotificationQuietHours:
    """Quiet hours."""

    start: str = strawberry.field(description="When they begin, like 22:00.")
    end: str = strawberry.field(description="When they end, like 07:00; before the start: the next day.")
    time_zone: str = strawberry.field(description="By whose clock, like Europe/Berlin.")

    @classmethod
    def of(cls, quiet: model.QuietHours) -> Self:
        """The contract's view of ``quiet``."""
        return cls(start=f"{quiet.start:%H:%M}", end=f"{quiet.end:%H:%M}", time_zone=quiet.time_zone)


@strawberry.type(description="Whom to tell of what, in which order. Rules name a policy by its key.")
class NotificationPolicy:
    """A policy."""

    id: UUID = strawberry.field(description="The policy's id.")
    key: str = strawberry.field(description="How rules name it; never changes.")
    name: str = strawberry.field(description="What people call it.")
    severities: list[Severity] = strawberry.field(description="Of which alerts it tells.")
    steps: list[NotificationStep] = strawberry.field(
        description="Who is told at once, and who later while nobody has acknowledged."
    )
    quiet_hours: NotificationQuietHours | None = strawberry.field(description="When not to disturb, if ever.")
    repeat_min: int | None = strawberry.field(
        description="The last step comes again every so many minutes until somebody acknowledges; null: it comes once."
    )
    version: int = strawberry.field(description="Rises with every change; send it back to change safely.")
    created_at: datetime = strawberry.field(description="When it was made.")
    updated_at: datetime = strawberry.field(description="When it last changed.")

    @classmethod
    def of(cls, policy: model.Policy) -> Self:
        """The contract's view of ``policy``."""
        return cls(
            id=policy.id,
            key=policy.key,
            name=policy.name,
            severities=[Severity(each) for each in policy.severities],
            steps=[NotificationStep(after_min=each.after_min, channel_ids=[*each.channels]) for each in policy.steps],
            quiet_hours=NotificationQuietHours.of(policy.quiet_hours) if policy.quiet_hours else None,
            repeat_min=policy.repeat_min,
            version=policy.version,
            created_at=policy.created_at,
            updated_at=policy.updated_at,
        )


@strawberry.input(description="One step of a policy.")
class NotificationStepInput:
    """A step."""

    after_min: int = strawberry.field(
        description="Minutes after the first step; 0 for the first one.",
        directives=[Constraint(min=0, max=policies.LONGEST_MIN)],
    )
    channel_ids: list[UUID] = strawberry.field(
        description="The channels that are told.", directives=[Constraint(max_length=policies.MOST_CHANNELS)]
    )

    def step(self) -> model.Step:
        """As the engine has it."""
        return model.Step(self.after_min, tuple(self.channel_ids))


@strawberry.input(description="From when to when only what is critical comes through.")
class NotificationQuietHoursInput:
    """Quiet hours."""

    start: str = strawberry.field(description="When they begin, like 22:00.", directives=[_CLOCK])
    end: str = strawberry.field(description="When they end, like 07:00.", directives=[_CLOCK])
    time_zone: str = strawberry.field(description="By whose clock, like Europe/Berlin.", directives=[_FIELD])


@strawberry.input(description="A new notification policy.")
class NotificationPolicyCreate:
    """Input of notificationPolicyCreate."""

    name: str = strawberry.field(description="What people call it.", directives=[_NAME])
    key: str | None = strawberry.field(
        description="How rules name it, like on-call; left out, it follows from the name. It never changes.",
        default=None,
        directives=[Constraint(min_length=1, max_length=40)],
    )
    severities: list[Severity] | None = strawberry.field(
        description="Of which alerts it tells; left out: of all.", default=None, directives=[Constraint(max_length=4)]
    )
    steps: list[NotificationStepInput] = strawberry.field(
        description="Who is told at once, and who later.", directives=[Constraint(max_length=policies.MOST_STEPS)]
    )
    repeat_min: int | None = strawberry.field(
        description="Repeat the last step every so many minutes until somebody acknowledges; 0 or left out: once.",
        default=None,
        directives=[Constraint(min=0, max=policies.LONGEST_MIN)],
    )
    quiet_hours: NotificationQuietHoursInput | None = strawberry.field(
        description="When not to disturb; left out: never.", default=None
    )


@strawberry.input(description="Changes to a notification policy; what is left out stays.")
class NotificationPolicyUpdate:
    """Input of notificationPolicyUpdate."""

    name: str | None = strawberry.field(description="What people call it.", default=None, directives=[_NAME])
    severities: list[Severity] | None = strawberry.field(
        description="Of which alerts it tells.", default=None, directives=[Constraint(max_length=4)]
    )
    steps: list[NotificationStepInput] | None = strawberry.field(
        description="Who is told at once, and who later.",
        default=None,
        directives=[Constraint(max_length=policies.MOST_STEPS)],
    )
    repeat_min: int | None = strawberry.field(
        description="Repeat the last step every so many minutes until somebody acknowledges; 0: never.",
        default=None,
        directives=[Constraint(min=0, max=policies.LONGEST_MIN)],
    )
    quiet_hours: NotificationQuietHoursInput | None = strawberry.field(description="When not to disturb.", default=None)
    always_loud: bool | None = strawberry.field(description="True: there are no quiet hours any more.", default=None)


@strawberry.type(description="One message on its way to one place. It is tried until it arrives, for three days.")
class Delivery:
    """An entry of the delivery log."""

    id: UUID = strawberry.field(description="The delivery's id: a webhook's `webhook-id`, the same at every try.")
    kind: ChannelKind = strawberry.field(description="By what it goes.")
    channel_id: UUID | None = strawberry.field(description="The channel, while there is one.")
    channel_name: str | None = strawberry.field(description="The channel's name.")
    policy: str | None = strawberry.field(description="The key of the policy that wanted it.")
    target: str = strawberry.field(description="Where it goes.")
    what: str = strawberry.field(description="What it tells of, like alert.raised.")
    title: str = strawberry.field(description="Its first line.")
    alert_id: UUID | None = strawberry.field(description="The alert it is about, where it is about one.")
    state: DeliveryState = strawberry.field(description="How far it has come.")
    attempts: int = strawberry.field(description="How often it was tried.")
    next_at: datetime | None = strawberry.field(description="When it is tried next.")
    last_error: str | None = strawberry.field(description="Why it has not arrived, in words.")
    created_at: datetime = strawberry.field(description="When it was wanted.")
    ended_at: datetime | None = strawberry.field(description="When it arrived or was given up.")
    can_retry: bool = strawberry.field(description="Whether deliveryRetry would send it again.")

    @classmethod
    def of(cls, delivery: model.Delivery) -> Self:
        """The contract's view of ``delivery``."""
        return cls(
            id=delivery.id,
            kind=delivery.kind,
            channel_id=delivery.channel_id,
            channel_name=delivery.channel_name,
            policy=delivery.policy,
            target=delivery.target,
            what=delivery.what,
            title=delivery.title,
            alert_id=delivery.about,
            state=delivery.state,
            attempts=delivery.attempts,
            next_at=delivery.next_at,
            last_error=delivery.last_error,
            created_at=delivery.created_at,
            ended_at=delivery.ended_at,
            can_retry=delivery.can_retry,
        )


@strawberry.type(description="What this platform can send by.")
class NotificationSettings:
    """Set by who runs the platform."""

    sends_mail: bool = strawberry.field(
        description="Whether there is a mail server. Without one, e-mail channels reach nobody, and invitations are "
        "links to hand over."
    )
