"""What is refused at the gate, each in words that tell the device or its maker what to do next."""

from engine.errors import Conflict, Expired, Forbidden, Invalid, NotFound, Unavailable


class ProvisionerNotFound(NotFound):
    """There is no such way in, or none that you may see."""

    code = "PROVISIONER_NOT_FOUND"


class EnrolmentNotFound(NotFound):
    """There is no such enrolment, or none that you may see."""

    code = "ENROLMENT_NOT_FOUND"


class ProvisionerStale(Conflict):
    """Somebody else has changed it meanwhile; load it again and repeat your change."""

    code = "VERSION_STALE"


class ProvisionerEnded(Conflict):
    """This way in is revoked; make another."""

    code = "PROVISIONER_ENDED"


class ProvisionerTaken(Conflict):
    """This certificate is a way in already."""

    code = "PROVISIONER_TAKEN"


class TooManyProvisioners(Conflict):
    """A tenant has at most 200 ways in that are not revoked; revoke what is no longer needed."""

    code = "TOO_MANY_PROVISIONERS"


class ProvisionerMalformed(Invalid):
    """A way in that creates devices needs a profile; one for registered devices only takes none."""

    code = "PROVISIONER_MALFORMED"


class RuleMalformed(Invalid):
    """A pre-provisioning rule is an object with cases, each with when (JSONLogic) and then, and with otherwise."""

    code = "PROVISIONING_RULE_MALFORMED"


class AuthorityUnfit(Invalid):
    """That certificate cannot be an authority for devices."""

    code = "AUTHORITY_UNFIT"


class AuthorityUnproven(Invalid):
    """The verification certificate must be signed by the authority and be called tidegate- and your tenant's id."""

    code = "AUTHORITY_UNPROVEN"


class PublicKeyMalformed(Invalid):
    """A public key is PEM (SubjectPublicKeyInfo) or a JWK, on the curve P-256."""

    code = "PUBLIC_KEY_MALFORMED"


class PublicKeyPrivate(Invalid):
    """That is a private key. It belongs on the device alone: make another, and send its public half."""

    code = "PUBLIC_KEY_PRIVATE"


class PublicKeyTaken(Conflict):
    """The device has this public key already."""

    code = "PUBLIC_KEY_TAKEN"


class TooManyKeys(Conflict):
    """A device has at most 8 public keys that work; revoke one first."""

    code = "TOO_MANY_KEYS"


class EnrolmentDecided(Conflict):
    """This enrolment was decided already."""

    code = "ENROLMENT_DECIDED"


# ── what a device hears ─────────────────────────────────────────────────────────────────────────────────────────────


class IntroductionMalformed(Invalid):
    """Send one of key, ownershipToken and ticket."""

    code = "INTRODUCTION_MALFORMED"


class KeyUnknown(Forbidden):
    """This provisioning key is not known here. Check that it was copied whole, or ask whoever runs the fleet."""

    code = "PROVISIONING_KEY_UNKNOWN"


class ClaimUnknown(Forbidden):
    """This claim does not prove itself. Sign it with the key of a claim certificate of the tenant."""

    code = "CLAIM_UNKNOWN"


class TicketUnknown(Forbidden):
    """This ticket or token is not known here, or was used. Begin again with the provisioning key or the claim."""

    code = "TICKET_UNKNOWN"


class TicketExpired(Expired):
    """This ticket or token has expired. Begin again with the provisioning key or the claim."""

    code = "TICKET_EXPIRED"


class WayEnded(Forbidden):
    """This way in was closed, has expired or is used up. Ask whoever runs the fleet for a new one."""

    code = "PROVISIONING_ENDED"


class NotRegistered(Forbidden):
    """Only devices registered beforehand may come in here, once. Have this device's key registered, then try again."""

    code = "DEVICE_NOT_REGISTERED"


class KeyInUse(Conflict):
    """A device with this key exists. Choose another key, or have its owner issue it a credential."""

    code = "DEVICE_KEY_TAKEN"


class AlreadyWaiting(Conflict):
    """A device with this key waits for approval already; ask again with the ticket that it was given."""

    code = "ALREADY_WAITING"


class TurnedAway(Forbidden):
    """The tenant's rule does not let this device in."""

    code = "PROVISIONING_REFUSED"


class QueueFull(Unavailable):
    """Too many devices wait for approval; try again later."""

    code = "QUEUE_FULL"
