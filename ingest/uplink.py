"""The way of a message: recognise → decode → normalise → accept → batch; the writer tells its verdict after COMMIT."""

import asyncio
import logging
from collections.abc import Callable, Mapping

from ingest import aside, decode, notes
from ingest.adapters.base import ChildMessage, Decision, Message, Verdict
from ingest.batch import Known, Parcel, Rest, Row, Sent, as_row
from ingest.children import PREFIX, STATUS, Children
from ingest.directory import Directory
from ingest.errors import LeftOut, Rejection, shown
from ingest.metrics import MESSAGES
from ingest.normaliser import Left, check_clock, normalise
from ingest.quota import Allowance, Quota
from ingest.repeats import Repeats, Told
from ingest.writer import Writer
from schema.wire import topics
from schema.wire.payloads import Reason

log = logging.getLogger(__name__)

_LOOK_AGAIN_S = 0.05
_BYTES_A_PLACE = 4_096
"""A parked message takes a place, and a further one for each so many bytes: so places bound the memory too."""

Done = Callable[[Verdict], None]


class Pipeline:
    """The `Uplink` that adapters feed; knows a device after its first message and then works without waiting."""

    def __init__(
        self,
        directory: Directory,
        writer: Writer,
        quota: Quota | None = None,
        *,
        children: Children | None = None,
        max_parked: int = 20_000,
    ) -> None:
        self._directory = directory
        self._writer = writer
        self._quota = quota or Quota()
        self._children = children
        self._max_parked = max_parked
        self._parked = 0
        self._repeats = Repeats()
        self._told = Told()

    def submit(self, message: Message, done: Done) -> None:
        """Take a message; `done` hears its verdict once, after COMMIT or refusal."""
        device = self._directory.find(message.device)
        if device is None:
            self._park(message, done)
        else:
            self._take(device, message, done)

    def reject(self, message: Message, reason: Reason, words: str, done: Done) -> None:
        """Take a message that cannot be read: it is counted, lies in the inbox as it came, and `done` hears so."""

        def heard(device: Known | Verdict) -> None:
            if not isinstance(device, Known):
                done(device)
            elif not self._quota.takes(device):
                MESSAGES.labels("quota").inc()
                self._writer.refuse(device)
                asyncio.get_running_loop().call_soon(done, Verdict.QUOTA)
            else:
                at_us = int(message.received_at * 1e6)
                parcel = Parcel(device, done, at_us, message.topic, message.transport, len(message.payload))
                parcel.rejections.append((Rejection(reason, words), message.payload))
                self._writer.put(parcel)

        known = self._directory.find(message.device)
        if known is not None:
            heard(known)
        else:
            self._directory.ask(message.device, heard)

    def refused(self, device: Decision, why: str) -> None:
        """An adapter refused a message by itself (rights): it is counted with the device."""
        MESSAGES.labels("refused_" + why).inc()
        known = self._directory.find(device)
        if known is not None:
            self._writer.refuse(known)
        else:
            self._directory.ask(device, lambda found: self._writer.refuse(found) if isinstance(found, Known) else None)

    def allowance(self, device: Decision) -> Allowance:
        """What the device's tenant may still send; an adapter that can pause reads it after each message."""
        return self._quota.allowance(device.tenant_id)

    def may_send(self, device: Decision) -> bool:
        """Whether a message of this device would be within its quota; of a device not yet known nobody says no."""
        known = self._directory.find(device)
        return known is None or self._quota.has_some(known)

    @property
    def is_full(self) -> bool:
        """Whether adapters shall stop reading."""
        return self._writer.is_full or self._parked >= self._max_parked

    def when_drained(self, callback: Callable[[], None]) -> None:
        """Call back once when `is_full` has become false."""
        self._writer.when_drained(lambda: self._call_when_unparked(callback))

    def _call_when_unparked(self, callback: Callable[[], None]) -> None:
        if self.is_full:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self.when_drained, callback)
        else:
            callback()

    def _take(self, device: Known, message: Message, done: Done) -> None:
        if not self._quota.takes(device) and not self._quota.lends(device, message.device):
            MESSAGES.labels("quota").inc()
            self._writer.refuse(device)
            asyncio.get_running_loop().call_soon(done, Verdict.QUOTA)
            return
        received_us = int(message.received_at * 1e6)
        parcel = Parcel(
            device, done, received_us, message.topic, message.transport, len(message.payload), message.encoding
        )
        if message.arrived_at is not None:
            parcel.arrived_us = int(message.arrived_at * 1e6)
        stamp_us = self._repeats.first_us(message, received_us) if message.dup else received_us
        try:
            stamped = fill(parcel, message, stamp_us // 1000)
            if stamped:
                self._repeats.remember(message, stamp_us)
            elif stamped is None:
                if message.topic.startswith(PREFIX):
                    self._pass_on(device, message, done)
                    return
                self._tell_once(parcel, message)
        except Exception:  # a mistake of ours: it must cost this message only
            log.exception("ingest.unreadable", extra={"device": device.device_text})
            parcel.readings.clear()
            parcel.rejections[:] = [(Rejection(Reason.UNSTORABLE, "The message could not be read."), message.payload)]
        self._quota.pay(device, parcel.readings)
        self._writer.put(parcel)

    def _pass_on(self, gateway: Known, message: Message, done: Done) -> None:
        """What a gateway says for a child is the child's, and goes by the child's quota."""
        self._quota.gives_back(gateway)
        children = self._children
        child, _, rest = message.topic.removeprefix(PREFIX).partition("/")
        if children is None or topics.parse_tail(message.topic) is None:
            self.reject(message, Reason.TOPIC, f"Nothing takes {shown(message.topic)}.", done)
            return
        places = 1 + len(message.payload) // _BYTES_A_PLACE
        self._parked += places

        def heard(found: Decision | Verdict | None) -> None:
            self._parked -= places
            if isinstance(found, Decision):
                said = ChildMessage.of(message, found, f"up/{rest}")
                if children.heard(said):
                    self.submit(said, self._or_again(children, said, done) if said.topic == STATUS else done)
                else:
                    asyncio.get_running_loop().call_soon(done, Verdict.DUPLICATE)
            elif found is None:
                words = f"No device {child} in service has the label gateway={message.device.device}."
                self.reject(message, Reason.CHILD, words, done)
            else:
                done(found)

        children.ask(message.device, child, heard)

    @staticmethod
    def _or_again(children: Children, said: ChildMessage, done: Done) -> Done:
        """`done`, for a status: one that was not kept is said again, and that is no repeat."""

        def heard(verdict: Verdict) -> None:
            if verdict in (Verdict.QUOTA, Verdict.UNAVAILABLE):
                children.not_taken(said)
            done(verdict)

        return heard

    def _tell_once(self, parcel: Parcel, message: Message) -> None:
        """Let an event that is stored be known again when it is repeated; an answer says which command it is of."""
        parcel.once = None
        if parcel.note is None or parcel.note[0] != notes.EVENT:
            return
        parcel.once = once = self._told.once(message, has_time=notes.has_time(parcel.note))
        if once is not None:
            done = parcel.done

            def heard(verdict: Verdict) -> None:
                if verdict is Verdict.STORED:
                    once.remember()
                done(verdict)

            parcel.done = heard

    def _park(self, message: Message, done: Done) -> None:
        """The device's profile must be read first; later messages of the device queue behind this one."""
        places = 1 + len(message.payload) // _BYTES_A_PLACE
        self._parked += places

        def heard(found: Known | Verdict) -> None:
            self._parked -= places
            if isinstance(found, Known):
                self._take(found, message, done)
            else:
                done(found)

        self._directory.ask(message.device, heard)


def fill(parcel: Parcel, message: Message, stamp_ms: int) -> bool | None:
    """Decode and normalise a message into its parcel: every reading becomes a row to be, or a rejection.

    A reading without a time gets `stamp_ms`; True when there was one, None when it is no telemetry.
    """
    payload = message.payload
    if message.topic != "up/telemetry" and not _is_telemetry(message.topic):
        _note(parcel, message)
        return None
    try:
        document = decode.load(payload)
        if type(document) is not list:
            return read(parcel, document, payload, stamp_ms, is_alone=True)
        items = decode.split(document)
    except Rejection as rejection:
        parcel.rejections.append((rejection, payload))
        return False
    stamped = 0
    for item in items:
        stamped += read(parcel, item, item, stamp_ms, is_alone=False)
    return stamped > 0


def _note(parcel: Parcel, message: Message) -> None:
    """What is no telemetry: an answer, an event, or nothing that anybody takes; a child's is left for later."""
    if message.topic.startswith(PREFIX):
        return
    try:
        parcel.note = notes.read(message, parcel.device.device_text)
    except Rejection as rejection:
        parcel.rejections.append((rejection, message.payload))


def read(parcel: Parcel, item: object, sent: Sent, stamp_ms: int, *, is_alone: bool) -> bool:
    """One reading into its parcel; True when it had no time of its own."""
    try:
        time_ms, seq, values, said = decode.reading(item, is_alone=is_alone)
        quality, source = b"", parcel.source
        if said is None:
            kept, left = normalise(parcel.device.shape, values)
        else:
            kept, marks, left = aside.judge(parcel.device.shape, values, said)
            quality = aside.written(marks)
            source = aside.wire(parcel.transport, parcel.encoding, aside.via(said))
        is_stamped = time_ms is None
        if time_ms is None:
            time_ms = stamp_ms
        else:
            check_clock(time_ms, parcel.received_us // 1000, parcel.device.shape.kept_ms)
        canonical = decode.canonical(kept)
        if seq is None:
            # of what was sent: the profile may change between a message and its repeat
            seq = decode.implied_seq((canonical if kept is values else decode.canonical_as_sent(values)) + quality)
        row = as_row((parcel.device, time_ms, seq, parcel.received_us, canonical, quality, source, sent))
        if left:
            whole = decode.canonical_as_sent({**kept, **{key: values[key] for key in left}})
            row = _partial(parcel, row, {} if said is None else marks, left, whole)
        parcel.readings.append(row)
    except Rejection as rejection:
        parcel.rejections.append((rejection, sent))
        return False
    return is_stamped


def _partial(parcel: Parcel, row: Row, marks: Mapping[str, str], left: Left, whole: bytes) -> Row:
    """The row of a reading of which some metrics are left out: it says so, and which of them are bad (ADR 79)."""
    quality, source = aside.marked(parcel.device.shape, marks, left), aside.partial(row.source)
    stored = row._replace(quality=quality, source=source)
    parcel.leave_out(stored, LeftOut(left, row.time_ms, row.seq, whole, row.quality))
    return stored


def complete(parcel: Parcel, item: object, sent: Sent, rest: Rest, *, is_alone: bool) -> None:
    """What was left out of a reading, into its parcel: a row of its own beside the one that was stored (ADR 79).

    Its seq follows from that row's and from what it says, so whoever comes to it twice makes one row. Raises Rejection.
    """
    _, _, sent_values, said = decode.reading(item, is_alone=is_alone)
    said = said or {}
    values = {key: sent_values[key] for key in rest.metrics if key in sent_values}
    marks = {key: word for key, word in aside.marks_of(sent_values, said.get("quality")).items() if key in values}
    kept, left = aside.sifted(parcel.device.shape, values, marks)
    quality = aside.written({key: word for key, word in marks.items() if key not in left})
    if not kept and not quality:
        raise LeftOut(left, rest.time_ms, rest.seq) if left else Rejection(Reason.EMPTY, "Nothing was left out of it.")
    canonical = decode.canonical(kept)
    seq = decode.implied_seq(b"%d %b%b" % (rest.seq, canonical, quality))
    source = aside.wire(parcel.transport, parcel.encoding, aside.via(said))
    row = as_row((parcel.device, rest.time_ms, seq, parcel.received_us, canonical, quality, source, sent))
    parcel.readings.append(row)
    if left:
        parcel.leave_out(row, LeftOut(left, rest.time_ms, rest.seq))


def _is_telemetry(topic: str) -> bool:
    tail = topics.parse_tail(topic)
    return tail is not None and tail.name in ("telemetry", "telemetry_stream")
