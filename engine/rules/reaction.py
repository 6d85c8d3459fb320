"""What rules make of a batch of events: states loaded once, stepped in order, stored with the alerts they caused."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy import text

from engine import clock
from engine.alerts import service as alerts
from engine.alerts.model import Cleared, Raised
from engine.rules import words
from engine.rules.compile import CompiledRule
from engine.rules.ruleset import RuleSet
from engine.rules.state import Action, Clear, Raise, Reading, RuleState, Tick
from engine.rules.step import is_worth_storing, recall, step, stop
from engine.store.tx import Tx
from engine.telemetry.fold import Newest

log = logging.getLogger(__name__)

Place = tuple[UUID, UUID]
"""(rule id, device id)"""

TICKS_AT_ONCE = 2_000

_STATES = (
    "SELECT rule_id, device_id, state FROM rule_state WHERE tenant_id = :tenant AND {which} ORDER BY rule_id, device_id"
)
_OF_DEVICES = text(_STATES.format(which="device_id = ANY (:devices) AND rule_id = ANY (:rules)"))
_OF_RULE = text(_STATES.format(which="rule_id = :rule"))
_OF_DEVICE = text(_STATES.format(which="device_id = :device"))
_DUE = text(_STATES.format(which="due_at <= :now") + f" LIMIT {TICKS_AT_ONCE}")
_SAVE = text(
    "INSERT INTO rule_state (tenant_id, rule_id, device_id, state, due_at) "
    "SELECT :tenant, u.rule, u.device, u.state::jsonb, u.due FROM unnest(CAST(:rules AS uuid[]), "
    "CAST(:devices AS uuid[]), CAST(:states AS text[]), CAST(:due AS timestamptz[])) AS u (rule, device, state, due) "
    "ON CONFLICT (tenant_id, rule_id, device_id) DO UPDATE SET state = excluded.state, due_at = excluded.due_at"
)


class Reaction:
    """The rules of one tenant at work on one batch. Feed it in the journal's order, then ``save``."""

    def __init__(self, rules: RuleSet, newest: Newest) -> None:
        self._rules = rules
        self._newest = newest
        self._stored: dict[Place, RuleState] = {}
        self._states: dict[Place, RuleState] = {}
        self._raised: list[Raised] = []
        self._cleared: list[Cleared] = []

    async def load(self, tx: Tx, devices: Sequence[UUID]) -> None:
        """Load what the rules remember of these devices."""
        if self._rules and devices:
            asked = {"devices": list(devices), "rules": list(self._rules.by_id)}
            await self._load(tx, _OF_DEVICES, asked)

    def read(self, profile: str | None, device_id: UUID, reading: Reading, received: datetime) -> None:
        """One reading of one device; must come before it is folded into the latest values."""
        for rule in self._rules.matching(profile, reading.news, device_id):
            state = self._state(rule, device_id)
            self._apply(rule, device_id, state, lambda r=rule, s=state: step(r, s, reading, received))  # type: ignore[misc]

    async def tick(self, tx: Tx) -> int:
        """Let time pass for every wait that is over by the server's clock; returns how many there were."""
        places = await self._load(tx, _DUE, {"now": tx.now})
        for place in places:
            self._elapse(place, tx.now)
        return len(places)

    async def rule_changed(self, tx: Tx, rule_id: UUID, profiles: Callable[[UUID], str | None]) -> None:
        """A rule was edited or switched: states it no longer owns end, open alerts of an old condition end."""
        for place in await self._load(tx, _OF_RULE, {"rule": rule_id}):
            rule = self._rules.by_id.get(rule_id)
            if rule is None or not _watches(rule, place[1], profiles(place[1])):
                self._stop(place, tx.now)
            elif self._states[place].is_raised and self._states[place].condition != rule.condition:
                self._elapse(place, tx.now)

    async def device_gone(self, tx: Tx, device_id: UUID) -> None:
        """A device was decommissioned: nothing is open for it any more."""
        for place in await self._load(tx, _OF_DEVICE, {"device": device_id}):
            self._stop(place, tx.now)

    async def save(self, tx: Tx) -> None:
        """Store every state that changed and the alerts that began and ended."""
        changed = sorted(
            place
            for place, state in self._states.items()
            if is_worth_storing(self._stored.get(place, RuleState()), state)
        )
        if changed:
            states = [self._states[place] for place in changed]
            columns = {
                "rules": [rule_id for rule_id, _ in changed],
                "devices": [device_id for _, device_id in changed],
                "states": [orjson.dumps(state.to_json()).decode() for state in states],
                "due": [None if state.due_at is None else clock.from_ms(state.due_at) for state in states],
            }
            await tx.execute(_SAVE, {"tenant": tx.principal.tenant_id, **columns})
        await alerts.raise_all(tx, self._raised)
        await alerts.clear_all(tx, self._cleared)

    async def _load(self, tx: Tx, query: object, asked: Mapping[str, object]) -> list[Place]:
        """Load states that were not met in this batch before; returns the places the query names."""
        places = []
        rows = await tx.rows(query, {"tenant": tx.principal.tenant_id, **asked})  # type: ignore[arg-type]
        for row in rows:
            place = row["rule_id"], row["device_id"]
            places.append(place)
            if place not in self._stored:
                self._stored[place] = self._states[place] = RuleState.from_json(row["state"])
                rule = self._rules.by_id.get(place[0])
                if rule is not None:
                    self._states[place] = self._recalled(rule, place[1], self._states[place])
        return places

    def _state(self, rule: CompiledRule, device_id: UUID) -> RuleState:
        place = rule.id, device_id
        state = self._states.get(place)
        if state is None:
            state = self._recalled(rule, device_id, RuleState(condition=rule.condition))
            self._stored[place] = self._states[place] = state
        return state

    def _recalled(self, rule: CompiledRule, device_id: UUID, state: RuleState) -> RuleState:
        latest = {metric: (value, at) for metric, (value, at) in self._newest.of(device_id).items()}
        return recall(rule, state, latest)

    def _elapse(self, place: Place, now: datetime) -> None:
        rule, state = self._rules.by_id.get(place[0]), self._states[place]
        if rule is None:
            self._stop(place, now)
            return
        self._apply(rule, place[1], state, lambda: step(rule, state, Tick(), now))

    def _stop(self, place: Place, now: datetime) -> None:
        state, actions = stop(self._states[place], now)
        self._states[place] = state
        for action in actions:
            if isinstance(action, Clear):
                self._clear(place, action, "the rule no longer watches this device")

    def _apply(
        self,
        rule: CompiledRule,
        device_id: UUID,
        before: RuleState,
        move: Callable[[], tuple[RuleState, list[Action]]],
    ) -> None:
        try:
            state, actions = move()
        except Exception:  # one rule that fails must not stop the tenant's others
            log.exception("rule.failed", extra={"rule": str(rule.id), "version": rule.version})
            return
        if state is not before:
            self._states[rule.id, device_id] = state
        for action in actions:
            if isinstance(action, Raise):
                self._raise(rule, device_id, action)
            else:
                self._clear((rule.id, device_id), action, words.why_cleared(rule, action))

    def _raise(self, rule: CompiledRule, device_id: UUID, action: Raise) -> None:
        severity, reason = rule.document.severity.value, words.why_raised(rule, action)
        at = clock.from_ms(action.at)
        self._raised.append(Raised(rule.id, rule.version, device_id, action.episode, severity, reason, action.why, at))

    def _clear(self, place: Place, action: Clear, reason: str) -> None:
        self._cleared.append(Cleared(*place, action.episode, clock.from_ms(action.at), reason))


def _watches(rule: CompiledRule, device_id: UUID, profile: str | None) -> bool:
    own = rule.devices is None or device_id in rule.devices
    return own and rule.profile in (None, profile)
