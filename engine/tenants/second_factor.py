"""The second factor: one-time codes by time (TOTP, RFC 6238), and recovery codes for when the phone is gone."""

import base64
import binascii
import hmac
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import orjson
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.twofactor.hotp import HOTP
from cryptography.hazmat.primitives.twofactor.totp import TOTP

from engine import ids
from engine.errors import Unavailable
from engine.store.tx import Tx
from engine.tenants import errors
from engine.tenants.passwords import ask_password, throttle
from engine.tenants.person import Person, myself, secure

STEP_S, DIGITS = 30, 6
RECOVERY_CODES = 10
CHALLENGE_S = 300
_SECRET_BYTES, _RECOVERY_BYTES = 20, 10
_STEP_PURPOSE = b"tidegate second step 1"


class Vault(Protocol):
    """Where secrets are sealed before they go to the database (engine.certificates.vault has the real ones)."""

    async def seal(self, plain: bytes, purpose: bytes) -> bytes:
        """``plain``, unreadable and bound to ``purpose``."""
        ...

    async def open(self, sealed: bytes, purpose: bytes) -> bytes:
        """What was sealed for ``purpose``; raises an EngineError otherwise."""
        ...


@dataclass(frozen=True, slots=True)
class Challenge:
    """That somebody has proven their password a moment ago."""

    email: str
    tenant_key: str | None
    proof: str

    def is_for(self, row: Mapping[str, Any]) -> bool:
        """Whether this row of the door ``login`` is what was proven: that tenant, and still that password."""
        return self.tenant_key in (None, row["tenant_key"]) and hmac.compare_digest(
            self.proof, _proof(row["password_hash"])
        )


def code_at(secret: bytes, step: int, digits: int = DIGITS) -> str:
    """The code of one step of ``STEP_S`` seconds since 1970 (RFC 4226 with the step as its counter)."""
    return HOTP(secret, digits, SHA1(), enforce_key_length=False).generate(step).decode()  # noqa: S303  as apps do


def matching_step(secret: bytes, code: str, now_s: float, after_step: int) -> int | None:
    """The step that ``code`` belongs to: this one or a neighbour, for clocks that differ; later than ``after_step``."""
    here = int(now_s // STEP_S)
    found = [step for step in (here - 1, here, here + 1) if hmac.compare_digest(code_at(secret, step), code)]
    return next((step for step in found if step > after_step), None)


async def enrol(tx: Tx, vault: Vault, *, password: str) -> tuple[str, str]:
    """A new secret for whoever acts, in base32 and as an ``otpauth:`` URI; it counts once it is confirmed.

    Raises NotAPerson, PasswordWrong, TooManyTries, SecondFactorPresent.
    """
    person, _ = await myself(tx)
    await ask_password(person, password)
    if person.has_second_factor:
        raise errors.SecondFactorPresent
    secret = os.urandom(_SECRET_BYTES)
    await _change(tx, person, totp=(await vault.seal(secret, _purpose(person))).hex(), totp_since=None, recovery=[])
    uri = TOTP(secret, DIGITS, SHA1(), STEP_S).get_provisioning_uri(person.email, "Tidegate")  # noqa: S303  as apps do
    return base64.b32encode(secret).decode(), uri


async def confirm(tx: Tx, vault: Vault, *, code: str) -> tuple[list[str], int]:
    """Turn the second factor on with its first code; the recovery codes, and how many other sessions that ended.

    Raises NotAPerson, NoSecondFactor, SecondFactorPresent, CodeWrong, TooManyTries.
    """
    person, _ = await myself(tx)
    if person.has_second_factor:
        raise errors.SecondFactorPresent
    if person.totp is None:
        raise errors.NoSecondFactor
    step = await _step(vault, person, code)
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    ended = await _change(
        tx,
        person,
        totp_since=tx.now.isoformat(),
        totp_step=step,
        recovery=[_recovery_digest(each) for each in codes],
        keep=str(tx.principal.session_id) if tx.principal.session_id else None,
    )
    tx.audit("second_factor.on", "user", person.id, after={"sessions_ended": ended})
    await _tell_operator(tx)
    return codes, ended


async def remove(tx: Tx, vault: Vault, *, password: str, code: str) -> None:
    """Turn the second factor off. Raises NotAPerson, PasswordWrong, CodeWrong, TooManyTries, NoSecondFactor."""
    person, _ = await myself(tx)
    await ask_password(person, password)
    if not person.has_second_factor:
        raise errors.NoSecondFactor
    await prove(tx, vault, person, code)
    await _change(tx, person, totp=None, totp_since=None, recovery=[])
    tx.audit("second_factor.off", "user", person.id)
    await _tell_operator(tx)


async def renew_recovery(tx: Tx, vault: Vault, *, password: str, code: str) -> list[str]:
    """New recovery codes for whoever acts; the old ones are worthless. ``code`` may be the app's or an old one.

    Raises NotAPerson, PasswordWrong, CodeWrong, TooManyTries, NoSecondFactor.
    """
    person, _ = await myself(tx)
    await ask_password(person, password)
    if not person.has_second_factor:
        raise errors.NoSecondFactor
    await prove(tx, vault, person, code)
    codes = [_recovery_code() for _ in range(RECOVERY_CODES)]
    await _change(tx, person, recovery=[_recovery_digest(each) for each in codes])
    tx.audit("second_factor.renew", "user", person.id)
    return codes


async def prove(tx: Tx, vault: Vault | None, person: Person, code: str) -> None:
    """Spend a code of ``person``, from the app or for recovery, in ``tx``; nothing to do where there is no factor.

    Raises SecondFactorNeeded, CodeWrong (also for a code that was good before), TooManyTries.
    """
    if not person.has_second_factor:
        return
    if not code.strip():
        raise errors.SecondFactorNeeded
    clean = "".join(code.split()).replace("-", "").lower()
    if len(clean) == DIGITS and clean.isdecimal():
        spent = await secure(tx, person, totp_step=await _step(vault, person, clean))
    else:
        throttle.check(_who(person))
        spent = await secure(tx, person, spend=ids.fingerprint(clean).hex())
        if spent is not None:
            tx.audit("second_factor.recover", "user", person.id, after={"codes_left": person.recovery_left - 1})
    if spent is None:
        throttle.failed(_who(person))
        raise errors.CodeWrong


async def challenge(vault: Vault, person: Person, tenant_key: str | None) -> str:
    """A sealed note that ``person`` has proven their password, good for ``CHALLENGE_S`` seconds."""
    said = [person.email, tenant_key, _proof(person.password_hash), int(time.time()) + CHALLENGE_S]
    return base64.urlsafe_b64encode(await vault.seal(orjson.dumps(said), _STEP_PURPOSE)).decode()


async def met(vault: Vault, note: str) -> Challenge | None:
    """What a note of ``challenge`` says, or None: it is none of ours, or too old."""
    try:
        sealed = base64.b64decode(note, altchars=b"-_", validate=True)
        email, tenant_key, proof, until = orjson.loads(await vault.open(sealed, _STEP_PURPOSE))
    except (binascii.Error, ValueError, Unavailable):
        return None
    return Challenge(email, tenant_key, proof) if time.time() < until else None


async def _step(vault: Vault | None, person: Person, code: str) -> int:
    throttle.check(_who(person))
    assert person.totp is not None
    if vault is None:
        raise errors.SecondFactorNeeded
    secret = await vault.open(person.totp, _purpose(person))
    step = matching_step(secret, code, time.time(), person.totp_step) if code.isascii() else None
    if step is None:
        throttle.failed(_who(person))
        raise errors.CodeWrong
    return step


async def _change(tx: Tx, person: Person, **change: Any) -> int:
    ended = await secure(tx, person, **change)
    if ended is None:  # the password was changed, or the code used, at this very moment
        raise errors.CodeWrong
    return ended


async def _tell_operator(tx: Tx) -> None:
    """What an operator may do hangs on their second factor: have their session looked up anew, at once."""
    if tx.principal.session_id and (tx.principal.lacks_factor or tx.principal.may("platform:read")):
        await tx.notify(f"session:{tx.principal.session_id}")


def _recovery_code() -> str:
    said = base64.b32encode(os.urandom(_RECOVERY_BYTES)).decode().lower()
    return "-".join(said[i : i + 4] for i in range(0, len(said), 4))


def _recovery_digest(code: str) -> str:
    return ids.fingerprint(code.replace("-", "")).hex()


def _purpose(person: Person) -> bytes:
    return b"totp|" + person.id.bytes


def _proof(password_hash: str | None) -> str:
    return ids.fingerprint(password_hash or "").hex()


def _who(person: Person) -> str:
    return f"code|{person.id}"
