"""Each message protected by itself (OSCORE, RFC 8613): a request is opened, counted once, and answered in kind.

The cryptography is aiocoap's. What a message has used up is not kept in this process but where all processes see it
(`keeper.Keeper`), and before the message counts: so what was taken counts nowhere again, after whatever crash. An
answer is protected with the number of its request, which was used up for it alone; a notification needs a number of
ours, and the keeper gives those out in ranges that nobody is given twice.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final

from aiocoap import Message, oscore
from aiocoap.numbers.codes import Code
from aiocoap.numbers.optionnumbers import OptionNumber as Option

from engine.provisioning.contexts import KID_BYTES, OUR_ID
from ingest.adapters.coap.answers import NO_PROXY, refusal
from ingest.adapters.coap.keeper import Found, Keeper, NotOpened
from ingest.adapters.http.login import Proof

MOST_CONTEXTS: Final = 20_000
"""Whose keys are kept in one process; those of others are asked for again."""
_PIV_BYTES: Final = 5
_ALGORITHM: Final = oscore.algorithms["AES-CCM-16-64-128"]
_HASH: Final = oscore.hashfunctions["sha256"]
_CODES: Final = (Code.POST, Code.FETCH)
_OUTSIDE: Final = frozenset(
    {Option.OSCORE, Option.URI_HOST, Option.URI_PORT}
    | {Option.URI_PATH, Option.URI_QUERY, Option.ACCEPT, Option.IF_MATCH, Option.IF_NONE_MATCH}  # which say nothing
)

METHOD: Final = refusal(Code.METHOD_NOT_ALLOWED, "A protected request is a POST, or a FETCH that observes.")
BLOCKS: Final = refusal(Code.BAD_OPTION, "Blocks belong inside what is protected.")
NOT_COSE: Final = refusal(Code.BAD_OPTION, "Failed to decode COSE.")
# each the same for whoever guesses, and never to be kept by somebody between (RFC 8613, section 8.2)
UNKNOWN: Final = refusal(Code.UNAUTHORIZED, "Security context not found.", 0)
NOT_DECRYPTED: Final = refusal(Code.BAD_REQUEST, "Decryption failed.", 0)
REPLAYED: Final = refusal(Code.UNAUTHORIZED, "Replay detected.", 0)


class _Seen(oscore.ReplayWindow):  # type: ignore[misc, unused-ignore]
    """What the keeper is known to have struck, so that it need not be asked again."""

    def __init__(self) -> None:
        super().__init__(oscore.DEFAULT_WINDOWSIZE, lambda: None)
        self.initialize_empty()

    def strike_out(self, number: int) -> None:
        """Nothing yet: the keeper is asked first."""

    def struck(self, number: int) -> None:
        """The keeper has it."""
        if self.is_valid(number):
            super().strike_out(number)


class _Context(oscore.CanProtect, oscore.CanUnprotect, oscore.SecurityContextUtils):  # type: ignore[misc, unused-ignore]
    """The keys of one device (RFC 8613, section 3.2)."""

    echo_recovery = None
    id_context = None
    alg_aead = _ALGORITHM
    hashfun = _HASH

    def __init__(self, found: Found) -> None:
        self.found = found
        self.sender_id, self.recipient_id = OUR_ID, found.kid
        self.derive_keys(b"", found.master)
        self.recipient_replay_window = _Seen()
        self.own: list[int] = []

    def new_sequence_number(self) -> int:
        """A number of ours; whoever protects has seen to it that there is one."""
        if not self.own:
            raise oscore.ContextUnavailable("no number was reserved")
        return self.own.pop()

    def post_seqnoincrease(self) -> None:
        """It was used up when it was reserved."""


class Opened:
    """A request that was protected, and the way back to who sent it."""

    def __init__(self, request: Message, context: _Context, identifiers: Any, keeper: Keeper) -> None:
        self.request = request
        self._context = context
        self._identifiers = identifiers
        self._keeper = keeper

    @property
    def proof(self) -> Proof:
        """By what its sender is let in."""
        return self._context.found.proof

    def answered(self, answer: Message) -> Message:
        """The one answer to this request, protected with its number."""
        observe = answer.opt.observe
        return self._protected(answer, observe)

    async def notified(self, answer: Message) -> Message:
        """A notification, protected with a number of ours. Raises Refused("unavailable")."""
        if not self._context.own:
            self._context.own = [*reversed(await self._keeper.reserve(self._context.found)), *self._context.own]
        self._identifiers.can_reuse_nonce = False
        return self._protected(answer, answer.opt.observe)

    def _protected(self, answer: Message, observe: int | None) -> Message:
        if observe is not None:
            answer.opt.observe = 0  # the order is that of the numbers (section 4.1.3.5.2)
        protected, _ = self._context.protect(answer, self._identifiers)
        protected.opt.observe = observe
        return protected


class Protection:
    """Opens what devices have protected, with keys that are kept, within bounds."""

    def __init__(self, keeper: Keeper, most: int = MOST_CONTEXTS) -> None:
        self._keeper = keeper
        self._most = most
        self._contexts: OrderedDict[bytes, _Context] = OrderedDict()

    async def open(self, request: Message) -> Opened:
        """What is in a protected request; its number is used up. Raises NotOpened, Refused("unavailable")."""
        context = await self._context(_kid(request))
        number = int.from_bytes(oscore.verify_start(request)[oscore.COSE_PIV])
        try:
            inner, identifiers = context.unprotect(request)
        except oscore.ReplayError:
            raise NotOpened(REPLAYED) from None
        except Exception:  # an invalid tag, or options that are none
            raise NotOpened(NOT_DECRYPTED) from None
        is_first = await self._keeper.strike(context.found, number)
        context.recipient_replay_window.struck(number)
        if not is_first:
            raise NotOpened(REPLAYED)
        inner.token = request.token
        if request.opt.observe == 1:  # the library keeps only the wish to begin
            inner.opt.observe = 1
        return Opened(inner, context, identifiers, self._keeper)

    async def _context(self, kid: bytes) -> _Context:
        context = self._contexts.get(kid)
        if context is None:
            found = await self._keeper.find(kid)
            if found is None:
                raise NotOpened(UNKNOWN)
            context = self._contexts.get(kid) or _Context(found)  # somebody may have come first, with the same numbers
            self._contexts[kid] = context
            if len(self._contexts) > self._most:
                self._contexts.popitem(last=False)
        self._contexts.move_to_end(kid)
        return context


def _kid(request: Message) -> bytes:
    """The kid of a request that may be opened. Raises NotOpened."""
    if request.code not in _CODES:
        raise NotOpened(METHOD)
    for option in request.opt.option_list():
        if option.number in (Option.PROXY_URI, Option.PROXY_SCHEME):
            raise NotOpened(NO_PROXY)
        if option.number.is_critical() and option.number not in _OUTSIDE:
            raise NotOpened(BLOCKS if option.number in (Option.BLOCK1, Option.BLOCK2) else NOT_COSE)
    try:
        said = oscore.verify_start(request)
    except Exception:  # shorter than it says, or bits that mean nothing yet
        raise NotOpened(NOT_COSE) from None
    piv, kid = said.pop(oscore.COSE_PIV, b""), said.pop(oscore.COSE_KID, b"")
    if not 1 <= len(piv) <= _PIV_BYTES or oscore.COSE_COUNTERSIGNATURE0 in said:
        raise NotOpened(NOT_COSE)
    if len(kid) != KID_BYTES or said:  # no context of ours is of a group, or has an ID Context
        raise NotOpened(UNKNOWN)
    return bytes(kid)
