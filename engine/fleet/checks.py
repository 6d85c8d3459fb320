"""What an audit of a fleet looks for: each check with what is wrong, why it matters, and what to do about it.

After the checks of AWS IoT Device Defender's audit, as far as they make sense here (a policy too wide cannot be: every
device has the same rights, over itself), and a few that only the platform's own counters can tell. The SQL of a check
answers one row per finding: ``subject`` (what tells it from the others of this check), ``device_id`` (or null) and
``facts``, an object of what was seen.
"""

# ruff: noqa: S608  every word of these statements is written here; values are bound

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How soon somebody should look."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing an audit looks for. ``wrong`` says what a finding means, ``mend`` what to do.

    Where ``wrong`` names a thing, ``{name}`` is that of the facts.
    """

    kind: str
    severity: Severity
    title: str
    wrong: str
    mend: str
    sql: str

    def told(self, facts: Mapping[str, object]) -> str:
        """What a finding with these facts means."""
        return self.wrong.replace("{name}", str(facts.get("name", "")))


_IN_SERVICE = "d.status IN ('provisioned', 'active')"
_ALIVE = "c.revoked_at IS NULL AND (c.expires_at IS NULL OR c.expires_at > :now)"
# One row per device in service with what its living credentials come to.
_STANDING = f"""
    SELECT d.id, d.key, d.status, count(c.id) FILTER (WHERE {_ALIVE}) AS alive,
           bool_or(c.expires_at IS NULL) FILTER (WHERE {_ALIVE}) AS has_endless,
           max(c.expires_at) FILTER (WHERE {_ALIVE}) AS last_end,
           max(c.expires_at) FILTER (WHERE c.revoked_at IS NULL) AS ended_at,
           count(c.id) FILTER (WHERE c.revoked_at IS NULL) AS unrevoked
    FROM devices d LEFT JOIN credentials c ON c.tenant_id = d.tenant_id AND c.device_id = d.id
    WHERE d.tenant_id = :tenant AND {_IN_SERVICE} GROUP BY d.id, d.key, d.status
"""
# What a device sent in the last day, hour by hour, as ingest counted it.
_DAY = """
    SELECT n.device_id, sum(n.received) AS received, sum(n.stored) AS stored, sum(n.duplicates) AS duplicates,
           sum(n.rejected) AS rejected, sum(n.refused) AS refused
    FROM counts n JOIN devices d ON d.tenant_id = n.tenant_id AND d.id = n.device_id AND d.status <> 'decommissioned'
    WHERE n.tenant_id = :tenant AND n.hour >= CAST(:now AS timestamptz) - interval '1 day' GROUP BY n.device_id
"""
_WEAK = """NOT coalesce((k.key_kind = 'rsa' AND k.key_bits >= 2048) OR (k.key_kind = 'ec' AND k.key_bits >= 256)
                        OR k.key_kind = 'ed25519', false)"""
# The authorities that the tenant brought along, as read from their certificates (:authorities), with how many devices
# in service came in by each: those depend on it even when it lets nobody in any more.
_REGISTERED = f"""
    SELECT p.id, p.name, k.ends_at, k.key_kind, k.key_bits, p.revoked_at,
           (SELECT count(DISTINCT d.id) FROM enrolments e
            JOIN devices d ON d.tenant_id = e.tenant_id AND d.id = e.device_id AND {_IN_SERVICE}
            WHERE e.tenant_id = p.tenant_id AND e.provisioner_id = p.id AND e.status = 'done') AS devices
    FROM provisioners p
    JOIN jsonb_to_recordset(CAST(:authorities AS jsonb))
      AS k (id uuid, ends_at timestamptz, key_kind text, key_bits integer) ON k.id = p.id
    WHERE p.tenant_id = :tenant
"""
# The tenant's own authorities that are in use, with how many devices have a certificate of each that is good.
_AUTHORITIES = """
    SELECT a.id, a.expires_at, a.superseded_at,
           (SELECT count(DISTINCT c.device_id) FROM certificates k
            JOIN credentials c ON c.tenant_id = k.tenant_id AND c.id = k.credential_id AND c.revoked_at IS NULL
            WHERE k.tenant_id = a.tenant_id AND k.authority_id = a.id AND k.not_after > :now) AS devices
    FROM authorities a WHERE a.tenant_id = :tenant AND a.retired_at IS NULL
"""

CHECKS: tuple[Check, ...] = (
    Check(
        "revoked_but_connected",
        Severity.CRITICAL,
        "Connected, although it may not be",
        "The device is connected although it is suspended, in quarantine or decommissioned, or has no credential left.",
        "Suspend and resume the device to cut it once more; if it comes back, tell the platform's operator.",
        f"""
        SELECT CAST(d.id AS text) AS subject, d.id AS device_id,
               jsonb_build_object('status', d.status, 'since', p.since) AS facts
        FROM presence p JOIN devices d ON d.tenant_id = p.tenant_id AND d.id = p.device_id
        WHERE p.tenant_id = :tenant AND p.is_online AND d.updated_at < CAST(:now AS timestamptz) - interval '1 minute'
          AND (d.status IN ('suspended', 'decommissioned') OR NOT EXISTS (
            SELECT FROM credentials c WHERE c.tenant_id = d.tenant_id AND c.device_id = d.id AND {_ALIVE}))
        """,
    ),
    Check(
        "certificate_key_shared",
        Severity.CRITICAL,
        "One private key in several devices",
        "Certificates of different devices hold the same key: whoever has one device can speak for the others.",
        "Let each device make a key of its own, sign a request for it, and revoke the shared certificates.",
        """
        SELECT CAST(c.device_id AS text) AS subject, c.device_id,
               jsonb_build_object('devices', s.devices, 'key', encode(k.key_sha256, 'hex')) AS facts
        FROM (SELECT k.key_sha256, count(DISTINCT c.device_id) AS devices
              FROM certificates k JOIN credentials c ON c.tenant_id = k.tenant_id AND c.id = k.credential_id
              WHERE k.tenant_id = :tenant AND k.key_sha256 IS NOT NULL AND c.revoked_at IS NULL AND k.not_after > :now
              GROUP BY k.key_sha256 HAVING count(DISTINCT c.device_id) > 1) s
        JOIN certificates k ON k.tenant_id = :tenant AND k.key_sha256 = s.key_sha256 AND k.not_after > :now
        JOIN credentials c ON c.tenant_id = :tenant AND c.id = k.credential_id AND c.revoked_at IS NULL
        """,
    ),
    Check(
        "client_ids_conflict",
        Severity.HIGH,
        "Several clients take turns as one device",
        "Within the last hour clients kept taking over each other's connection: they use the same credential.",
        "Find the second client; give it a device of its own. If you do not know it, put the device into quarantine.",
        """
        SELECT j.body->>'device' AS subject, CAST(j.body->>'device' AS uuid) AS device_id,
               jsonb_build_object('take_overs', count(*)) AS facts
        FROM journal j
        WHERE j.tenant_id = :tenant AND j.kind = 'device.disconnected' AND j.body->>'reason' = 'take_over'
          AND j.at > CAST(:now AS timestamptz) - interval '1 hour'
        GROUP BY j.body->>'device' HAVING count(*) >= 3
        """,
    ),
    Check(
        "certificate_key_weak",
        Severity.HIGH,
        "The key is weak",
        "A certificate's key is of a kind or length that can be broken or is not known here.",
        "Let the device make an EC P-256 or Ed25519 key, or RSA from 2,048 bits, and have it signed anew.",
        f"""
        SELECT CAST(c.id AS text) AS subject, c.device_id,
               jsonb_build_object('kind', k.key_kind, 'bits', k.key_bits) AS facts
        FROM certificates k JOIN credentials c ON c.tenant_id = k.tenant_id AND c.id = k.credential_id
        WHERE k.tenant_id = :tenant AND c.revoked_at IS NULL AND k.not_after > :now AND k.key_kind IS NOT NULL
          AND {_WEAK}
        """,
    ),
    Check(
        "registered_authority_weak",
        Severity.HIGH,
        "The key of your own authority is weak",
        "“{name}”, an authority that you registered, has a key that can be broken or is of a kind not known here: "
        "whoever breaks it can make devices of yours.",
        "Register a new authority with an EC P-256 or Ed25519 key, or RSA from 2,048 bits, and revoke this way in.",
        f"""
        SELECT CAST(k.id AS text) AS subject, CAST(NULL AS uuid) AS device_id,
               jsonb_build_object('name', k.name, 'kind', k.key_kind, 'bits', k.key_bits, 'devices', k.devices) AS facts
        FROM ({_REGISTERED}) k WHERE (k.revoked_at IS NULL OR k.devices > 0) AND {_WEAK}
        """,
    ),
    Check(
        "credential_expired",
        Severity.HIGH,
        "It cannot log in any more",
        "Every credential of this device has ended; it is locked out.",
        "Issue a new credential and bring it to the device, or decommission it.",
        f"""
        SELECT CAST(s.id AS text) AS subject, s.id AS device_id, jsonb_build_object('ended_at', s.ended_at) AS facts
        FROM ({_STANDING}) s WHERE s.alive = 0 AND s.unrevoked > 0
        """,
    ),
    Check(
        "authority_expiring",
        Severity.HIGH,
        "The certificate authority is about to end",
        "The authority that signs this tenant's devices ends within 90 days, and every certificate with it.",
        "Renew it now, and let every device change over to a certificate of its successor before that day.",
        f"""
        SELECT CAST(a.id AS text) AS subject, CAST(NULL AS uuid) AS device_id,
               jsonb_build_object('ends_at', a.expires_at, 'devices', a.devices) AS facts
        FROM ({_AUTHORITIES}) a
        WHERE (a.superseded_at IS NULL OR a.devices > 0)
          AND a.expires_at < CAST(:now AS timestamptz) + interval '90 days'
        """,
    ),
    Check(
        "registered_authority_expiring",
        Severity.HIGH,
        "Your own authority is about to end",
        "“{name}”, an authority that you registered, ends within 90 days, or has ended: then nobody comes in by it any "
        "more, and devices that show a certificate of it can no longer connect.",
        "Register the next authority, give the devices certificates of it before that day, then revoke this way in.",
        f"""
        SELECT CAST(r.id AS text) AS subject, CAST(NULL AS uuid) AS device_id,
               jsonb_build_object('name', r.name, 'ends_at', r.ends_at, 'devices', r.devices) AS facts
        FROM ({_REGISTERED}) r
        WHERE (r.revoked_at IS NULL OR r.devices > 0) AND r.ends_at < CAST(:now AS timestamptz) + interval '90 days'
        """,
    ),
    Check(
        "authority_left_behind",
        Severity.LOW,
        "A former certificate authority could be retired",
        "The authority had a successor more than a month ago and is accepted still, but no device has a certificate "
        "of it any more: it only waits for somebody to misuse it.",
        "Retire it. Whoever needs it as a root elsewhere keeps its certificate.",
        f"""
        SELECT CAST(a.id AS text) AS subject, CAST(NULL AS uuid) AS device_id,
               jsonb_build_object('superseded_at', a.superseded_at) AS facts
        FROM ({_AUTHORITIES}) a
        WHERE a.devices = 0 AND a.superseded_at < CAST(:now AS timestamptz) - interval '30 days'
        """,
    ),
    Check(
        "credential_expiring",
        Severity.MEDIUM,
        "It will soon be unable to log in",
        "The last credential of this device ends within 30 days.",
        "Issue the next one now, side by side with the present one, and let the device change over.",
        f"""
        SELECT CAST(s.id AS text) AS subject, s.id AS device_id, jsonb_build_object('ends_at', s.last_end) AS facts
        FROM ({_STANDING}) s
        WHERE s.alive > 0 AND NOT s.has_endless AND s.last_end < CAST(:now AS timestamptz) + interval '30 days'
        """,
    ),
    Check(
        "clock_wrong",
        Severity.MEDIUM,
        "Its clock is wrong",
        "At least five messages of the last day were turned away because their time lies in the future or far behind.",
        "Set the device's clock (NTP), or let it leave the time out, so that the time of receipt counts.",
        """
        SELECT CAST(r.device_id AS text) AS subject, r.device_id, jsonb_build_object('messages', count(*)) AS facts
        FROM rejected r
        WHERE r.tenant_id = :tenant AND r.reason IN ('CLOCK_AHEAD', 'TOO_OLD')
          AND r.received_at > CAST(:now AS timestamptz) - interval '1 day'
        GROUP BY r.device_id HAVING count(*) >= 5
        """,
    ),
    Check(
        "rejected_often",
        Severity.MEDIUM,
        "Much of what it sends is turned away",
        "More than a tenth of the last day's readings, and at least 20, were rejected.",
        "Look into the inbox: each rejected message says why. Mend the device or its profile, then replay.",
        f"""
        SELECT CAST(n.device_id AS text) AS subject, n.device_id,
               jsonb_build_object('rejected', n.rejected, 'received', n.received) AS facts
        FROM ({_DAY}) n WHERE n.rejected >= 20 AND n.rejected * 10 > n.received
        """,
    ),
    Check(
        "metric_bad",
        Severity.MEDIUM,
        "It measures something no more",
        "For more than an hour, or ever, it has had no good value of {name}: a sensor or its wire is broken, or its "
        "values do not fit the device's profile.",
        "Look at the device's page, which says why. Mend the sensor; if its values are right, mend the profile, and "
        "replay what lies in the inbox.",
        f"""
        SELECT CAST(d.id AS text) AS subject, d.id AS device_id,
               jsonb_build_object('name', string_agg(b.metric, ', ' ORDER BY b.metric) FILTER (WHERE b.n <= 3)
                                          || CASE WHEN count(*) > 3 THEN ' and others' ELSE '' END,
                                  'metrics', count(*), 'last_good_at', min(b.good_at)) AS facts
        FROM devices d JOIN latest l ON l.tenant_id = d.tenant_id AND l.device_id = d.id
        CROSS JOIN LATERAL (
            SELECT q.key AS metric, row_number() OVER (ORDER BY q.key) AS n,
                   to_timestamp(CAST(l.values -> q.key ->> 1 AS numeric) / 1000) AS good_at
            FROM jsonb_each(l.quality) q
            WHERE q.value ->> 0 = 'bad'
              AND CAST(q.value ->> 1 AS numeric)
                  > coalesce(CAST(l.values -> q.key ->> 1 AS numeric), 0) + 3600000
        ) b
        WHERE d.tenant_id = :tenant AND {_IN_SERVICE} AND l.quality IS NOT NULL
        GROUP BY d.id
        """,
    ),
    Check(
        "refused_often",
        Severity.MEDIUM,
        "It is often refused",
        "At least 100 readings of the last day were refused: over a quota, or sent where the device has no right to.",
        "Let it send less often, or to its own topics; or raise the quota.",
        f"""
        SELECT CAST(n.device_id AS text) AS subject, n.device_id,
               jsonb_build_object('refused', n.refused, 'received', n.received) AS facts
        FROM ({_DAY}) n WHERE n.refused >= 100
        """,
    ),
    Check(
        "silent",
        Severity.MEDIUM,
        "It has fallen silent",
        "The device was heard before and has sent nothing for more than a day, or for twenty times as long as it "
        "usually waits between two messages (an hour at least).",
        "Look after its power and its network; suspend it if it shall be quiet.",
        f"""
        SELECT CAST(d.id AS text) AS subject, d.id AS device_id,
               jsonb_build_object('last_heard_at', l.received_at, 'usual_interval_s', h.interval_s,
                                  'is_online', coalesce(p.is_online, false)) AS facts
        FROM devices d JOIN latest l ON l.tenant_id = d.tenant_id AND l.device_id = d.id
        LEFT JOIN presence p ON p.tenant_id = d.tenant_id AND p.device_id = d.id
        LEFT JOIN LATERAL (
            SELECT round(3600.0 * count(*) / sum(n.received)) AS interval_s FROM counts n
            WHERE n.tenant_id = d.tenant_id AND n.device_id = d.id
              AND n.hour BETWEEN date_trunc('hour', l.received_at) - interval '1 day' AND l.received_at
            HAVING sum(n.received) >= 20
        ) h ON l.received_at > CAST(:now AS timestamptz) - interval '1 day'
        WHERE d.tenant_id = :tenant AND {_IN_SERVICE}
          AND l.received_at < CAST(:now AS timestamptz) - interval '1 hour'
          AND l.received_at < CAST(:now AS timestamptz)
                              - least(interval '1 day', coalesce(20 * h.interval_s, 86400) * interval '1 second')
        """,
    ),
    Check(
        "never_connected",
        Severity.LOW,
        "It has never connected",
        "The device was registered more than a week ago and has never been heard of; its credential lies about unused.",
        "Put it into operation, or decommission it.",
        """
        SELECT CAST(d.id AS text) AS subject, d.id AS device_id,
               jsonb_build_object('registered_at', d.created_at) AS facts
        FROM devices d LEFT JOIN presence p ON p.tenant_id = d.tenant_id AND p.device_id = d.id
        WHERE d.tenant_id = :tenant AND d.status = 'provisioned' AND coalesce(p.session_epoch, 0) = 0
          AND d.created_at < CAST(:now AS timestamptz) - interval '7 days'
        """,
    ),
    Check(
        "token_endless_unused",
        Severity.LOW,
        "A token that never ends, of a device that is away",
        "The device has a token without an end, and has neither connected nor sent anything for 90 days.",
        "Revoke the token; issue one with an end when the device comes back.",
        f"""
        SELECT CAST(d.id AS text) AS subject, d.id AS device_id,
               jsonb_build_object('last_connected_at', p.since) AS facts
        FROM devices d JOIN presence p ON p.tenant_id = d.tenant_id AND p.device_id = d.id
        WHERE d.tenant_id = :tenant AND {_IN_SERVICE} AND NOT p.is_online
          AND p.since < CAST(:now AS timestamptz) - interval '90 days'
          AND NOT EXISTS (SELECT FROM latest l WHERE l.tenant_id = d.tenant_id AND l.device_id = d.id
                          AND l.received_at > CAST(:now AS timestamptz) - interval '90 days')
          AND EXISTS (SELECT FROM credentials c WHERE c.tenant_id = d.tenant_id AND c.device_id = d.id
                      AND c.kind = 'token' AND c.expires_at IS NULL AND c.revoked_at IS NULL)
        """,
    ),
    Check(
        "api_token_endless_unused",
        Severity.LOW,
        "An API token that never ends and is not used",
        "Nobody has used the API token “{name}” for 90 days, and it does not end by itself.",
        "Revoke it; give the next one an end.",
        """
        SELECT CAST(t.id AS text) AS subject, CAST(NULL AS uuid) AS device_id,
               jsonb_build_object('name', t.name, 'last_used_at', t.last_used_at) AS facts
        FROM api_tokens t
        WHERE t.tenant_id = :tenant AND t.revoked_at IS NULL AND t.expires_at IS NULL
          AND coalesce(t.last_used_at, t.created_at) < CAST(:now AS timestamptz) - interval '90 days'
        """,
    ),
    Check(
        "tokens_many",
        Severity.LOW,
        "It has more tokens than it needs",
        "The device has more than two credentials that work: two are enough to change over from one to the next.",
        "Find out which one it uses, and revoke the others.",
        f"""
        SELECT CAST(s.id AS text) AS subject, s.id AS device_id, jsonb_build_object('credentials', s.alive) AS facts
        FROM ({_STANDING}) s WHERE s.alive > 2
        """,
    ),
    Check(
        "duplicates_many",
        Severity.LOW,
        "It sends everything twice",
        "More than half of the last day's readings, and at least 100, had been stored before.",
        "Let the device forget what was acknowledged; look whether it waits long enough for the acknowledgement.",
        f"""
        SELECT CAST(n.device_id AS text) AS subject, n.device_id,
               jsonb_build_object('duplicates', n.duplicates, 'received', n.received) AS facts
        FROM ({_DAY}) n WHERE n.duplicates >= 100 AND n.duplicates * 2 > n.received
        """,
    ),
    Check(
        "quarantine_long",
        Severity.LOW,
        "Forgotten in quarantine",
        "The device has been in quarantine for more than 30 days.",
        "Decide: release it with new secrets, or decommission it.",
        """
        SELECT CAST(d.id AS text) AS subject, d.id AS device_id,
               jsonb_build_object('since', d.quarantined_at, 'reason', d.quarantine_reason) AS facts
        FROM devices d
        WHERE d.tenant_id = :tenant AND d.status = 'suspended'
          AND d.quarantined_at < CAST(:now AS timestamptz) - interval '30 days'
        """,
    ),
)

BY_KIND: Mapping[str, Check] = {check.kind: check for check in CHECKS}
