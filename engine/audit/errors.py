"""What the audit log refuses."""

from engine.errors import Unavailable


class NoAuditKey(Unavailable):
    """There is no key to sign the audit log with; set TIDEGATE_AUDIT_KEY to the path of an Ed25519 private key."""

    code = "NO_AUDIT_KEY"
