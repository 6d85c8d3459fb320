"""The inbox as the contract shows it: messages that could not be accepted, and what many of them have in common."""

from datetime import datetime
from typing import Self
from uuid import UUID

import strawberry

from engine.inbox import model


@strawberry.type(description="A message that could not be accepted, or not all of it, with the reason and its bytes.")
class Rejected:
    """One entry of the inbox."""

    id: UUID = strawberry.field(description="The entry's id.")
    device_id: UUID = strawberry.field(description="The device that sent it.")
    group_id: UUID = strawberry.field(description="The group of all messages with the same fault.")
    received_at: datetime = strawberry.field(description="When it came.")
    code: str = strawberry.field(description="Why it was turned away, in one word, for example TYPE.")
    about: str = strawberry.field(description="What the fault lies in, such as a metric's name; empty where nowhere.")
    reason: str = strawberry.field(description="Why it was turned away, and what to do about it, in a sentence or two.")
    transport: str = strawberry.field(
        description="How it was sent: mqtt, http, coap, or broker (by a broker that ingest takes from)."
    )
    topic: str = strawberry.field(description="Where it was sent to.")
    decoder: int = strawberry.field(description="The version of the decoder that turned it away.")
    payload: str = strawberry.field(description="Its first 8 KiB as text; bytes that are no UTF-8 are shown as \\xNN.")
    hex: str = strawberry.field(description="The same bytes, two hexadecimal digits each.")
    size_bytes: int = strawberry.field(description="How long the whole payload was.")
    is_partial: bool = strawberry.field(
        description="Whether the reading was stored, and only the metrics in leftOut were not. It counts as stored."
    )
    left_out: list[str] = strawberry.field(
        description="The metrics that were left out of a reading whose rest was stored, as they were sent. The reason "
        "says what is wrong with each; a replay stores them beside the rest."
    )
    is_waiting: bool = strawberry.field(description="Whether it is about to be decided again.")
    replayed_at: datetime | None = strawberry.field(description="When it was last decided again, and refused again.")

    @classmethod
    def of(cls, rejected: model.Rejected) -> Self:
        """The contract's view of ``rejected``."""
        return cls(
            id=rejected.id,
            device_id=rejected.device_id,
            group_id=rejected.group_id,
            received_at=rejected.received_at,
            code=rejected.reason,
            about=rejected.about,
            reason=rejected.message,
            transport=rejected.transport,
            topic=rejected.topic,
            decoder=rejected.decoder,
            payload=rejected.payload.decode(errors="backslashreplace"),
            hex=rejected.payload.hex(),
            size_bytes=rejected.payload_size_bytes,
            is_partial=rejected.is_partial,
            left_out=list(rejected.left_out),
            is_waiting=rejected.is_waiting,
            replayed_at=rejected.replayed_at,
        )


@strawberry.type(
    description="All messages of one profile's devices that were turned away, whole or in part, for the same fault. Of "
    "a fault that comes often only some are kept; all are counted."
)
class InboxGroup:
    """One fault."""

    id: UUID = strawberry.field(description="The group's id, which follows from profile, code and about.")
    profile_id: UUID = strawberry.field(description="The profile of its devices.")
    code: str = strawberry.field(description="Why they were turned away, in one word, for example TYPE.")
    about: str = strawberry.field(description="What the fault lies in, such as a metric's name; empty where nowhere.")
    reason: str = strawberry.field(description="Why the newest was turned away, and what to do about it.")
    count: int = strawberry.field(description="How many came, less those that were replayed with success or discarded.")
    partial: int = strawberry.field(
        description="Of how many of them the reading was stored, and only what is wrong was left out."
    )
    kept: int = strawberry.field(description="How many of them are kept with their bytes, and can be replayed.")
    waiting: int = strawberry.field(description="How many are about to be decided again.")
    failed: int = strawberry.field(description="How many were decided again, and refused again.")
    devices: int = strawberry.field(description="How many devices sent such.")
    device_ids: list[UUID] = strawberry.field(description="The devices that sent such last, three at most.")
    newest: Rejected | None = strawberry.field(description="The newest that is kept.")
    first_at: datetime = strawberry.field(description="When the first came.")
    last_at: datetime = strawberry.field(description="When the last came.")

    @classmethod
    def of(cls, group: model.Group, newest: model.Rejected | None) -> Self:
        """The contract's view of ``group``."""
        return cls(
            id=group.id,
            profile_id=group.profile_id,
            code=group.reason,
            about=group.about,
            reason=group.message,
            count=group.count,
            partial=group.partial,
            kept=group.kept,
            waiting=group.waiting,
            failed=group.failed,
            devices=group.devices,
            device_ids=list(group.device_ids),
            newest=None if newest is None else Rejected.of(newest),
            first_at=group.first_at,
            last_at=group.last_at,
        )


@strawberry.type(description="What was asked of the inbox.")
class InboxAsked:
    """How many it is about."""

    messages: int = strawberry.field(description="How many messages are replayed, or were discarded.")
