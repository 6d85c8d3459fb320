"""The drain: everything that follows from a tenant's journal, in its order, each effect exactly once by one COMMIT.

One transaction takes the tenant's reader row (that is the lease: another worker skips), reads on from where it stood,
folds readings into the latest values and counts, moves presence, runs the rules, and stores all of it together with the
new position. Whatever is killed in between, the next drain begins at the old position with nothing half done.

A tenant too big for one worker has several readers, each for its share of the devices (ADR 78).
"""

import logging
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import repeat
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, text

from engine import clock, ids
from engine.commands import service as commands
from engine.devices import presence, refusals
from engine.devices import service as devices
from engine.fleet import transfer
from engine.fleet.events import DeviceArrived
from engine.inbox import service as inbox
from engine.inbox.model import Settled
from engine.journal import read, readers
from engine.journal.model import Entry
from engine.journal.share import ALL, ELSEWHERE, Share, share
from engine.journal.sound import is_sound
from engine.points import service as points
from engine.points import told as points_told
from engine.quotas import usage
from engine.rules import storms
from engine.rules.reaction import TICKS_AT_ONCE, Reaction
from engine.rules.remember import remember
from engine.rules.sampling import Sampler
from engine.rules.service import Compiled
from engine.store.pool import Store
from engine.store.tx import Tx
from engine.store.wire import Reading
from engine.telemetry import fold, rollups
from engine.tenancy import system

log = logging.getLogger(__name__)

ENTRIES_AT_ONCE = 128
"""How many entries one read of the journal brings."""
READINGS_AT_ONCE = 5_000
"""How much one transaction takes, in readings."""
ENTRY_WEIGHS = 40
"""What an entry that is no telemetry weighs, in readings: following it may ask the database. News of alerts weigh 1."""
GOING_ON_WEIGHS = READINGS_AT_ONCE
"""What the rest of some rules' devices weighs: one such entry a transaction, in turns with what came meanwhile. A
second one would only be told again, as the first may use up what one transaction lets be looked at."""
DEVICES_REMEMBERED = 150_000
"""Some 260 MB where three rules watch three metrics of each (ADR 81)."""
POINTS_A_DEVICE = 20
STAYS_FROM = 50
"""A reader stays with its worker if so many devices or more talked: to load them costs more than to look again."""

KEPT_S = 1.0
"""So long no other worker takes what one comes back to."""

# What is kept for longer is from before the clock was set back.
_LEASE = text(
    """
    SELECT pos, turn, closed_to, shares, until FROM readers
    WHERE tenant_id = :tenant AND reader = :reader AND (
        kept_by IS NULL OR kept_by = :me OR kept_until NOT BETWEEN now() AND now() + 2 * make_interval(secs => :kept_s)
    ) FOR UPDATE SKIP LOCKED
    """
)
# Time that passed leaves the position where it is, and when the reader last came on; the turn is another all the same.
_MOVE = text(
    "UPDATE readers SET pos = :pos, turn = turn + 1, at = coalesce(CAST(:at AS timestamptz), at), "
    "kept_by = :kept_by, kept_until = clock_timestamp() + make_interval(secs => :kept_s) "
    "WHERE tenant_id = :tenant AND reader = :reader"
)
_LET_GO = text("UPDATE readers SET kept_by = NULL WHERE tenant_id = :tenant AND reader = :reader")
_ABOUT_DEVICES = presence.KINDS | {
    *("device.changed", "device.provisioned", "device.arrived", "device.event"),
    *("device.resumed", "device.released"),
}
"""Entries of which rules may make something, beside telemetry."""
ALERTS = "alert."
"""How the kinds of entries begin that tell watchers of alerts, and of which the drain makes nothing."""
_MADE_BY_RULES = frozenset({"telemetry", "device.changed"})
"""Entries that rules may have caused; they say which."""
# OFFSET 0: each is looked up by its own key. Of a fleet that was just registered, all of the profile's were read, and
# held against the whole list, which was parsed for each: 11 s for 1,500 of 10,000 devices. And the tenant stands in the
# list, where the planner does not see which one it is: of one that was not counted it expects no device at all, and
# takes any index that begins with the tenant for as good as the key.
_PROFILES = Reading(
    text(
        "SELECT CAST(w.id AS text) AS id, p.key, d.status "
        "FROM (SELECT CAST(:tenant AS uuid) AS tenant_id, unnest(CAST(:ids AS uuid[])) AS id) w "
        "CROSS JOIN LATERAL (SELECT d.tenant_id, d.profile_id, d.status FROM devices d "
        "WHERE d.tenant_id = w.tenant_id AND d.id = w.id OFFSET 0) d "
        "JOIN profiles p ON p.tenant_id = d.tenant_id AND p.id = d.profile_id"
    )
)


class Drain:
    """One worker's drain; what it keeps between transactions it can lose at any time.

    ``has_mail``: mail is set up, and owners hear of what they should know. ``sampler`` chooses where it is looked why
    rules did not fire. ``comes_back``: it lets a reader `stay` that it will ask for again, unasked, within a second.
    """

    def __init__(
        self, store: Store, *, has_mail: bool = False, sampler: Sampler | None = None, comes_back: bool = False
    ) -> None:
        self._store = store
        self._me, self._comes_back = uuid4(), comes_back
        self._has_mail = has_mail
        self._compiled = Compiled()
        self._memories: OrderedDict[tuple[UUID, int], Memory] = OrderedDict()
        self._readers: dict[UUID, int] = {}
        self._remembered = 0
        self._sampler = sampler or Sampler()

    async def run(self, tenant_id: UUID) -> int:
        """Drain one tenant's backlog, all of its readers'; returns how many journal entries they took.

        What is committed meanwhile has its own wake: chasing it would make many small transactions, and a device's
        row costs the same whether one of its readings is folded in or ten.
        """
        taken, number = 0, 0
        while number < self.readers(tenant_id):
            taken += (await self.turn(tenant_id, float("inf"), number))[0]
            number += 1
        return taken

    def readers(self, tenant_id: UUID) -> int:
        """How many readers shared the tenant's journal when this one last drained it."""
        return self._readers.get(tenant_id, 1)

    def stays(self, tenant_id: UUID, number: int) -> bool:
        """Whether the reader waits for this worker to come back: no other one takes it within a second (ADR 81)."""
        memory = self._memories.get((tenant_id, number))
        return memory is not None and memory.stays

    async def turn(self, tenant_id: UUID, turn_s: float, number: int = 0) -> tuple[int, bool]:
        """Let one of its readers drain for so long, at least one transaction; returns how many entries were taken and
        whether more wait.

        Whoever has a long backlog must not keep the others waiting: what is left is for the end of the queue.
        """
        taken, ahead, until = 0, Ahead(), time.monotonic() + turn_s
        while True:
            # Taken out while it is worked on: whatever goes wrong before COMMIT, it is not put back.
            memory = self._take((tenant_id, number))
            asked = {"tenant": tenant_id, "reader": readers.name(number), "me": self._me, "kept_s": KEPT_S}
            async with self._store.as_tenant(system(tenant_id)) as tx:
                lease = await tx.one(_LEASE, asked)
                if lease is None:  # what is known stays true where it was only asked for too often
                    memory.stays = False
                    if memory.stood is not None:
                        self._keep((tenant_id, number), memory)
                    return taken, False
                mine = share(number, lease["shares"])
                if memory.stood != (lease["pos"], lease["turn"]):
                    memory = Memory(mine)  # another worker has drained meanwhile, or let time pass
                ahead.use(mine, lease["until"])
                entries, is_more = await self._once(tx, ahead, memory, lease)
            self._shared_by(tenant_id, mine.of)
            self._keep((tenant_id, number), memory)
            taken += entries
            if memory.has_arrivals:  # whose life with their giver ends now, and not with the next chores
                await self._settle(tenant_id)
            if ahead.is_at_end(memory.stood):
                return taken, await self._reshare(tenant_id)
            if not is_more or time.monotonic() > until:
                return taken, is_more

    def _shared_by(self, tenant_id: UUID, count: int) -> None:
        if count > 1:
            self._readers[tenant_id] = count
        else:
            self._readers.pop(tenant_id, None)

    async def _reshare(self, tenant_id: UUID) -> bool:
        """It stands where the tenant's readers become more or fewer; says whether they have."""
        async with self._store.as_tenant(system(tenant_id)) as tx:
            return await readers.settle(tx)

    async def _settle(self, tenant_id: UUID) -> None:
        try:
            await transfer.settle(self._store, tenant_id)
        except Exception:  # what was drained stays drained, and the chores settle it again
            log.exception("drain.transfer_unsettled", extra={"tenant": str(tenant_id)})

    def _keep(self, reader: tuple[UUID, int], memory: "Memory") -> None:
        """Remember what was just committed, within bounds: the tenant drained longest ago is forgotten first."""
        self._take(reader)
        self._memories[reader] = memory
        self._remembered += memory.weight
        while self._remembered > DEVICES_REMEMBERED:
            self._take(next(iter(self._memories)))

    def _take(self, reader: tuple[UUID, int]) -> "Memory":
        memory = self._memories.pop(reader, None) or Memory()
        self._remembered -= memory.weight
        return memory

    async def _once(self, tx: Tx, ahead: "Ahead", memory: "Memory", lease: RowMapping) -> tuple[int, bool]:
        """One transaction's worth, from where the reader's row says that it stood; says whether there is more to do.

        Readings from before ``closed_to`` came late: their hours are made anew. Who waits for the tenant's other
        readers lets no time pass: there may be messages that came before it was over.
        """
        position, turn = memory.stood = lease["pos"], lease["turn"]
        if ahead.is_at_end(memory.stood):
            return 0, False
        entries = await ahead.take(tx, position)
        # Behind, time passes as far as it was read: no timer decides before a message that came before it was over.
        until = min(entries[-1].at, tx.now) if entries and ahead.has_more else tx.now
        ticked = await self._react(tx, [entry for entry in entries if _is_readable(entry)], memory, position, until)
        telemetry = [entry.body for entry in entries if entry.kind == "telemetry"]
        await rollups.note_late(tx, telemetry, lease["closed_to"])
        memory.has_arrivals = any(entry.kind == DeviceArrived.kind for entry in entries)
        if entries or ticked:
            pos, at = (entries[-1].pos, entries[-1].at) if entries else (position, None)
            if telemetry:  # of all devices, so of all readers: last, as whoever else counts waits until COMMIT
                await usage.came_in(tx, entries[-1].at, telemetry)
            if lease["until"] is None:
                pos, at = await _past_own_news(tx, pos, at)
            memory.stays = self._comes_back and lease["until"] is None and memory.is_worth_keeping
            moved = {"pos": pos, "at": at, "kept_by": self._me if memory.stays else None, "kept_s": KEPT_S}
            name = readers.name(memory.share.number)
            await tx.execute(_MOVE, {"tenant": tx.principal.tenant_id, "reader": name, **moved})
            memory.stood = pos, turn + 1
        elif memory.stays:
            memory.stays = False
            await tx.execute(_LET_GO, {"tenant": tx.principal.tenant_id, "reader": readers.name(memory.share.number)})
        return len(entries), ahead.has_more or ticked >= TICKS_AT_ONCE or memory.reaction.has_more

    async def _react(self, tx: Tx, entries: Sequence[Entry], memory: "Memory", position: int, until: datetime) -> int:
        telemetry = [entry.body for entry in entries if entry.kind == "telemetry"]
        talking = {reading[0] for body in telemetry for reading in body["r"]}
        memory.talked = len(talking)
        newest, reaction = memory.newest, memory.reaction
        rules = await self._compiled.of(tx)
        reaction.use(rules)
        if rules.starting or rules.of_devices or rules.of_presence or rules.of_events:
            talking |= {entry.body["device"] for entry in entries if entry.kind in _ABOUT_DEVICES}
        talking |= {entry.body["device"] for entry in entries if _says_why(entry)}
        due = await reaction.look_for_due(tx, until)
        await memory.meet(tx, talking | due, {e.body["device"] for e in entries if e.kind == "device.changed"})
        await reaction.load_due(tx)
        if any(entry.kind == "group.changed" for entry in entries):
            reaction.facts.forget()
        await remember(tx, reaction.facts, rules, newest, talking | due, position)
        for entry in entries:
            await _follow(tx, entry, reaction, newest, memory.profiles)
        ticked = reaction.tick(until)
        await fold.save(tx, newest)
        if telemetry:
            await fold.count(tx, entries[-1].at, telemetry)
        sessions = [entry for entry in entries if entry.kind in presence.KINDS]
        if sessions:
            await presence.follow(tx, sessions)
            came = [UUID(entry.body["device"]) for entry in sessions if entry.kind == presence.CONNECTED]
            if came:
                await devices.activate(tx, came)
        told = [entry for entry in entries if entry.kind in commands.KINDS]
        for entry in told:
            try:
                await commands.follow(tx, [entry])
            except ValueError:  # it says what commands do not know
                _skip(entry)
        for entry in entries:
            if self._has_mail and entry.kind == storms.RuleNoticed.kind:
                await storms.tell_owners(tx, entry)
        reaction.sample(self._sampler, tx.principal.tenant_id, tx.now, talking | due)
        reaction.facts.windows.evict(talking)
        await reaction.save(tx)
        return ticked


class Memory:
    """What one tenant's last drain here ended with: true as long as nobody else has had the reader since.

    Whoever takes entries or lets time pass counts the reader's turn up; ``stood`` is position and turn. It spares the
    next drain from loading, for every device that talks, what it has just stored.
    """

    def __init__(self, mine: Share = ALL) -> None:
        self.share = mine
        self.stood: tuple[int, int] | None = None
        self.talked = 0
        self.has_arrivals = self.stays = False
        self.newest = fold.Newest({})
        self.profiles: dict[str, str] = {}
        self.reaction = Reaction(self.newest, self.profiles, mine)

    @property
    def weight(self) -> int:
        """How much it takes, in devices; so many points of their histories count as one."""
        return len(self.profiles) + self.reaction.facts.windows.points // POINTS_A_DEVICE

    @property
    def is_worth_keeping(self) -> bool:
        """Whether loading it anew would cost much, and it is small enough to be kept."""
        return self.talked >= STAYS_FROM and self.weight <= DEVICES_REMEMBERED

    async def meet(self, tx: Tx, devices: set[str], changed: set[str]) -> None:
        """Load what is not yet known of these devices; of ``changed`` ones the profile anew."""
        for device in changed:
            self.reaction.forget(device)
            if device in self.profiles:
                await self._learn(tx, {device})
        strangers = devices - self.profiles.keys()
        if strangers:
            await fold.load(tx, self.newest, strangers)
            await self._learn(tx, strangers)
            await self.reaction.load(tx, sorted(strangers))

    async def _learn(self, tx: Tx, devices: set[str]) -> None:
        """The profile's key of each device, and whether it is in service."""
        rows = await tx.read(_PROFILES, {"tenant": tx.principal.tenant_id, "ids": ids.array(devices)})
        for row in rows:
            self.profiles[row["id"]] = row["key"]
            self.reaction.stands(row["id"], row["status"])


class Ahead:
    """What was read from the journal and not yet taken, so that a long backlog is fetched and parsed once."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._may_be_more = False
        self._share = ALL
        self._end: int | None = None

    def use(self, mine: Share, end: int | None) -> None:
        """From now on, what is of this share is taken, and nothing behind the position ``end``, where there is one."""
        if mine is not self._share:
            self._entries.clear()
        self._share, self._end = mine, end

    def is_at_end(self, stood: tuple[int, int] | None) -> bool:
        """Whether who stands there goes no further until the tenant's other readers have come there."""
        return self._end is not None and stood is not None and stood[0] >= self._end

    @property
    def has_more(self) -> bool:
        """Whether there may be a backlog: something was read and not taken, or the last read brought all it may, or is
        older than the transaction, whose time may pass only as far as it has read.
        """
        return bool(self._entries) or self._may_be_more

    async def take(self, tx: Tx, position: int) -> list[Entry]:
        """The entries after ``position``, up to about ``READINGS_AT_ONCE`` readings or what weighs as much.

        They are of one hour: what they tell is counted into it.
        """
        is_fresh = not self._entries or self._entries[0].pos != position + 1
        if is_fresh:
            await self._read(tx, position)
        taken: list[Entry] = []
        weight, began = 0, None
        while self._entries and weight < READINGS_AT_ONCE:
            hour = clock.hour_of(self._entries[0].at)
            if hour != (began := began or hour) or (self._end is not None and self._entries[0].pos > self._end):
                break
            entry = self._entries.popleft()
            weight += _weight(entry)
            taken.append(entry)
            if not self._entries and (self._may_be_more or not is_fresh) and weight < READINGS_AT_ONCE:
                await self._read(tx, entry.pos)
                is_fresh = True
        self._may_be_more |= not is_fresh
        return taken

    async def _read(self, tx: Tx, position: int) -> None:
        self._entries = deque(map(self._share.cut, await read.tail(tx, position, ENTRIES_AT_ONCE)))
        self._may_be_more = len(self._entries) == ENTRIES_AT_ONCE


def _weight(entry: Entry) -> int:
    if entry.kind == "telemetry":  # which may bring nothing but how much was refused, of some devices
        return len(entry.body["r"]) + len(entry.body["n"]) or 1
    if entry.kind == "rules.reached":
        return GOING_ON_WEIGHS
    return 1 if entry.kind == ELSEWHERE or entry.kind.startswith(ALERTS) else ENTRY_WEIGHS


async def _past_own_news(tx: Tx, pos: int, at: datetime | None) -> tuple[int, datetime | None]:
    """Where the reader stands once this transaction has told its own news.

    Of alerts nothing follows here. So where nothing else has come meanwhile, the next drain need not read them, and the
    tick need not wake one for them.
    """
    if tx.deeds or not tx.events or not all(event.kind.startswith(ALERTS) for event in tx.events):
        return pos, at
    count = len(tx.events)
    last = await tx.tell()
    return (last, tx.now) if last == pos + count else (pos, at)


def _is_readable(entry: Entry) -> bool:
    """Whether the entry can be followed. One that cannot must not hold up the tenant's others for ever."""
    if entry.kind == "telemetry" or is_sound(entry):
        return True
    _skip(entry)
    return False


def _skip(entry: Entry) -> None:
    log.error("drain.entry_unreadable", extra={"pos": entry.pos, "kind": entry.kind})


def _says_why(entry: Entry) -> bool:
    """Whether it is an edge's word for why a metric is bad."""
    if entry.kind != "device.event" or entry.body["type"] != points_told.FAILED:
        return False
    data = entry.body.get("data")
    return isinstance(data, dict) and isinstance(data.get("metric"), str) and isinstance(data.get("error"), str)


def _marks(body: Mapping[str, Any]) -> Iterable[Mapping[str, str] | None]:
    """Of each reading the quality of what is not good: where all is good, which is nearly always, an endless None."""
    doubted = body.get("q")
    return repeat(None) if doubted is None else [doubted.get(str(place)) for place in range(len(body["r"]))]


async def _follow(tx: Tx, entry: Entry, reaction: Reaction, newest: fold.Newest, profiles: dict[str, str]) -> None:
    """What one entry leads to, in the journal's order."""
    body: dict[str, Any] = entry.body
    reaction.led_by = tuple(body.get("by") or ()) if entry.kind in _MADE_BY_RULES else ()
    match entry.kind:
        case "telemetry":
            for (device, at_ms, seq, received_ms, values), marks in zip(body["r"], _marks(body), strict=False):
                reaction.read(profiles.get(device), device, at_ms, seq, values, received_ms)
                newest.learn(device, at_ms, received_ms, values, marks)
            for device, reasons in body.get("w", {}).items():
                for metric, reason in reasons.items():
                    newest.explain(device, metric, reason)
        case "rule.changed":
            reaction.rule_changed(body["rule"])
        case "device.changed":
            await reaction.device_changed(tx, body["device"])
        case "device.provisioned" | "device.arrived":
            await reaction.device_changed(tx, body["device"], is_new=True)
        case "group.changed":
            reaction.group_changed(body["group"])
        case "tenant.time_zone_set":
            reaction.zone_changed(body["time_zone"], clock.to_ms(entry.at))
        case "rules.reached":
            for told in body["rest"]:
                reaction.go_on(told)
        case "device.connected" | "device.disconnected":
            reaction.presence(body["device"], entry.kind == "device.connected", body["epoch"], entry.at)
        case "device.event":
            if _says_why(entry):
                newest.explain(body["device"], body["data"]["metric"], body["data"]["error"])
            reaction.happen(body["device"], body["type"], entry.at)
        case "device.decommissioned":
            await reaction.device_gone(tx, body["device"])
            await commands.device_gone(tx, UUID(body["device"]))
        case refusals.REFUSED:
            refusals.follow(tx, body)
        case Settled.kind:
            await inbox.follow(tx, entry)
        case points_told.SAID:
            try:
                await points.follow(tx, body)
            except ValueError:  # it says what no edge says
                _skip(entry)
        case "device.suspended" | "device.quarantined":
            reaction.device_out(body["device"])
        case "device.resumed" | "device.released":
            reaction.device_back(body["device"], tx.now)
