"""What rules make of a batch of events: states loaded once, stepped in order, stored with the alerts they caused."""

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime

import orjson
from sqlalchemy import TextClause, text

from engine import clock
from engine.alerts import service as alerts
from engine.alerts.model import Cleared, Raised
from engine.rules import words
from engine.rules.compile import CompiledRule
from engine.rules.ruleset import RuleSet
from engine.rules.state import Clear, Event, Raise, Reading, RuleState, Tick
from engine.rules.step import is_quiet, is_worth_storing, recall, step, stop
from engine.store.tx import Tx
from engine.telemetry.fold import Newest

log = logging.getLogger(__name__)

Place = tuple[str, str]
"""(rule id, device id), both as texts, as the journal has them."""

TICKS_AT_ONCE = 2_000

_STATES = (
    "SELECT CAST(s.rule_id AS text) AS rule_id, CAST(s.device_id AS text) AS device_id, s.state, p.key AS profile "
    "FROM rule_state s JOIN devices d ON d.tenant_id = s.tenant_id AND d.id = s.device_id "
    "JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id WHERE s.tenant_id = :tenant AND {which}"
)
_OF_DEVICES = text(_STATES.format(which="s.device_id = ANY (CAST(:devices AS uuid[]))"))
_OF_RULE = text(_STATES.format(which="s.rule_id = CAST(:rule AS uuid)"))
_DUE = text(_STATES.format(which="s.due_at <= :now") + f" LIMIT {TICKS_AT_ONCE}")
_SAVE = text(
    """
    INSERT INTO rule_state (tenant_id, rule_id, device_id, state, due_at)
    SELECT :tenant, s.rule, s.device, s.state, to_timestamp(s.due / 1000.0)
    FROM json_to_recordset(CAST(:states AS json)) AS s (rule uuid, device uuid, state jsonb, due bigint)
    ON CONFLICT (tenant_id, rule_id, device_id) DO UPDATE SET state = excluded.state, due_at = excluded.due_at
    """
)


class Reaction:
    """The rules of one tenant at work on batch after batch: ``use`` rules, feed it in the journal's order, ``save``.

    ``met`` tells the profile of each device that talks. When what was saved is not committed, make a new one.
    """

    def __init__(self, newest: Newest, met: Mapping[str, str]) -> None:
        self._rules: dict[str, CompiledRule] = {}
        self._set = RuleSet(())
        self._newest = newest
        self._met = met
        self._stored: dict[Place, RuleState] = {}
        self._states: dict[Place, RuleState] = {}
        self._moved: set[Place] = set()
        self._profiles: dict[str, str] = {}
        self._raised: list[Raised] = []
        self._cleared: list[Cleared] = []

    def use(self, rules: RuleSet) -> None:
        """From now on these are the rules."""
        if rules is not self._set:
            self._set = rules
            self._rules = {rule.key: rule for rule in rules}

    async def load(self, tx: Tx, devices: Sequence[str]) -> None:
        """Load what the rules remember of these devices; ``read`` expects it of every device it is given."""
        if devices:
            await self._load(tx, _OF_DEVICES, {"devices": list(devices)})

    def read(self, profile: str | None, device_id: str, reading: Reading, received_ms: int) -> None:
        """One reading of one device; must come before it is folded into the latest values."""
        is_newer = reading.is_newer(self._newest.of(device_id))
        states = self._states
        for rule in self._set.matching(profile, reading.values, device_id):
            place = rule.key, device_id
            try:
                if is_newer and is_quiet(rule, states.get(place), reading):
                    continue
                self._move(rule, place, reading, clock.from_ms(received_ms))
            except Exception:  # one rule that fails must not stop the tenant's others
                log.exception("rule.failed", extra={"rule": place[0], "version": rule.version})

    async def tick(self, tx: Tx) -> int:
        """Let time pass for every wait that is over by the server's clock; returns how many there were."""
        places = await self._load(tx, _DUE, {"now": tx.now})
        for place in places:
            self._elapse(place, tx.now)
        return len(places)

    async def rule_changed(self, tx: Tx, rule_id: str) -> None:
        """A rule was edited or switched: states it no longer owns end, waits and open alerts follow the new rule."""
        await self._load(tx, _OF_RULE, {"rule": rule_id})
        for place in [place for place in self._states if place[0] == rule_id]:
            self._elapse(place, tx.now)

    async def device_changed(self, tx: Tx, device_id: str) -> None:
        """A device may have another profile now: what its rules of before left open ends."""
        await self._load(tx, _OF_DEVICES, {"devices": [device_id]})
        for place in [place for place in self._states if place[1] == device_id]:
            self._elapse(place, tx.now)

    async def device_gone(self, tx: Tx, device_id: str) -> None:
        """A device was decommissioned: nothing is open for it any more."""
        await self._load(tx, _OF_DEVICES, {"devices": [device_id]})
        for place in [place for place in self._states if place[1] == device_id]:
            self._stop(place, tx.now)

    async def save(self, tx: Tx) -> None:
        """Store every state that changed and the alerts that began and ended."""
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
        self._raised.clear()
        self._cleared.clear()

    async def _load(self, tx: Tx, query: TextClause, asked: Mapping[str, object]) -> list[Place]:
        """Load states that were not met in this batch before; returns the places the query names."""
        places = []
        for row in await tx.rows(query, {"tenant": tx.principal.tenant_id, **asked}):
            place = row["rule_id"], row["device_id"]
            places.append(place)
            self._profiles[place[1]] = row["profile"]
            if place not in self._states:
                self._stored[place] = self._states[place] = RuleState.from_json(row["state"])
        return places

    def _move(self, rule: CompiledRule, place: Place, event: Event, now: datetime) -> None:
        before = self._states.get(place)
        if before is None:
            before = self._stored[place] = RuleState(condition=rule.condition)
        before = recall(rule, before, self._newest.of(place[1]))
        state, actions = step(rule, before, event, now)
        self._states[place] = state
        self._moved.add(place)
        for action in actions:
            if isinstance(action, Raise):
                self._raise(rule, place, action)
            else:
                self._clear(place, action, words.why_cleared(rule, action))

    def _elapse(self, place: Place, now: datetime) -> None:
        """Time has passed, or the rule has changed: move on what was going on, end what nobody watches any more."""
        rule = self._rules.get(place[0])
        profile = self._met.get(place[1]) or self._profiles.get(place[1])
        if rule is None or not _watches(rule, place[1], profile):
            self._stop(place, now)
            return
        try:
            self._move(rule, place, Tick(), now)
        except Exception:  # not again and again: the next reading tries anew
            log.exception("rule.failed", extra={"rule": place[0], "version": rule.version})
            self._states[place] = self._states[place]._replace(due_at=None)
            self._moved.add(place)

    def _stop(self, place: Place, now: datetime) -> None:
        self._states[place], actions = stop(self._states[place], now)
        self._moved.add(place)
        for action in actions:
            if isinstance(action, Clear):
                self._clear(place, action, "the rule no longer watches this device")

    def _raise(self, rule: CompiledRule, place: Place, action: Raise) -> None:
        severity, reason, at = rule.document.severity.value, words.why_raised(rule, action), clock.from_ms(action.at)
        self._raised.append(Raised(place[0], rule.version, place[1], action.episode, severity, reason, action.why, at))

    def _clear(self, place: Place, action: Clear, reason: str) -> None:
        self._cleared.append(Cleared(*place, action.episode, clock.from_ms(action.at), reason))


def _watches(rule: CompiledRule, device_id: str, profile: str | None) -> bool:
    own = rule.devices is None or device_id in rule.devices
    return own and rule.profile in (None, profile)
