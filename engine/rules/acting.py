"""What rules do beside raising alerts: each kind of action has one performer, which takes a batch's at once.

Everything happens in the transaction that moves the rule's state, so once. What leaves the platform goes through rows
with ids that follow from what they are about: (tenant, rule, version, device, episode, place in the document).
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias
from uuid import NAMESPACE_URL, UUID, uuid5
from zoneinfo import ZoneInfo

from engine import clock
from engine.alerts import service as alerts
from engine.alerts import telling, timeline
from engine.alerts.model import Happening, episode_id
from engine.commands import service as commands
from engine.commands.model import Order
from engine.devices import service as devices
from engine.devices.checks import checked_labels
from engine.devices.errors import DeviceStuck, LabelsMalformed
from engine.notifications import channels, clocks
from engine.notifications import service as notifications
from engine.notifications.model import Message
from engine.rules.circles import MAX_HOPS, Chain
from engine.rules.model import (
    AddTag,
    CallWebhook,
    DeriveMetric,
    Notify,
    RemoveTag,
    Scalar,
    SendCommand,
    SetAttribute,
    Then,
)
from engine.rules.phrases import listed, value_text
from engine.rules.placeholders import UNKNOWN, render
from engine.rules.schedule import UTC
from engine.store.tx import Tx
from engine.telemetry import derived

LOOP = "so many rules have led to this that it looks like a circle"
"""Why an effect is refused whose chain of rules is too long."""


TELLING = Notify | CallWebhook
"""What only tells somebody."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One action to be done. ``place`` is where it stands in the document; ``facts`` fill placeholders.

    ``value`` is what a derived metric gets; ``at_ms`` is event time; ``chain`` are the rules that led to this, its own
    the last. ``shown`` is the value that made the rule fire as people are told it: rounded, and with its unit. ``zone``
    is by whose clock they are told times; ``reason`` says them in UTC. ``undoes``: it may end what the same rule
    has done when it fired, so it must not be left out.
    """

    rule_id: str
    version: int
    rule_name: str
    severity: str
    device_id: str
    episode: int
    place: str
    then: Then
    at_ms: int
    is_raise: bool
    reason: str
    facts: Mapping[str, str]
    value: Scalar | None = None
    chain: Chain = ()
    shown: str | None = None
    zone: ZoneInfo = UTC
    undoes: bool = False

    @property
    def told(self) -> Mapping[str, str]:
        """What fills the placeholders of a text for people."""
        value = {} if self.shown is None else {"value": self.shown}
        return {**self.facts, **value, "time": f"{self.facts['time']} {clocks.zone_name(self.zone)}"}

    @property
    def is_telling(self) -> bool:
        """Whether it only tells somebody."""
        return isinstance(self.then, TELLING)

    @property
    def is_loop(self) -> bool:
        """Whether so many rules led to it that nothing may follow from it any more."""
        return len(self.chain) > MAX_HOPS

    def id(self, tenant_id: UUID) -> UUID:
        """The same action always has the same id, however often it is told."""
        told = f"{tenant_id}/{self.rule_id}/{self.version}/{self.device_id}/{self.episode}/{self.place}"
        return uuid5(NAMESPACE_URL, f"tidegate:action:{told}")

    def alert_id(self, tenant_id: UUID) -> UUID:
        """The alert of this episode, if the rule raises one."""
        return episode_id(tenant_id, self.rule_id, self.version, self.device_id, self.episode)


Refusal: TypeAlias = tuple[Effect, str]
"""What could not be done, and why in words."""
Performer: TypeAlias = Callable[[Tx, Sequence[Effect]], Awaitable[list[Refusal]]]


async def perform(tx: Tx, effects: Sequence[Effect]) -> list[Refusal]:
    """Do all of them, in order within each kind; returns what could not be done."""
    refused: list[Refusal] = []
    for performer, kinds in PERFORMERS.items():
        mine = [effect for effect in effects if isinstance(effect.then, kinds)]
        if mine:
            refused += await performer(tx, mine)
    return refused


async def not_told(tx: Tx, left: Sequence[tuple[Effect, str]]) -> None:
    """Say in the histories of these effects' alerts why nobody is told of them."""
    tellings = [(effect, why) for effect, why in left if effect.is_raise and isinstance(effect.then, Notify)]
    why_by_alert = {effect.alert_id(tx.principal.tenant_id): why for effect, why in tellings}
    there = await alerts.there(tx, list(why_by_alert))
    await timeline.write_all(tx, [(each, why_by_alert[each]) for each in sorted(there)], Happening.NOT_TOLD)


async def _label(tx: Tx, effects: Sequence[Effect]) -> list[Refusal]:
    """Attributes and tags: a device's labels, changed as by anybody else."""
    refused: list[Refusal] = []
    by_device: dict[str, list[Effect]] = {}
    for effect in effects:
        by_device.setdefault(effect.device_id, []).append(effect)
    found = await devices.by_ids(tx, [UUID(device) for device in sorted(by_device)])
    for device_id in sorted(by_device):
        device = found.get(UUID(device_id))
        if device is None:
            continue
        labels, done = dict(device.labels), list[Effect]()
        for effect in by_device[device_id]:
            changed = _labelled(labels, effect)
            if changed == labels:
                continue
            if effect.is_loop:
                refused.append((effect, LOOP))
            else:
                labels = changed
                done.append(effect)
        if labels == device.labels:
            continue
        try:
            checked_labels(labels)
            await devices.change(tx, device.id, labels=labels, by=max((each.chain for each in done), key=len))
        except (LabelsMalformed, DeviceStuck) as error:
            refused += [(effect, error.message) for effect in done]
    return refused


def _labelled(labels: dict[str, str], effect: Effect) -> dict[str, str]:
    match effect.then:
        case SetAttribute(attribute=key, value=value):
            return labels | {key: _text(value, effect.facts)}
        case AddTag(tag=tag):
            return labels if tag in labels else labels | {tag: ""}
        case RemoveTag(tag=tag):
            return {key: value for key, value in labels.items() if key != tag}
        case _:
            return labels


async def _derive(tx: Tx, effects: Sequence[Effect]) -> list[Refusal]:
    """Derived metrics: readings of the same device, stored and told in this transaction."""
    refused: list[Refusal] = []
    readings: list[derived.Derived] = []
    for effect in effects:
        assert isinstance(effect.then, DeriveMetric)
        if effect.value is None:
            refused.append((effect, f"“{effect.then.metric}” has no value: what it is made of is not known."))
        elif effect.is_loop:
            refused.append((effect, LOOP))
        else:
            seq = derived.seq_of(effect.id(tx.principal.tenant_id))
            values = {effect.then.metric: effect.value}
            readings.append(derived.Derived(effect.device_id, effect.at_ms, seq, values, effect.chain))
    await derived.store(tx, readings)
    return refused


async def _notify(tx: Tx, effects: Sequence[Effect]) -> list[Refusal]:
    """People are told: of an alert step by step, until somebody takes note of it; of anything else at once."""
    refused: list[Refusal] = []
    alert_ids = [effect.alert_id(tx.principal.tenant_id) for effect in effects]
    raised = await alerts.there(tx, alert_ids)
    wishes: list[telling.Wish] = []
    for effect, alert_id in zip(effects, alert_ids, strict=True):
        assert isinstance(effect.then, Notify)
        if effect.is_raise and alert_id in raised:
            words = None if effect.then.message is None else render(effect.then.message, effect.told)
            wishes.append(telling.Wish(alert_id, effect.then.policy, words))
            continue
        key = effect.id(tx.principal.tenant_id)
        message = _message(effect, effect.then.message, tx.now)
        outcome = await notifications.notify(tx, effect.then.policy, message, key=key)
        if not outcome.deliveries:
            refused.append((effect, outcome.why))
    await telling.plan(tx, wishes)
    return refused


async def _call(tx: Tx, effects: Sequence[Effect]) -> list[Refusal]:
    refused: list[Refusal] = []
    known = await channels.listed(tx)
    for effect in effects:
        assert isinstance(effect.then, CallWebhook)
        wanted = effect.then.channel
        channel = next((each for each in known if wanted in (str(each.id), each.name)), None)
        if channel is None:
            refused.append((effect, f"There is no channel “{wanted}”."))
            continue
        key = effect.id(tx.principal.tenant_id)
        if await notifications.reach(tx, channel, _message(effect, None, tx.now), key=key) is None:
            refused.append((effect, f"{notifications.MOST_WAITING} deliveries are waiting already."))
    return refused


async def _command(tx: Tx, effects: Sequence[Effect]) -> list[Refusal]:
    orders, asked = [], {}
    for effect in effects:
        assert isinstance(effect.then, SendCommand)
        arguments: dict[str, object] = {**_arguments(effect.then, effect)}
        device = UUID(effect.then.device or effect.device_id)
        order_id = effect.id(tx.principal.tenant_id)
        asked[order_id] = effect
        who = f"rule {effect.rule_name}"
        orders.append(Order(order_id, device, effect.then.command, arguments, who, UUID(effect.rule_id)))
    return [(asked[order_id], reason) for order_id, reason in (await commands.issue_all(tx, orders)).items()]


PERFORMERS: Mapping[Performer, tuple[type[Any], ...]] = {
    _label: (SetAttribute, AddTag, RemoveTag),
    _derive: (DeriveMetric,),
    _notify: (Notify,),
    _call: (CallWebhook,),
    _command: (SendCommand,),
}


def said(effect: Effect) -> str | None:
    """What an action says, sends or sets, its placeholders filled; None where it has no words or values."""
    match effect.then:
        case Notify(message=None) | CallWebhook():
            return f"{_title(effect)}. {effect.reason[:1].upper()}{effect.reason[1:]}"
        case Notify(message=message):
            return render(message or "", effect.told)
        case SendCommand() as then:
            sent = [f"{key} {value_text(value)}" for key, value in _arguments(then, effect).items()]
            return f"{then.command} {listed(sent, 'and')}" if sent else None
        case SetAttribute(value=value):
            return _text(value, effect.facts)
        case DeriveMetric():
            return UNKNOWN if effect.value is None else value_text(effect.value)
    return None


def _arguments(then: SendCommand, effect: Effect) -> dict[str, Scalar]:
    told = then.arguments or ()
    return {key: render(value, effect.facts) if isinstance(value, str) else value for key, value in told}


def _title(effect: Effect) -> str:
    return f"{effect.rule_name}: {effect.facts.get('device', effect.device_id)}"


def _message(effect: Effect, own_words: str | None, now: datetime) -> Message:
    happened = "raised" if effect.is_raise else "cleared"
    at = clock.from_ms(effect.at_ms)
    reason = clocks.by_clock(effect.reason, effect.zone, at, now)
    text_ = reason if own_words is None else render(own_words, effect.told)
    return Message(
        kind=f"rule.{happened}",
        title=_title(effect),
        text=text_,
        link=f"/devices/{effect.device_id}",
        severity=effect.severity if effect.is_raise else "info",
        data={
            "rule": effect.rule_id,
            "version": effect.version,
            "device": effect.device_id,
            "episode": effect.episode,
            "at": at.isoformat(),
        },
    )


def _text(value: Scalar, facts: Mapping[str, str]) -> str:
    if isinstance(value, str):
        return render(value, facts)
    return str(value).lower() if isinstance(value, bool) else f"{value:.15g}"
