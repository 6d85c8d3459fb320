"""Passwords: which are good enough, how they are hashed and checked, and how often one may try."""

import asyncio
import time
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from secrets import token_bytes

from argon2 import PasswordHasher, profiles
from argon2.exceptions import InvalidHashError, VerificationError

from engine.store.tx import Tx
from engine.tenants import errors
from engine.tenants.person import Person, myself, secure

TRIES, TRIES_WINDOW_S = 10, 60.0
WIDE_TRIES = 100  # one network address for anybody (an office may share it), one e-mail address from anywhere
SHORTEST, LONGEST = 12, 200
_FEWEST_DIFFERENT = 5

# Those of 12 characters and more that lists of leaked passwords begin with; shorter ones are refused anyway.
_FIRST_TRIED = """
123456789012 1234567890123 12345678901234 123456789abc 1234567890ab 1q2w3e4r5t6y 1q2w3e4r5t6y7u8i 1qaz2wsx3edc
1qaz2wsx3edc4rfv qwertyuiop12 qwertyuiop123 qwertyuiop[] qwertyuiopasdf qwerty123456 qwerty1234567 asdfghjkl123
abcdefghijkl abcdef123456 abcd12345678 abc123456789 a1b2c3d4e5f6 password1234 password12345 password123456
password123! passwordpassword password2024 password2025 password2026 passw0rd1234 p@ssw0rd1234 p@ssword1234
adminadminadmin administrator administrator1 admin1234567 changemeplease changeme1234 letmeinletmein letmein12345
welcome12345 welcome123456 iloveyou1234 iloveyouforever princess1234 football1234 baseball1234 superman1234
sunshine1234 trustno1trustno1 correcthorsebatterystaple monkey123456 dragon123456 google123456 zaq12wsxcde3
"""
COMMONEST = frozenset(_FIRST_TRIED.split())

COST = profiles.RFC_9106_LOW_MEMORY
_hasher = PasswordHasher.from_parameters(COST)
# argon2id takes 64 MiB and most of a core each: two at a time is what a small machine bears
_hashing = asyncio.Semaphore(2)
MOST_WAITING = 64  # a few seconds' work; whoever comes then is told so at once, instead of waiting without end


def _of_nobody() -> str:
    """A hash made by chance and of no password: to make one would cost every start of a process a sign-in's work."""
    salt, digest = (b64encode(token_bytes(size)).decode().rstrip("=") for size in (COST.salt_len, COST.hash_len))
    return f"$argon2id$v={COST.version}$m={COST.memory_cost},t={COST.time_cost},p={COST.parallelism}${salt}${digest}"


# for addresses nobody has: checking takes as long, so the time does not tell who exists
_NOBODY = _of_nobody()


class Throttle:
    """Counts the failures of the last minute, per process."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}

    def check(self, who: str, tries: int = TRIES) -> None:
        """Raises TooManyTries while ``who`` has failed so often within a minute."""
        failures = self._failures.get(who)
        if failures is None:
            return
        while failures and failures[0] < time.monotonic() - TRIES_WINDOW_S:
            failures.popleft()
        if len(failures) >= tries:
            raise errors.TooManyTries

    def failed(self, who: str) -> None:
        """Remember one failure of ``who``."""
        if len(self._failures) > 10_000:  # bounded: the oldest are forgotten first
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(who, deque(maxlen=WIDE_TRIES)).append(time.monotonic())


throttle = Throttle()


class SignIn:
    """One try to sign in: few for one e-mail address from one network address, more for either of them alone.

    Else many addresses could try one person's password, or one address everybody's (password spraying).
    """

    def __init__(self, email: str, address: str) -> None:
        person = email.strip().lower()[:254]
        self._who = f"{person}|{address}"
        self._wide = [f"{person} from anywhere", *([f"anybody from {address}"] if address else [])]

    def check(self) -> None:
        """Raises TooManyTries."""
        throttle.check(self._who)
        for who in self._wide:
            throttle.check(who, WIDE_TRIES)

    def failed(self) -> None:
        """Remember that it failed."""
        for who in (self._who, *self._wide):
            throttle.failed(who)


_waiting = 0


@asynccontextmanager
async def _turn() -> AsyncIterator[None]:
    global _waiting
    if _waiting >= MOST_WAITING:
        raise errors.SigningInBusy
    _waiting += 1
    try:
        async with _hashing:
            yield
    finally:
        _waiting -= 1


async def hash_password(password: str) -> str:
    """The argon2id hash of ``password``. Raises SigningInBusy."""
    async with _turn():
        return await asyncio.to_thread(_hasher.hash, password)


async def is_right(password_hash: str | None, password: str) -> bool:
    """Whether ``password`` is the one hashed; takes as long for nobody (None) as for somebody. Raises SigningInBusy."""
    async with _turn():
        try:
            right = await asyncio.to_thread(_hasher.verify, password_hash or _NOBODY, password)
        except (VerificationError, InvalidHashError):
            return False
    return right and password_hash is not None


def refuse_weak(password: str, email: str) -> None:
    """Raises PasswordWeak for one that is too short, too long, the e-mail address, or among the first to be tried."""
    said = password.strip().lower()
    if not SHORTEST <= len(password) <= LONGEST or len(set(said)) < _FEWEST_DIFFERENT:
        raise errors.PasswordWeak
    if said in COMMONEST or said in (email.lower(), email.lower().partition("@")[0]):
        raise errors.PasswordWeak


async def ask_password(person: Person, password: str) -> None:
    """Raises PasswordWrong unless it is theirs, and TooManyTries."""
    who = f"password|{person.id}"
    throttle.check(who)
    if not await is_right(person.password_hash, password):
        throttle.failed(who)
        raise errors.PasswordWrong


async def change(tx: Tx, *, current: str, new: str) -> int:
    """Give whoever acts a new password; returns how many of their other sessions that ended, in all their tenants.

    Raises NotAPerson, TooManyTries, PasswordWrong, PasswordWeak.
    """
    person, _ = await myself(tx)
    await ask_password(person, current)
    refuse_weak(new, person.email)
    session = tx.principal.session_id
    keep = str(session) if session else None
    ended = await secure(tx, person, password_hash=await hash_password(new), keep=keep)
    if ended is None:
        raise errors.PasswordWrong
    tx.audit("password.change", "user", person.id, after={"sessions_ended": ended})
    return ended
