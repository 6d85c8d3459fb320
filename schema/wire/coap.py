"""The promise to devices over CoAP (RFC 7252): the paths of HTTP, in other formats and with other words.

    POST or PUT  /ingest/v1/{device}/telemetry[/{stream}]      as over HTTP (`http.UP_PATHS`)
    POST or PUT  /ingest/v1/{device}/events/{type}
    POST or PUT  /ingest/v1/{device}/commands/{id}/ack         … and …/result
    GET          /ingest/v1/{device}/commands                  what waits; with Observe: and whatever comes

Who it is, one of two:
- OSCORE (RFC 8613) with a context that was issued to the device: AES-CCM-16-64-128, HKDF SHA-256, no Master Salt, no
  ID Context; the kid is the device's Sender ID. All of the above is inside what is protected, and so are Observe and
  blocks. Each number of the device's counts once, for good, within a window of 32. A refusal in the clear says why a
  message was not opened: 4.01 (no such context, or a replay), 4.00 (it does not decrypt), 4.02 (no OSCORE), 5.03 (come
  again).
- The Uri-Query `token=` with a device's token. Anybody on the way can read it, so it is taken on the platform's own
  machine, and elsewhere only where `TIDEGATE_COAP_PLAIN` says that the network is closed.

2.04 means: committed. It has no payload where all of it was stored, else the JSON that HTTP answers with (CBOR, by
Accept).
4.22: nothing was stored, it lies in the tenant's inbox. 4.29 and 5.03 say by Max-Age when to send it again. Whatever
else is not 2.xx was not stored. The payload of a refusal is plain text. No answer means: send it again.

A repeat of a request (the same datagram from the same address) within `EXCHANGE_LIFETIME_S` is the same request and
has the same answer, from the same process. Beyond that a repeat is known by what it says, as everywhere: by its `time`.

SenML has no word for quality: a record may have the field `quality` ("uncertain", or "bad" and then no value), which is
ours. In JSON and CBOR it is a member of the reading, as over MQTT (`payloads`).

Long messages come block-wise (RFC 7959), and so do long answers. An observed command comes as a confirmable
notification and counts as sent when that is acknowledged, or its last block was fetched; the device answers by POST.
"""

from collections.abc import Mapping

TOKEN = "token"  # noqa: S105  # a name
"""The Uri-Query in which a token may stand."""

JSON, CBOR, SENML_JSON, SENML_CBOR = 50, 60, 110, 112
"""Content-Formats; a request without one is taken for JSON."""

FORMATS: Mapping[int, str] = {
    JSON: "application/json",
    CBOR: "application/cbor",
    SENML_JSON: "application/senml+json",
    SENML_CBOR: "application/senml+cbor",
}

EXCHANGE_LIFETIME_S = 247.0
"""RFC 7252, section 4.8.2."""
MAX_BLOCK_BYTES = 1024

SENML_VERSION = 10
SENML_RELATIVE_BELOW = 2**28
"""A SenML time below this is seconds from now (RFC 8428, section 4.5.3)."""
