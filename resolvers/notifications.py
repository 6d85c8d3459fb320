"""Keeps the promises about notifications: channels, policies, and the log of what went out."""

from typing import Annotated
from uuid import UUID

import strawberry

from engine import ids
from engine.notifications import channels, contacts, messages, policies, service
from engine.notifications.contacts import Contact
from engine.notifications.errors import ChannelMalformed, PolicyMalformed
from engine.notifications.model import SEVERITIES, DeliveryState, QuietHours
from resolvers.arguments import After, First, Version, paged
from resolvers.context import Info
from schema.directives import Cost, Method, Needs, Problem, Rest
from schema.notifications import (
    Channel,
    ChannelCreate,
    ChannelSaved,
    ChannelUpdate,
    Delivery,
    NotificationPolicy,
    NotificationPolicyCreate,
    NotificationPolicyUpdate,
    NotificationQuietHoursInput,
    NotificationSettings,
)
from schema.pages import Page

ChannelId = Annotated[UUID, strawberry.argument(description="The channel's id.")]
PolicyId = Annotated[UUID, strawberry.argument(description="The policy's id.")]
DeliveryId = Annotated[UUID, strawberry.argument(description="The delivery's id.")]
READ, WRITE = Needs(scope="notifications:read"), Needs(scope="notifications:write")
NO_CHANNEL = Problem(status=404, slug="channel-not-found")
NO_POLICY = Problem(status=404, slug="notification-policy-not-found")
NO_DELIVERY = Problem(status=404, slug="delivery-not-found")
STALE = Problem(status=409, slug="version-stale")
CHANNEL_REFUSED = (
    Problem(status=409, slug="channel-name-taken"),
    Problem(status=422, slug="channel-malformed"),
    Problem(status=422, slug="address-refused"),
    Problem(status=503, slug="vault-sealed"),
)
POLICY_MALFORMED = Problem(status=422, slug="notification-policy-malformed")


@strawberry.type
class NotificationQuery:
    """What can be asked about notifications."""

    @strawberry.field(
        description="What this platform can send by.",
        directives=[READ, Rest(method=Method.GET, path="/notification-settings")],
    )
    async def notification_settings(self, info: Info) -> NotificationSettings:
        """What the operator has set up."""
        return NotificationSettings(sends_mail=info.context.services.sends_mail)

    @strawberry.field(
        description="The tenant's channels, by name; at most a hundred.",
        directives=[READ, Rest(method=Method.GET, path="/channels"), Cost(expected=20)],
    )
    async def channels(self, info: Info) -> list[Channel]:
        """All of them."""
        return [Channel.of(each) for each in await channels.listed(await info.context.tx())]

    @strawberry.field(
        description="One channel.", directives=[READ, Rest(method=Method.GET, path="/channels/{id}"), NO_CHANNEL]
    )
    async def channel(self, info: Info, id: ChannelId) -> Channel:
        """The channel with this id."""
        return Channel.of(await channels.get(await info.context.tx(), id))

    @strawberry.field(
        description="The tenant's notification policies, by name; at most a hundred.",
        directives=[READ, Rest(method=Method.GET, path="/notification-policies"), Cost(expected=20)],
    )
    async def notification_policies(self, info: Info) -> list[NotificationPolicy]:
        """All of them."""
        return [NotificationPolicy.of(each) for each in await policies.listed(await info.context.tx())]

    @strawberry.field(
        description="One notification policy.",
        directives=[READ, Rest(method=Method.GET, path="/notification-policies/{id}"), NO_POLICY],
    )
    async def notification_policy(self, info: Info, id: PolicyId) -> NotificationPolicy:
        """The policy with this id."""
        return NotificationPolicy.of(await policies.get(await info.context.tx(), id))

    @strawberry.field(
        description="What went out and what became of it, newest first; kept for 30 days.",
        directives=[
            READ,
            Rest(method=Method.GET, path="/deliveries"),
            Problem(status=422, slug="bad-cursor"),
            Cost(times="first"),
        ],
    )
    async def deliveries(
        self,
        info: Info,
        state: Annotated[DeliveryState | None, strawberry.argument(description="Only what has come so far.")] = None,
        channel_id: Annotated[UUID | None, strawberry.argument(description="Only what goes by this channel.")] = None,
        alert_id: Annotated[UUID | None, strawberry.argument(description="Only what tells of this alert.")] = None,
        first: First = 50,
        after: After = None,
    ) -> Page[Delivery]:
        """A page of the log."""
        tx = await info.context.tx()
        page = await service.page(tx, state=state, channel_id=channel_id, about=alert_id, first=first, after=after)
        return paged(page, Delivery.of)

    @strawberry.field(
        description="One delivery.", directives=[READ, Rest(method=Method.GET, path="/deliveries/{id}"), NO_DELIVERY]
    )
    async def delivery(self, info: Info, id: DeliveryId) -> Delivery:
        """The delivery with this id."""
        return Delivery.of(await service.get(await info.context.tx(), id))


@strawberry.type
class NotificationMutation:
    """What can be done about notifications."""

    @strawberry.mutation(
        description="Makes a channel: a name, and the settings of exactly one kind. Send a test before you rely on it.",
        directives=[
            WRITE,
            # a PATCH, so that no Idempotency-Key keeps a fingerprint of the secret
            Rest(method=Method.PATCH, path="/channels"),
            *CHANNEL_REFUSED,
            Problem(status=409, slug="too-many-channels"),
        ],
    )
    async def channel_create(
        self, info: Info, input: Annotated[ChannelCreate, strawberry.argument(description="The channel.")]
    ) -> ChannelSaved:
        """A new channel."""
        tx, vault = await info.context.tx(), info.context.services.vault
        contact = _contact(info, input)
        if contact is None:
            raise ChannelMalformed("Give the settings of one kind: email, webhook, slack, teams, telegram or sms.")
        made = await channels.create(tx, vault, name=input.name, contact=contact)
        return ChannelSaved(channel=Channel.of(made), secret=contact.secrets.get("key"))

    @strawberry.mutation(
        description="Changes a channel, or switches it off and on. Another address of a webhook gets another key; a "
        "Telegram or SMS channel keeps its own where none is given.",
        directives=[WRITE, Rest(method=Method.PATCH, path="/channels/{id}"), NO_CHANNEL, *CHANNEL_REFUSED, STALE],
    )
    async def channel_update(
        self,
        info: Info,
        id: ChannelId,
        input: Annotated[ChannelUpdate, strawberry.argument(description="What changes.")],
        version: Version = None,
    ) -> ChannelSaved:
        """The channel after the change."""
        tx, contact = await info.context.tx(), _contact(info, input)
        changed = await channels.change(
            tx,
            info.context.services.vault,
            id,
            name=input.name,
            contact=contact,
            is_enabled=input.is_enabled,
            expected_version=version,
        )
        return ChannelSaved(channel=Channel.of(changed), secret=contact.secrets.get("key") if contact else None)

    @strawberry.mutation(
        description="Removes a channel that no policy names. What waits for it is given up; the log stays.",
        directives=[
            WRITE,
            Rest(method=Method.DELETE, path="/channels/{id}"),
            NO_CHANNEL,
            Problem(status=409, slug="channel-in-use"),
        ],
    )
    async def channel_delete(self, info: Info, id: ChannelId) -> Channel:
        """The channel as it was."""
        return Channel.of(await channels.remove(await info.context.tx(), id))

    @strawberry.mutation(
        description="Sends a test by a channel, even by one that is switched off: one delivery for each place it leads "
        "to, tried once, within a few seconds. Ask for the deliveries again to see what became of them.",
        directives=[
            WRITE,
            Rest(method=Method.POST, path="/channels/{id}/test"),
            NO_CHANNEL,
            Cost(weight=4_000),  # a few a second at most: nobody scans the internet, or floods a phone, through us
        ],
    )
    async def channel_test(self, info: Info, id: ChannelId) -> list[Delivery]:
        """The deliveries of the test, still on their way."""
        tx = await info.context.tx()
        channel = await channels.get(tx, id)
        message = messages.test(channel=channel.name, by=tx.principal.name or "Somebody")
        tx.audit("channel.test", "channel", id, after={"name": channel.name})
        return [Delivery.of(each) for each in await service.tell_channel(tx, id, message, key=ids.uuid7())]

    @strawberry.mutation(
        description="Makes a notification policy: whom to tell of what, and in which order.",
        directives=[
            WRITE,
            Rest(method=Method.POST, path="/notification-policies", status=201),
            NO_CHANNEL,
            POLICY_MALFORMED,
            Problem(status=409, slug="notification-policy-key-taken"),
            Problem(status=409, slug="too-many-notification-policies"),
        ],
    )
    async def notification_policy_create(
        self, info: Info, input: Annotated[NotificationPolicyCreate, strawberry.argument(description="The policy.")]
    ) -> NotificationPolicy:
        """A new policy."""
        made = await policies.create(
            await info.context.tx(),
            name=input.name,
            key=input.key,
            steps=[each.step() for each in input.steps],
            severities=SEVERITIES if input.severities is None else [each.value for each in input.severities],
            quiet_hours=_quiet(input.quiet_hours),
            repeat_min=input.repeat_min,
        )
        return NotificationPolicy.of(made)

    @strawberry.mutation(
        description="Changes a notification policy. Its key stays, since rules name it.",
        directives=[
            WRITE,
            Rest(method=Method.PATCH, path="/notification-policies/{id}"),
            NO_POLICY,
            NO_CHANNEL,
            POLICY_MALFORMED,
            STALE,
        ],
    )
    async def notification_policy_update(
        self,
        info: Info,
        id: PolicyId,
        input: Annotated[NotificationPolicyUpdate, strawberry.argument(description="What changes.")],
        version: Version = None,
    ) -> NotificationPolicy:
        """The policy after the change."""
        if input.always_loud and input.quiet_hours:
            raise PolicyMalformed("Either there are quiet hours, or it is always loud.", argument="input.alwaysLoud")
        changed = await policies.change(
            await info.context.tx(),
            id,
            name=input.name,
            steps=None if input.steps is None else [each.step() for each in input.steps],
            severities=None if input.severities is None else [each.value for each in input.severities],
            quiet_hours=_quiet(input.quiet_hours),
            always_loud=bool(input.always_loud),
            repeat_min=input.repeat_min,
            expected_version=version,
        )
        return NotificationPolicy.of(changed)

    @strawberry.mutation(
        description="Removes a notification policy. A rule that still names it tells nobody from now on.",
        directives=[WRITE, Rest(method=Method.DELETE, path="/notification-policies/{id}"), NO_POLICY],
    )
    async def notification_policy_delete(self, info: Info, id: PolicyId) -> NotificationPolicy:
        """The policy as it was."""
        return NotificationPolicy.of(await policies.remove(await info.context.tx(), id))

    @strawberry.mutation(
        description="Sends again what was given up, as if it were new.",
        directives=[
            WRITE,
            Rest(method=Method.POST, path="/deliveries/{id}/retry"),
            NO_DELIVERY,
            Problem(status=409, slug="delivery-over"),
        ],
    )
    async def delivery_retry(self, info: Info, id: DeliveryId) -> Delivery:
        """The delivery, on its way again."""
        return Delivery.of(await service.retry(await info.context.tx(), id))


def _contact(info: Info, said: ChannelCreate | ChannelUpdate) -> Contact | None:
    """The settings of the one kind that was given; None for none. Raises ChannelMalformed, AddressRefused."""
    given = [name for name in ("email", "webhook", "slack", "teams", "telegram", "sms") if getattr(said, name)]
    if len(given) > 1:
        raise ChannelMalformed("A channel is of one kind: give the settings of one.", argument=f"input.{given[1]}")
    if said.email:
        return contacts.email(said.email.addresses)
    if said.webhook:
        return contacts.webhook(info.context.services.discovery.outbound, said.webhook.url)
    if said.slack:
        return contacts.slack(said.slack.webhook_url)
    if said.teams:
        return contacts.teams(said.teams.webhook_url)
    if said.telegram:
        return contacts.telegram(said.telegram.bot_token, said.telegram.chat)
    if said.sms:
        return contacts.sms(said.sms.provider, said.sms.account, said.sms.secret, said.sms.sender, said.sms.numbers)
    return None


def _quiet(said: NotificationQuietHoursInput | None) -> QuietHours | None:
    return None if said is None else policies.quiet_hours(said.start, said.end, said.time_zone)
