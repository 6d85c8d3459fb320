"""What rules make of a batch of events: states loaded once, stepped in order, stored with all that they caused."""

import functools
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import TextClause, text

from engine import clock, ids
from engine.alerts import service as alerts
from engine.alerts.model import Cleared, Raised
from engine.journal.share import ALL, Share
from engine.rules import acting, circles, firings, non_firings, published, storms, words
from engine.rules.acting import Effect
from engine.rules.circles import Chain
from engine.rules.compile import CompiledRule
from engine.rules.effects import effects_of
from engine.rules.events import RulesReached
from engine.rules.facts import Facts
from engine.rules.gaps import Gaps, Limits, gaps_at
from engine.rules.look import is_calm, is_heard_of_in_time
from engine.rules.moves import STEADY
from engine.rules.plan import is_light, plan_of, where_of
from engine.rules.published import Ended
from engine.rules.remember import about
from engine.rules.ruleset import MOST_MATCHING, RuleSet
from engine.rules.sampling import Sample, Sampler, Standing
from engine.rules.schedule import UTC
from engine.rules.state import Action, Clear, EndReason, Event, Known, Noticed, Raise, Reading, RuleState, Tick
from engine.rules.step import is_quiet, is_quiet_with, is_worth_storing, recall, step, stop
from engine.rules.values import plain
from engine.store.tx import Tx
from engine.telemetry.fold import Newest

log = logging.getLogger(__name__)

Place = tuple[str, str]
"""(rule id, device id), both as texts, as the journal has them."""

TICKS_AT_ONCE = 2_000
BEGUN_AT_ONCE = TICKS_AT_ONCE // 2
"""Where rules are to be looked at for all their devices, so many places a transaction: time passes for more, and a
timer that is over meanwhile does not wait behind a whole fleet."""
TOLD_AT_ONCE = 50
"""How many of the rules that are left then one journal entry tells. The drain takes one such entry a transaction: of
many rules, only those it names are told again as they were."""
NOTICE_HOLDS = timedelta(hours=1)

# OFFSET 0: each state's device and profile by their own keys, as in `engine.drain`. Of a fleet that was just registered
# and has states, Postgres went through all of them for each of its devices: 64 s for 1,500 of 10,000 devices.
_OF_DEVICES = text(
    """
    SELECT CAST(s.rule_id AS text) AS rule_id, CAST(s.device_id AS text) AS device_id, s.state, p.key AS profile,
           d.status
    FROM (
        SELECT * FROM rule_state s WHERE s.tenant_id = :tenant AND s.device_id = ANY (CAST(:devices AS uuid[])) OFFSET 0
    ) s
    CROSS JOIN LATERAL (SELECT * FROM devices d WHERE d.tenant_id = s.tenant_id AND d.id = s.device_id OFFSET 0) d
    CROSS JOIN LATERAL (SELECT * FROM profiles p WHERE p.tenant_id = d.tenant_id AND p.id = d.profile_id OFFSET 0) p
    """
)
_DUE = (
    "SELECT CAST(rule_id AS text) AS rule_id, CAST(device_id AS text) AS device_id FROM rule_state "
    "WHERE tenant_id = :tenant AND due_at <= :now{mine} ORDER BY due_at LIMIT :most"
)
_SAVE = text(
    """
    INSERT INTO rule_state (tenant_id, rule_id, device_id, state, due_at)
    SELECT :tenant, s.rule, s.device, s.state, to_timestamp(s.due / 1000.0)
    FROM json_to_recordset(CAST(:states AS json)) AS s (rule uuid, device uuid, state jsonb, due bigint)
    ON CONFLICT (tenant_id, rule_id, device_id) DO UPDATE SET state = excluded.state, due_at = excluded.due_at
    """
)
# Begun by the next ticks, a couple of thousand at a time, however many devices there are: those that the rule watches,
# and those that it remembers something of, which it may watch no more.
_BEGIN = """
    WITH these AS (
        (SELECT d.id
         FROM devices d JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id
         WHERE CAST(:watched AS boolean) AND d.tenant_id = :tenant AND d.status IN ('provisioned', 'active')
           AND (CAST(:profile AS text) IS NULL OR p.key = :profile)
           AND (CAST(:devices AS uuid[]) IS NULL OR d.id = ANY (CAST(:devices AS uuid[])))
           AND (CAST(:after AS uuid) IS NULL OR d.id > CAST(:after AS uuid)){mine}
         ORDER BY d.id LIMIT CAST(:most AS bigint))
        UNION
        (SELECT r.device_id FROM rule_state r
         WHERE CAST(:remembered AS boolean) AND r.tenant_id = :tenant AND r.rule_id = CAST(:rule AS uuid)
           AND (CAST(:after AS uuid) IS NULL OR r.device_id > CAST(:after AS uuid)){mine_remembered}
         ORDER BY r.device_id LIMIT CAST(:most AS bigint))
        ORDER BY id LIMIT CAST(:most AS bigint)
    ), begun AS (
        INSERT INTO rule_state AS s (tenant_id, rule_id, device_id, state, due_at)
        SELECT :tenant, CAST(:rule AS uuid), id, CAST(:begun_as AS jsonb), :now FROM these
        ON CONFLICT (tenant_id, rule_id, device_id) DO UPDATE SET
            due_at = least(s.due_at, excluded.due_at), state = s.state || excluded.state
    )
    SELECT CAST(id AS text) AS id FROM these ORDER BY these.id
    """

KINDS_A_DEVICE = 8
"""Kinds of messages (by the metrics they bring) of which it is kept, for a device, that they change nothing."""
_MOMENT = attrgetter("rule_id", "device_id", "episode", "is_raise")
"""Of an effect: what it belongs to, the beginning or the end of one episode."""
_UNMET: tuple[Gaps | None, tuple[CompiledRule, ...]] = None, ()

_STORE_ANYWAY = RuleState(condition="\t")
"""What is no rule's state: whatever a state is then is stored."""


class Reach(NamedTuple):
    """How far a rule has come that is to be looked at for all its devices: behind the device ``after``.

    ``since``: when (ms) the tenant's clock became another, if that is why.
    """

    after: str = ""
    since: int | None = None


class Calm:
    """Of a device for which no rule that needs only newest values moves: the ``newest`` event time (ms) it has told,
    and by the metrics that a message brings in which gaps it lay, and which rules need more than that.
    """

    __slots__ = ("kinds", "newest")

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.kinds: dict[tuple[str, ...], tuple[Gaps, tuple[CompiledRule, ...]]] = {}


class Reaction:
    """The rules of one tenant at work on batch after batch: ``use`` rules, feed it in the journal's order, ``save``.

    ``met`` tells the profile of each device that talks. When what was saved is not committed, make a new one. ``mine``
    are the devices it is about: of others nothing is begun, and no time passes.
    """

    def __init__(self, newest: Newest, met: Mapping[str, str], mine: Share = ALL) -> None:
        self.facts = Facts()
        self.led_by: Chain = ()
        """The rules that led to what is read now."""
        self._rules: dict[str, CompiledRule] = {}
        self._set = RuleSet(())
        self._newest = newest
        self._met = met
        self._stored: dict[Place, RuleState] = {}
        self._states: dict[Place, RuleState] = {}
        self._calm: dict[str, Calm] = {}
        self._moved: set[Place] = set()
        self._due: list[Place] = []
        self._profiles: dict[str, str] = {}
        self._raised: list[Raised] = []
        self._cleared: list[Cleared] = []
        self._effects: list[Effect] = []
        self._noted: list[tuple[Raised, Sequence[str]]] = []
        self._acting: list[Raised] = []
        self._noted_ends: list[Cleared] = []
        self._gone: set[str] = set()
        self._out: set[str] = set()
        self._wanted: dict[tuple[str, Chain], set[str]] = {}
        self._whole: dict[tuple[str, Chain], Reach] = {}
        self.has_more = False
        """Whether what was saved last told the journal that it is to go on."""
        self._share = mine
        self._asks_due, self._begins = _asked_of(mine)
        self._breaker = storms.Breaker(is_shared=not mine.is_all)
        self._samples: list[Sample] = []
        self._no_more: dict[str, Ended] = {}

    def use(self, rules: RuleSet) -> None:
        """From now on these are the rules."""
        if rules is not self._set:
            self._set = rules
            self._rules = {rule.key: rule for rule in rules}
            self._no_more.clear()
            self._calm.clear()
            self.facts.forget()
            self.facts.go_by(rules.zone)

    def forget(self, device_id: str) -> None:
        """What was known of this device itself may no longer be true; what it has sent is."""
        self._calm.pop(device_id, None)
        self.facts.forget(device_id)

    async def load(self, tx: Tx, devices: Sequence[str]) -> None:
        """Load what the rules remember of these devices; ``read`` expects it of every device it is given."""
        if devices:
            await self._load(tx, _OF_DEVICES, {"devices": ids.array(devices)})

    def stands(self, device_id: str, status: str) -> None:
        """Where a device that was not met before stands in its life; from then on the journal tells it.

        Of a decommissioned one rules ask nothing. A suspended one, in quarantine or not, we have cut off ourselves:
        that it is gone and silent is no news, so nothing begins for it but by readings that it had sent, and waits are
        called off. What is open stays, and ends as it would; whether it is connected goes on being known.
        """
        for marked, is_so in ((self._gone, status == "decommissioned"), (self._out, status == "suspended")):
            (marked.add if is_so else marked.discard)(device_id)
        self._calm.pop(device_id, None)

    async def look_for_due(self, tx: Tx, now: datetime) -> set[str]:
        """Look what ``tick`` will let time pass for, at most TICKS_AT_ONCE; returns the devices, whom to meet next."""
        rows = await tx.rows(self._asks_due, {"tenant": tx.principal.tenant_id, "now": now, "most": TICKS_AT_ONCE})
        self._due = [(row["rule_id"], row["device_id"]) for row in rows]
        return {device for _, device in self._due}

    async def load_due(self, tx: Tx) -> None:
        """Load what is due and was begun behind this batch's back, as ``_begin`` does; what is gone is not due."""
        unmet = {device for rule_id, device in self._due if (rule_id, device) not in self._states}
        if unmet:
            await self.load(tx, sorted(unmet))
            self._due = [place for place in self._due if place in self._states]
        await self._recall_no_more(tx, self._due)

    def read(
        self, profile: str | None, device_id: str, at: int, seq: int, values: Mapping[str, object], received_ms: int
    ) -> None:
        """One reading of one device (times in ms); must come before it is folded into the latest values.

        Nearly all leave every rule as it stands, and are told by the gaps in which the device's last ones lay.
        """
        rules = self._set
        before = self.facts.hear(device_id, received_ms) if rules.hears_silence else None
        if rules.needs:
            self.facts.add(device_id, at, seq, values)
        calm = self._calm.get(device_id)
        if calm is not None and at > calm.newest:
            calm.newest = at
            gaps, others = calm.kinds.get(tuple(values), _UNMET)
            if gaps is not None and gaps.hold(values):
                if others:
                    reading = Reading(at, seq, values)
                    for rule in others:
                        self._read(rule, (rule.key, device_id), reading, received_ms, before, is_newer=True)
                return
        matched = rules.matched(profile, values, device_id)
        if (not matched.light and not matched.others) or device_id in self._gone:
            return
        reading = Reading(at, seq, values)
        is_newer = reading.is_newer(self._newest.of(device_id))
        if self._ask(matched.light, device_id, reading, received_ms, is_newer) and matched.limits is not None:
            self._keep_calm(device_id, reading, matched.limits, matched.others)
        for rule in matched.others:
            self._read(rule, (rule.key, device_id), reading, received_ms, before, is_newer=is_newer)

    def _ask(
        self, light: Sequence[CompiledRule], device_id: str, reading: Reading, received_ms: int, is_newer: bool
    ) -> bool:
        """One reading for rules that need nothing but its values; says whether it leaves all as they stand."""
        states, is_calm = self._states, is_newer
        for rule in light:
            place = rule.key, device_id
            try:
                if is_newer and is_quiet_with(rule, states.get(place), reading.handle):
                    continue
                is_calm = False
                self._move(rule, place, reading, clock.from_ms(received_ms))
            except Exception:  # one rule that fails must not stop the tenant's others
                is_calm = False
                log.exception("rule.failed", extra={"rule": place[0], "version": rule.version})
        return is_calm

    def _keep_calm(self, device_id: str, reading: Reading, limits: Limits, others: tuple[CompiledRule, ...]) -> None:
        """Messages of the device that lie where this one does need not be asked about, until a rule moves for it."""
        gaps = gaps_at(limits, reading.values)
        if gaps is None:
            return
        calm = self._calm.get(device_id)
        if calm is None:
            told = (known[1] for known in self._newest.of(device_id).values())
            calm = self._calm[device_id] = Calm(max(told, default=reading.at))
        calm.newest = max(calm.newest, reading.at)
        if len(calm.kinds) >= KINDS_A_DEVICE:
            calm.kinds.clear()
        calm.kinds[tuple(reading.values)] = gaps, others

    def has_passed(self, device_id: str, at: int) -> None:
        """Messages of the device up to this event time (ms) have come, and moved no rule."""
        calm = self._calm.get(device_id)
        if calm is not None and at > calm.newest:
            calm.newest = at

    def happen(self, device_id: str, event_type: str, at: datetime) -> None:
        """The device has told an event of this type."""
        self._notice(self._set.of_events.get(event_type, ()), device_id, Noticed(event_type), at)

    def presence(self, device_id: str, is_online: bool, epoch: int, at: datetime) -> None:
        """The device has connected or gone."""
        self.facts.presence(device_id, is_online, epoch)
        self._notice(self._set.of_presence, device_id, Noticed(), at)

    def tick(self, now: datetime) -> int:
        """Let time pass for what was due; returns how many there were."""
        now_ms, self.led_by = clock.to_ms(now), ()
        for place in self._due:
            due_at = self._states[place].due_at
            # One that did not ask for this time is wanted by somebody else: what it is about may have changed.
            self._elapse(place, now, Tick() if due_at is not None and due_at <= now_ms else Noticed())
            self._moved.add(place)
            # Whatever comes of it, it is stored: what is due and stays so would be asked for again and again.
            self._stored[place] = _STORE_ANYWAY
        ticked, self._due = len(self._due), []
        return ticked

    def sample(self, sampler: Sampler, tenant_id: UUID, now: datetime, devices: Collection[str]) -> None:
        """Now and then, look why some rules have not fired for some of these devices; after all that has happened."""
        if sampler.is_due(tenant_id, now):
            self._samples += sampler.take(tenant_id, now, tuple(self._set), sorted(devices), self._standing)
            self.facts.next_event()

    def rule_changed(self, rule_id: str) -> None:
        """A rule was edited or switched: states it no longer owns end, waits and open alerts follow the new rule."""
        self._want_all(rule_id, self.led_by)

    async def device_changed(self, tx: Tx, device_id: str, *, is_new: bool = False) -> None:
        """A device is new or may be another now: rules begin with it, look again, or end what they left open."""
        if not is_new:
            places = await self._places_of(tx, device_id)
            await self._recall_no_more(tx, places)
            for place in places:
                rule = self._rules.get(place[0])
                if rule is None or is_light(rule) or not self._is_watched(rule, device_id):
                    self._elapse(place, tx.now)
        for rule in self._set.starting:
            if _watches(rule, device_id, self._profile(device_id)) and (rule.key, device_id) not in self._states:
                self._want(rule, device_id)
        self._notice(self._set.of_devices, device_id, Noticed(), tx.now)

    def group_changed(self, group_id: str) -> None:
        """Other devices are in a group now: rules that ask for it look again at all of theirs."""
        for rule in self._set:
            if group_id in plan_of(rule).groups:
                self._want_all(rule.key, self.led_by)

    def zone_changed(self, zone: str, since: int) -> None:
        """The tenant's clock is another one ``since`` then (ms): rules that go by that of the device's site look again.

        By now it may be a third one: then what the journal says of that one is followed.
        """
        if zone == self._set.zone.key:
            for rule in self._set.of_site:
                self._want_all(rule.key, (), Reach(since=since))

    def go_on(self, told: Mapping[str, Any]) -> None:
        """A rule that is to be looked at for all its devices has the rest of them before it (`RulesReached`)."""
        if told.get("zone") in (None, self._set.zone.key):
            reach = Reach(told.get("after") or "", told.get("since"))
            self._want_all(told["rule"], tuple(told.get("by") or ()), reach)

    def device_out(self, device_id: str) -> None:
        """A device was suspended or put into quarantine: nothing new begins for it (see ``stands``)."""
        self._out.add(device_id)

    def device_back(self, device_id: str, now: datetime) -> None:
        """A device is in service again: rules look whether it is there, and begin anew to wait for it."""
        self._out.discard(device_id)
        for rule in self._set.starting:
            if _watches(rule, device_id, self._profile(device_id)):
                self._want(rule, device_id)
        self._notice(self._set.of_presence, device_id, Noticed(), now)

    async def device_gone(self, tx: Tx, device_id: str) -> None:
        """A device was decommissioned: nothing is open for it any more, and nothing begins, whatever is told of it."""
        self._gone.add(device_id)
        self._calm.pop(device_id, None)
        for place in await self._places_of(tx, device_id):
            self._stop(place, tx.now)

    async def save(self, tx: Tx) -> None:
        """Store every state that changed, the alerts that began and ended, and do what rules do beside that."""
        let, muted = await self._weigh(tx)
        changed = []
        for place in sorted(self._moved):
            state = self._states[place]
            if is_worth_storing(self._stored.get(place, RuleState()), state):
                self._stored[place] = state
                changed.append({"rule": place[0], "device": place[1], "state": state.to_json(), "due": state.due_at})
        self._moved.clear()
        if changed:
            await tx.execute(_SAVE, {"tenant": tx.principal.tenant_id, "states": orjson.dumps(changed).decode()})
        await alerts.raise_all(tx, self._raised)
        await alerts.clear_all(tx, self._cleared)
        await firings.note(tx, self._noted, self._share)
        await firings.end(tx, self._noted_ends)
        await non_firings.keep(tx, self._samples, self._share)
        for done in (self._raised, self._cleared, self._noted, self._noted_ends, self._samples):
            done.clear()
        await self._begin(tx)
        if let or muted:
            await self._act(tx, let, muted)
        if self._set.is_over_quota:
            self._set.is_over_quota = False
            said = f"More than {MOST_MATCHING} rules look at the same message or event; the newest are left out."
            await storms.say(tx, storms.TENANT, "quota", said, tx.now + NOTICE_HOLDS)

    async def _weigh(self, tx: Tx) -> tuple[list[Effect], list[Effect]]:
        """What is to be done beside alerts, and what is too much.

        What a firing leads to is done as a whole or not at all. Where it was done, it is undone in the end, however
        much is going on; where it was not, there is nothing to undo. A firing without an alert is noted if what it does
        is let; of the others the storm's notice tells.
        """
        wanted, self._effects = self._effects, []
        let: list[Effect] = []
        muted: list[Effect] = []
        if wanted:
            await self._breaker.load(tx)
        for (rule_id, device, episode, is_raise), group in groupby(wanted, _MOMENT):
            place, effects = (rule_id, device), list(group)
            if not is_raise:
                undoing = [each for each in effects if each.undoes]
                effects = [each for each in effects if not each.undoes]
                let += undoing if self._states[place].muted != episode else ()
            if effects and self._breaker.lets(rule_id, tx.now, len(effects)):
                let += effects
            elif effects:
                muted += effects
                if is_raise:
                    self._states[place] = self._states[place]._replace(muted=episode)
        acted = {(each.rule_id, each.device_id, each.episode) for each in let if each.is_raise}
        self._noted += [(one, ()) for one in self._acting if (one.rule_id, one.device_id, one.episode) in acted]
        self._acting.clear()
        return let, muted

    async def _act(self, tx: Tx, let: Sequence[Effect], muted: Sequence[Effect]) -> None:
        """Do what is let; what cannot be done is said once an hour, of what is muted the alerts' histories say why."""
        for effect, why in await acting.perform(tx, let):
            kind, about, said = "refused", effect.rule_id, f"{effect.rule_name}: {why}"
            if why == acting.LOOP:
                kind, about, said = "loop", circles.subject(effect.chain), circles.told(effect.chain, self._name)
            await storms.say(tx, about, kind, said, tx.now + NOTICE_HOLDS)
        await self._breaker.save(tx, {effect.rule_id: effect.rule_name for effect in (*let, *muted)})
        await acting.not_told(tx, [(effect, self._breaker.why(effect.rule_id)) for effect in muted])

    def _want(self, rule: CompiledRule, device_id: str) -> None:
        """The rule is to be looked at for this device as soon as may be."""
        self._wanted.setdefault((rule.key, self.led_by), set()).add(device_id)

    def _want_all(self, rule_id: str, led_by: Chain, reach: Reach = Reach()) -> None:
        """The rule is to be looked at for all its devices behind that reach, a bounded number in one transaction.

        One that is no more, for those that it remembers: what it left open ends.
        """
        other = self._whole.get((rule_id, led_by), reach)
        since = max((each for each in (reach.since, other.since) if each is not None), default=None)
        self._whole[rule_id, led_by] = Reach(min(reach.after, other.after), since)

    async def _begin(self, tx: Tx) -> None:
        """Let rules be looked at that are wanted so: each for some devices, or for the next ones of all of theirs."""
        for (rule_id, led_by), devices in sorted(self._wanted.items()):
            if rule_id in self._rules:
                await self._let_look(tx, rule_id, led_by, devices)
        left, rest = BEGUN_AT_ONCE, list[dict[str, object]]()
        for (rule_id, led_by), reach in sorted(self._whole.items()):
            if left:
                begun = await self._let_look(tx, rule_id, led_by, None, reach, left)
                left -= len(begun)
                if left:
                    continue
                reach = reach._replace(after=begun[-1])
            zone = None if reach.since is None else self._set.zone.key
            told = {"rule": rule_id, "after": reach.after or None, "by": list(led_by)}
            whose = {} if self._share.is_all else {"share": [self._share.number, self._share.of]}
            rest.append({**told, "since": reach.since, "zone": zone, **whose})
        for n in range(0, len(rest), TOLD_AT_ONCE):
            tx.emit(RulesReached(rest[n : n + TOLD_AT_ONCE]))
        self.has_more = left < BEGUN_AT_ONCE
        self._wanted.clear()
        self._whole.clear()

    async def _let_look(
        self,
        tx: Tx,
        rule_id: str,
        led_by: Chain,
        devices: Collection[str] | None,
        reach: Reach = Reach(),
        most: int | None = None,
    ) -> list[str]:
        """Let time pass for a rule and (at ``most`` so many of) these devices; returns which they are.

        None: all that it watches or remembers something of. One that only messages move begins with none by itself.
        """
        rule, news = self._rules.get(rule_id), dict[str, Any]()
        if led_by:
            news["led_by"] = led_by
        if reach.since is not None and rule is not None and plan_of(rule).cron is not None:
            news["clock_since"] = reach.since
        only = devices if devices is not None or rule is None else rule.devices
        asked = {
            "watched": rule is not None and not is_light(rule),
            "profile": None if rule is None else rule.profile,
            "devices": None if only is None else sorted(only),
            "remembered": devices is None,
            "after": reach.after or None,
            "most": most,
            "begun_as": orjson.dumps(news).decode(),
        }
        named = {"tenant": tx.principal.tenant_id, "now": tx.now, "rule": rule_id}
        begun = [row["id"] for row in await tx.rows(self._begins, asked | named)]
        for place in ((rule_id, device) for device in begun):
            state = self._states.get(place)
            if state is not None:  # what is remembered here is not read back
                self._states[place] = state._replace(**news)
        return begun

    def _name(self, rule_id: str) -> str:
        rule = self._rules.get(rule_id)
        return "a rule that is no more" if rule is None else rule.document.name

    async def _places_of(self, tx: Tx, device_id: str) -> list[Place]:
        """Where rules remember something of a device, stored or not; of all others nothing is asked.

        Of a rule that is no more, only what was stored can be open.
        """
        stored = await self._load(tx, _OF_DEVICES, {"devices": ids.array([device_id])})
        own = ((rule_id, device_id) for rule_id in self._rules)
        return list(dict.fromkeys([*stored, *(place for place in own if place in self._states)]))

    async def _recall_no_more(self, tx: Tx, places: Collection[Place]) -> None:
        """Where something is open of rules that are no more, find out what they do when it is over, and for whom."""
        left = [place for place in places if place[0] not in self._rules and self._states[place].is_raised]
        if unknown := {rule_id for rule_id, _ in left} - self._no_more.keys():
            self._no_more |= await published.ended(tx, unknown)
            if not self._set:  # whose zone is that of its rules
                for each in self._no_more.values():
                    self.facts.go_by(clock.zone_of(each.rule.vocabulary.zone) or UTC)
        acting_ = {rule_id for rule_id, each in self._no_more.items() if plan_of(each.rule).on_clear}
        strangers = {device for rule_id, device in left if rule_id in acting_ and not self.facts.knows(device)}
        for device, known in (await about(tx, self._set, sorted(strangers))).items():
            self.facts.meet(device, known)

    async def _load(self, tx: Tx, query: TextClause, asked: Mapping[str, object]) -> list[Place]:
        """Load states that were not met in this batch before; returns the places the query names."""
        places = []
        for row in await tx.rows(query, {"tenant": tx.principal.tenant_id, **asked}):
            place = row["rule_id"], row["device_id"]
            places.append(place)
            self._profiles[place[1]] = row["profile"]
            if place[1] not in self._met:
                self.stands(place[1], row["status"])
            if place not in self._states:
                self._stored[place] = self._states[place] = RuleState.from_json(row["state"])
                self._calm.pop(place[1], None)
        return places

    def _read(
        self,
        rule: CompiledRule,
        place: Place,
        reading: Reading,
        received_ms: int,
        before: int | None,
        *,
        is_newer: bool,
    ) -> None:
        """One reading for a rule that needs more than newest values."""
        state = self._states.get(place)
        try:
            if not self._is_in_scope(rule, place[1]):
                return
            if is_light(rule):
                if is_newer and is_quiet(rule, state, reading):
                    return
            elif state is not None and self._is_calm(rule, place[1], state, reading, received_ms, before, is_newer):
                return
            self._move(rule, place, reading, clock.from_ms(received_ms), before)
        except Exception:  # one rule that fails must not stop the tenant's others
            log.exception("rule.failed", extra={"rule": place[0], "version": rule.version})

    def _is_calm(
        self,
        rule: CompiledRule,
        device: str,
        state: RuleState,
        reading: Reading,
        received_ms: int,
        before: int | None,
        is_newer: bool,
    ) -> bool:
        """Whether a reading certainly changes nothing for a rule that needs more than newest values."""
        if not rule.metrics and is_heard_of_in_time(rule, state, received_ms, before):
            return True
        if not is_newer or state.phase not in STEADY:
            return False
        view = self.facts.view_of_message(device, before)
        return is_calm(rule, state, reading, received_ms, view, self._newest.of(device))

    def _notice(self, rules: Sequence[CompiledRule], device_id: str, noticed: Noticed, now: datetime) -> None:
        """Something about a device has changed: those of these rules look again that watch it, as many as at a message.

        One that is looked at by two thousand would cost as much as that many messages, and whoever waits behind it.
        """
        looked = 0
        for rule in rules:
            if not self._is_watched(rule, device_id) or not self._may_move((rule.key, device_id)):
                continue
            if looked == MOST_MATCHING:
                self._set.is_over_quota = True
                return
            looked += 1
            try:
                self._move(rule, (rule.key, device_id), noticed, now)
            except Exception:  # one rule that fails must not stop the tenant's others
                log.exception("rule.failed", extra={"rule": rule.key, "version": rule.version})

    def _move(
        self, rule: CompiledRule, place: Place, event: Event, now: datetime, heard_before: int | None = None
    ) -> None:
        before = self._states.get(place)
        if before is None:
            before = self._stored[place] = RuleState(condition=rule.condition)
        before = recall(rule, before, self._newest.of(place[1]))
        view = None
        if is_light(rule):
            self._calm.pop(place[1], None)
        else:
            is_message = isinstance(event, Reading)
            view = self.facts.view_of_message(place[1], heard_before) if is_message else self.facts.view(place[1])
        state, actions = step(rule, before, event, now, view)
        if actions and plan_of(rule).named:
            actions = [self._with_named(rule, place[1], event, action) for action in actions]
        led_by = self.led_by or before.led_by
        if led_by:
            state = state._replace(led_by=led_by if circles.goes_on(rule, state) else ())
        self._states[place] = state
        self._moved.add(place)
        for action in actions:
            if isinstance(action, Raise):
                self._raise(rule, place, action, led_by)
            elif before.is_shadow and action.reason is not EndReason.CLEARED:
                # It only watched when this began: nothing was raised or done, so nothing of that is to be ended.
                self._noted_ends.append(_told(place, action, words.why_cleared(rule, action)))
            else:
                self._clear(rule, place, action, led_by)

    def _with_named(self, rule: CompiledRule, device_id: str, event: Event, action: Action) -> Action:
        """The action with what was known at its time of the metrics that only the rule's actions name."""
        plan, latest = plan_of(rule), self._newest.of(device_id)
        known = {name: Known(plain(latest[name][0]), latest[name][1], -1) for name in plan.named if name in latest}
        if isinstance(event, Reading) and event.at <= action.at:
            news = {name: event.news[name] for name in plan.named if name in event.news}
            known |= {name: new for name, new in news.items() if name not in known or new.at >= known[name].at}
        if plan.missing_ms is not None:
            known = {name: entry for name, entry in known.items() if entry.at + plan.missing_ms > action.at}
        return action._replace(seen={**known, **action.seen})

    def _elapse(self, place: Place, now: datetime, event: Tick | Noticed = Tick()) -> None:
        """Time has passed: move on what was going on, end what nobody watches any more."""
        rule = self._rules.get(place[0])
        if rule is None or not self._is_watched(rule, place[1]) or not self._may_move(place):
            self._stop(place, now)
            return
        try:
            self._move(rule, place, event, now)
        except Exception:  # not again and again: the next reading tries anew
            log.exception("rule.failed", extra={"rule": place[0], "version": rule.version})
            self._states[place] = self._states[place]._replace(due_at=None)
            self._moved.add(place)

    def _stop(self, place: Place, now: datetime) -> None:
        """End what the rule left open there: it is no more, or no longer watches the device.

        What it does when an alert is over it does all the same, so that nothing stays as it has set it; but not for a
        device that was decommissioned, and not where it cannot be understood any more.
        """
        before = self._states[place]
        self._states[place], actions = stop(before, now)
        self._calm.pop(place[1], None)
        self._moved.add(place)
        rule, reason = self._rules.get(place[0]), EndReason.RULE_STOPPED
        if rule is None and place[0] in self._no_more:
            rule, reason = self._no_more[place[0]]
        for action in actions:
            if not isinstance(action, Clear):
                continue
            action = action._replace(reason=reason)
            if rule is None or before.is_shadow or place[1] in self._gone:
                told = _told(place, action, words.WHY_ENDED[reason])
                self._cleared.append(told)
                self._noted_ends.append(told)
                continue
            named = self._with_named(rule, place[1], Tick(), action).seen if plan_of(rule).named else action.seen
            self._clear(rule, place, action._replace(seen=named), self.led_by or before.led_by)

    def _raise(self, rule: CompiledRule, place: Place, action: Raise, led_by: Chain) -> None:
        plan = plan_of(rule)
        reason, at = words.why_raised(rule, action), clock.from_ms(action.at)
        severity = rule.document.severity.value
        hushed = self._hushed(rule, place[1], action.at) if plan.then else ""
        raised = Raised(place[0], rule.version, place[1], action.episode, severity, reason, action.why, at, hushed)
        if rule.key in self._set.shadows:
            self._noted.append((raised, words.intentions(rule)))
            return
        if plan.has_alert:
            self._raised.append(raised)
        elif hushed or not plan.then:  # no alert tells why it fired
            self._noted.append((raised, words.intentions(rule) if hushed else ()))
        else:
            self._acting.append(raised)
        if plan.then and not hushed:
            self._effects += effects_of(rule, place[1], action, plan.then, reason, self.facts, led_by)

    def _clear(self, rule: CompiledRule, place: Place, action: Clear, led_by: Chain) -> None:
        """End what the rule raised and do what it does then.

        A firing that acted is ended so too when an edit ends it, even one that only lets the rule watch from now on, or
        when the rule is switched off: what it switched on is switched off, in quiet hours too, in which only nobody is
        told. One that was only noted never gets here so (see ``_move`` and ``_stop``).
        """
        plan, is_edit = plan_of(rule), action.reason is not EndReason.CLEARED
        reason = words.why_cleared(rule, action)
        if rule.key in self._set.shadows and not is_edit:
            self._noted_ends.append(_told(place, action, reason))
            return
        if plan.has_alert or is_edit:  # the edit may have taken the alert from what the rule does
            self._cleared.append(_told(place, action, reason))
        if not plan.has_alert or is_edit:
            self._noted_ends.append(_told(place, action, reason))
        if plan.on_clear:
            done = effects_of(rule, place[1], action, plan.on_clear, reason, self.facts, led_by)
            is_hushed = any(each.is_telling for each in done) and self._hushed(rule, place[1], action.at)
            self._effects += [each for each in done if not (is_hushed and each.is_telling)]

    def _hushed(self, rule: CompiledRule, device_id: str, at_ms: int) -> str:
        """Why the rule does nothing now beside its alert, for the alert's history; '' when it does."""
        quiet = plan_of(rule).quiet
        if quiet is None or not self.facts.holds(device_id, quiet, at_ms):
            return ""
        hours = f"quiet hours {self.facts.ends(device_id, quiet, at_ms)}".rstrip()
        return f"The rule is in its {hours}: it tells nobody, and does nothing else."

    def _is_watched(self, rule: CompiledRule, device_id: str) -> bool:
        return (
            device_id not in self._gone
            and _watches(rule, device_id, self._profile(device_id))
            and self._is_in_scope(rule, device_id)
        )

    def _may_move(self, place: Place) -> bool:
        """Whether anything but a reading may move the rule for that device: see ``stands``."""
        if place[1] in self._out:
            state = self._states.get(place)
            return state is not None and state.is_raised
        return True

    def _standing(self, rule: CompiledRule, device_id: str) -> Standing | None:
        """How a rule stands that has not fired for a device it watches."""
        state = self._states.get((rule.key, device_id)) or RuleState(condition=rule.condition)
        if state.is_raised or state.condition != rule.condition or device_id in self._out:
            return None
        if not self._is_watched(rule, device_id):
            return None
        return Standing(recall(rule, state, self._newest.of(device_id)), self.facts.view(device_id))

    def _is_in_scope(self, rule: CompiledRule, device_id: str) -> bool:
        plan = plan_of(rule)
        return not plan.is_narrow or self.facts.is_in_scope(device_id, plan, where_of(rule))

    def _profile(self, device_id: str) -> str | None:
        return self._met.get(device_id) or self._profiles.get(device_id)


@functools.cache
def _asked_of(mine: Share) -> tuple[TextClause, TextClause]:
    """What asks for timers that are over, and what begins, of these devices."""
    begins = _BEGIN.format(mine=mine.condition("d.id"), mine_remembered=mine.condition("r.device_id"))
    return text(_DUE.format(mine=mine.condition("device_id"))), text(begins)


def _watches(rule: CompiledRule, device_id: str, profile: str | None) -> bool:
    own = rule.devices is None or device_id in rule.devices
    return own and rule.profile in (None, profile)


def _told(place: Place, action: Clear, reason: str) -> Cleared:
    return Cleared(*place, action.episode, clock.from_ms(action.at), reason)
